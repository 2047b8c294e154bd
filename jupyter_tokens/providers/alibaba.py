"""Base classes of providers for Alibaba Cloud's OpenAPI gateway: endpoints by region, signatures, error responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

import httpx

from ..clock import utc
from ..errors import ApiError, Forbidden, InvalidRequest, NotFound, ServiceUnavailable, Throttled, Unauthorized
from ..token import Secret
from .answers import Meaning, json_object, list_of, object_of, refusal, request_id_of, text_of, try_json_object
from .base import (
    COMMON_HEADERS,
    Call,
    Driven,
    Endpoint,
    Listed,
    Provider,
    Reference,
    Region,
    Setting,
    SettingProblem,
    SignIn,
    bodiless,
)
from .credentials.alibaba import access_key, chain
from .regions import Hosts
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


class AlibabaProvider(Provider):
    """Base class of providers whose API is behind Alibaba Cloud's OpenAPI gateway and takes ACS3 signatures."""

    action: ClassVar[str]
    """The name of the call, sent as `x-acs-action`."""
    version: ClassVar[str]
    """The version of the API, sent as `x-acs-version`."""
    ram_action: ClassVar[str]
    """The RAM action that the caller must be allowed to perform."""
    hosts: ClassVar[Hosts]
    """The endpoints of the API by region."""

    sign_in: ClassVar[tuple[SignIn, ...]] = (
        SignIn("access-key", "Access key", ("access_key_id", "access_key_secret"), ("security_token",)),
        SignIn("chain", "Alibaba Cloud's credential chain", chosen_by=("credentials", "chain")),
    )

    endpoint = Endpoint(
        "Base URL of the API.", example="https://pai-dlc.cn-hangzhou.aliyuncs.com", required=True, unless="region"
    )
    region = Region("Region id, such as cn-hangzhou; selects the API's endpoint there.", example="cn-hangzhou")
    access_key_id = Reference("Access key id.", secret=False, label="Access key ID", example="LTAI5tExampleKeyId")
    access_key_secret = Reference("Access key secret.", secret=True)
    security_token = Reference("STS token of a temporary access key.", secret=True, label="STS token")
    credentials = Setting("'chain': find the access key as the vendor's own tools do.", choices=("", "chain"))

    def check(self) -> None:
        super().check()
        if not self.endpoint:
            self.host()

    def base(self) -> str:
        """Return the endpoint, or the region's endpoint, without a slash at its end."""
        return super().base() or f"https://{self.host()}"

    def host(self) -> str:
        """Return the host in the profile's region. Raises `SettingProblem` if no host is known there."""
        return self.hosts.host(self.region)

    def credential(self, secrets: Mapping[str, Secret]) -> Any:
        """Return the access key, from the settings or from the vendor's chain."""
        return chain() if self.credentials else access_key(secrets)

    def named(self) -> dict[str, str]:
        """Return the headers, by lower-case name, with the name of the call and the version of the API."""
        return {"x-acs-action": self.action, "x-acs-version": self.version}

    def request(
        self,
        call: Call,
        method: str,
        path: str,
        query: Iterable[tuple[str, str]],
        *,
        kept: bool = True,
        action: str = "",
    ) -> httpx.Request:
        """Return a signed request without a body, for `action` or else for the provider's own action.

        Use `kept=False` for a query with a secret, so that the URL is not cached.
        """
        target = _target if kept else _target.__wrapped__
        encoded, url, host = target(self.base(), path, tuple(query))
        headers = {"host": host, **self.named(), **({"x-acs-action": action} if action else {})}
        date = timestamp(utc(call.clock.now()))
        # Signed before the request is built, because changing an httpx.Headers costs as much as the signature itself.
        signature = signed_headers(
            (method, path, encoded), headers, b"", call.credential, date=date, nonce=fresh_nonce()
        )
        return bodiless(method, url, {**COMMON_HEADERS, "Accept": "application/json", **headers, **signature})

    def answered(self, call: Call, field: str) -> Driven[tuple[httpx.Response, dict[str, Any], dict[str, Any]]]:
        """Make the call. Return the response, its body, and the object in the body's `field` with `RequestId` added.

        Raises the error that `refuse` returns for a status other than 200, and `ResponseError` for a body without the
        object.
        """
        response = yield from self.exchange(call)
        if response.status_code != httpx.codes.OK:
            raise self.refuse(call, response)
        body = json_object(response)
        return response, body, {**object_of(response, body, field), "RequestId": request_id_of(response, body)}

    def listed(
        self, call: Call, request: httpx.Request, field: str, columns: tuple[str, ...], *, ram_action: str
    ) -> Driven[list[Listed]]:
        """Send the request of a listing call, and return the entries in the list `field` of the response.

        The first of `columns` is the field of an entry with the id; the other columns make up the label. `ram_action`
        is the RAM action that the call needs, for the hint of an error.
        """
        response = yield request
        if response.status_code != httpx.codes.OK:
            raise self.refuse(call, response, ram_action)
        body = json_object(response)
        if body.get("Success", True) is not True:
            raise self.refuse(call, response, ram_action)
        key, *told = columns
        return [
            Listed(text_of(response, entry, key), ", ".join(str(entry[name]) for name in told if entry.get(name)))
            for entry in list_of(response, body, field)
        ]

    def refuse(self, call: Call, response: httpx.Response, ram_action: str = "") -> ApiError:
        """Return the error for a refused call. The body has `Code` and `Message`, or `code` and `message`."""
        body = try_json_object(response) or {}
        code = body.get("Code", body.get("code"))
        error = refusal(
            response,
            now=call.clock.now(),
            body=body,
            code=code,
            message=body.get("Message", body.get("message")),
            meanings=_meanings(code, response.status_code),
        )
        error.hint = error.hint.format(action=ram_action or self.ram_action)
        return error


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


@lru_cache(maxsize=512)
def _target(base: str, path: str, query: tuple[tuple[str, str], ...]) -> tuple[str, httpx.URL, str]:
    """Return the canonical query, URL and host of a call. Cached, because a refresh repeats the call."""
    encoded = canonical_query(query)
    url = httpx.URL(base + path + (f"?{encoded}" if encoded else ""))
    return encoded, url, url.netloc.decode("ascii")


def _meanings(code: Any, status: int) -> Mapping[str, Meaning]:
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
