"""Base classes of providers for Alibaba Cloud's OpenAPI gateway: endpoints by region, signatures, error responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import httpx

from ..clock import utc
from ..errors import ApiError, Forbidden, InvalidRequest, NotFound, ServiceUnavailable, Throttled, Unauthorized
from ..token import Secret
from .answers import Meaning, get_request_id, json_object, malformed, require_object
from .base import (
    COMMON_HEADERS,
    Call,
    Documented,
    Driven,
    Exchange,
    Listed,
    Reference,
    Region,
    RegionalProvider,
    Setting,
    SettingProblem,
    SignIn,
    parse_list,
    parsed_url,
    raw_request,
)
from .credentials.alibaba import access_key, chain
from .signing.acs3 import fresh_nonce, signed_headers, timestamp
from .signing.canonical import canonical_query

__all__ = ["AlibabaProvider", "VpcProvider"]

_KEY_HINT = "Check access_key_id and access_key_secret."
_CLOCK_HINT = "Set this machine's clock: a signature is valid for 15 minutes."
_RAM_HINT = "Ask for the RAM action {action}."
_THROTTLED = Meaning(Throttled, "Try again later.")
_INVALID = Meaning(InvalidRequest, "Check the parameters of the call.")

# Source: Alibaba Cloud, "Service error codes" of the OpenAPI gateway.
_MEANINGS = {
    "InvalidAccessKeyId.NotFound": Meaning(Unauthorized, _KEY_HINT),
    "InvalidAccessKeyId.Inactive": Meaning(Unauthorized, "The access key is disabled: enable it, or use another."),
    "InvalidSecurityToken.Expired": Meaning(Unauthorized, "The temporary key has expired: get a new one."),
    "SignatureDoesNotMatch": Meaning(Unauthorized, "Check access_key_secret."),
    "IncompleteSignature": Meaning(Unauthorized, _KEY_HINT),
    "InvalidTimeStamp.Expired": Meaning(Unauthorized, _CLOCK_HINT),
    "InvalidTimeStamp.Format": Meaning(Unauthorized, _CLOCK_HINT),
    "SignatureNonceUsed": Meaning(Unauthorized, "The API got the same request twice: try again."),
    "NoPermission": Meaning(Forbidden, _RAM_HINT),
    "Forbidden.RAM": Meaning(Forbidden, _RAM_HINT),
    "InvalidApi.NotFound": Meaning(NotFound, "Check that the endpoint belongs to this API."),
    # STS
    "AuthenticationFail.ApiUsername": Meaning(Unauthorized, _KEY_HINT),
    "AuthenticationFail.ApiPassword": Meaning(Unauthorized, _KEY_HINT),
    "AuthenticationFail.NoPermission": Meaning(Unauthorized, "Check that the role trusts the identity provider."),
    "EntityNotExist.Role": Meaning(NotFound, "Check RoleArn."),
    "MissingSecurityToken": Meaning(Unauthorized, "A temporary key needs its STS token: give security_token."),
    # PAI-DSW
    "ValidationError": _INVALID,
    "InternalError": Meaning(ServiceUnavailable, "Try again later."),
    "ServiceUnavailable": Meaning(ServiceUnavailable, "Try again later."),
}


class AlibabaProvider(RegionalProvider):
    """Base class of providers whose API is behind Alibaba Cloud's OpenAPI gateway and takes ACS3 signatures.

    The call has all its parameters in the query; a list becomes `NAME.1`, `NAME.2` and so on. The default method and
    path are those of RPC style.
    """

    action: ClassVar[str]
    """The name of the call, sent as `x-acs-action`."""
    version: ClassVar[str]
    """The version of the API, sent as `x-acs-version`."""
    ram_action: ClassVar[str]
    """The RAM action that the caller must be allowed to perform."""
    method: ClassVar[str] = "POST"
    """The HTTP method of all calls of the API."""
    path: ClassVar[str] = "/"
    """The path of the call."""
    dropped: ClassVar[tuple[str, ...]] = ()
    """The query fields with the client's own credential. The proxy sends the profile's credential instead of them."""

    sign_in: ClassVar[tuple[SignIn, ...]] = (
        SignIn("access-key", "Access key", ("access_key_id", "access_key_secret"), ("security_token",)),
        SignIn("chain", "Alibaba Cloud's credential chain", chosen_by=("credentials", "chain")),
    )

    region = Region("Region id, such as cn-hangzhou; selects the API's endpoint there.", example="cn-hangzhou")
    access_key_id = Reference("Access key id.", secret=False, label="Access key ID", example="LTAI5tExampleKeyId")
    access_key_secret = Reference("Access key secret.", secret=True)
    security_token = Reference("STS token of a temporary access key.", secret=True, label="STS token")
    credentials = Setting("'chain': find the access key as the vendor's own tools do.", choices=("", "chain"))

    def credential(self, secrets: Mapping[str, Secret]) -> Any:
        return chain() if self.credentials else access_key(secrets)

    @property
    def documented(self) -> Documented | None:
        """The call, with all parameters in the query."""
        arrays = tuple(name for name, param in self.params.items() if param.type == "array")
        query = tuple(name for name in self.params if name not in arrays)
        headers = self.action_headers()
        return Documented(self.method, self.path, query=query, arrays=arrays, dropped=self.dropped, headers=headers)

    def exchange(self, call: Call) -> Exchange:
        return (yield self.request(call, call.params))

    def action_headers(self, action: str = "") -> dict[str, str]:
        """Return the headers, by lower-case name, that name the call (by default `action`) and the API's version."""
        return {"x-acs-action": action or self.action, "x-acs-version": self.version}

    def request(
        self, call: Call, params: Mapping[str, Any], *, secret: bool = False, path: str = "", action: str = ""
    ) -> httpx.Request:
        """Return a signed request without a body, for `path` and `action` or else for the provider's own.

        Use `secret=True` for parameters with a secret, so that the URL is not cached.
        """
        path = path or self.path
        query = canonical_query(_flat(params))
        address = self.base() + path + (f"?{query}" if query else "")
        url = httpx.URL(address) if secret else parsed_url(address)
        headers = {"host": url.netloc.decode("ascii"), **self.action_headers(action)}
        # Signed before the request is built, because changing an httpx.Headers costs as much as the signature itself.
        signature = signed_headers(
            (self.method, path, query),
            headers,
            b"",
            call.credential,
            date=timestamp(utc(call.clock.now())),
            nonce=fresh_nonce(),
        )
        return raw_request(self.method, url, {**COMMON_HEADERS, "Accept": "application/json", **headers, **signature})

    def fetch_object(self, call: Call, field: str) -> Driven[tuple[httpx.Response, dict[str, Any], dict[str, Any]]]:
        """Make the call. Return the response, its body, and the object in the body's `field` with `RequestId` added.

        Raises the error for a refusal, and `ResponseError` for a body without the object.
        """
        response = yield from self.exchange(call)
        body = self.success_body(call, response)
        return response, body, {**require_object(response, body, field), "RequestId": get_request_id(response, body)}

    def fetch_list(
        self, call: Call, params: Mapping[str, Any], action: str, *fields: str, path: str = ""
    ) -> Driven[list[Listed]]:
        """Make the listing call `action`. `fields` are the last arguments of `parse_list`, which reads the response."""
        response = yield self.request(call, params, path=path, action=action)
        service = self.ram_action.partition(":")[0]
        return parse_list(response, self.success_body(call, response, ram_action=f"{service}:{action}"), *fields)

    def success_body(
        self, call: Call, response: httpx.Response, status: int = httpx.codes.OK, *, ram_action: str = ""
    ) -> dict[str, Any]:
        if response.status_code == status:
            body = json_object(response)
            if body.get("Success", True) is True:
                return body
            # PAI-DSW also sends refusals with status 200.
            if not body.get("Code"):
                raise malformed(response, "reports a failure without a reason", body)
        raise self.error_for(call, response, ram_action)

    def error_for(self, call: Call, response: httpx.Response, ram_action: str = "") -> ApiError:
        """Return the error for a refused call. `ram_action` is the call's RAM action, if it is not the provider's."""
        error = super().error_for(call, response)
        error.hint = error.hint.format(action=ram_action or self.ram_action)
        return error

    def code_and_message(self, response: httpx.Response, body: Mapping[str, Any]) -> tuple[object, object]:
        return body.get("Code", body.get("code")), body.get("Message", body.get("message"))

    def meanings_for(self, code: object, status: int) -> Mapping[str, Meaning]:
        # Codes that begin with the same word, such as Throttling.User and Throttling.Api, have the same meaning.
        if isinstance(code, str) and code not in _MEANINGS:
            if code.startswith("Throttling"):
                return {code: _THROTTLED}
            if code.startswith("AuthenticationFail.OIDCToken"):
                return {code: Meaning(Unauthorized, "Get a new OIDC token for the audience of the identity provider.")}
            if code.startswith("InvalidAccessKeyId"):
                return {code: Meaning(Unauthorized, _KEY_HINT)}
            if status == httpx.codes.BAD_REQUEST and code.startswith(("Missing", "Invalid")):
                return {code: _INVALID}
        return _MEANINGS


class VpcProvider(AlibabaProvider):
    """Base class of providers whose API also has endpoints within a VPC."""

    network = Setting(
        "Which of the region's endpoints to use: public, or vpc (the one within a VPC of Alibaba Cloud).",
        choices=("public", "vpc"),
        default="public",
        advanced=True,
    )

    def check(self) -> None:
        """Check the settings as `AlibabaProvider.check` does. If `endpoint` is given, `network` must not be vpc."""
        super().check()
        if self.endpoint and self.network == "vpc":
            raise SettingProblem("network", "cannot be vpc if endpoint is given: vpc selects the region's endpoint")

    def host(self) -> str:
        """Return the host in the profile's region, public or within a VPC, as `network` selects."""
        return self.hosts.host(self.region, vpc=self.network == "vpc")


def _flat(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values for the query. A list becomes `NAME.1`, `NAME.2` and so on."""
    for name, value in params.items():
        if isinstance(value, tuple):
            yield from ((f"{name}.{number}", text) for number, text in enumerate(value, 1))
        else:
            yield name, str(value)
