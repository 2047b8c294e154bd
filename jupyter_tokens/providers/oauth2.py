"""`oauth2`: OAuth 2.0 token endpoints with client credentials, and the base class of similar providers.

Source: RFC 6749, sections 4.4 (the grant), 5 (answers), 7.1 (token types); RFC 7523 (private_key_jwt); RFC 8707
(resource); OpenID Connect Core 1.0, section 2 (id_token).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import httpx

from ..clock import utc
from ..errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    ResponseError,
    ServiceUnavailable,
    Unauthorized,
)
from ..token import Secret
from .answers import (
    Meaning,
    check_bearer,
    json_object,
    jwt_expiry,
    life_of,
    moment_of,
    refusal,
    request_id_of,
    token_of,
    try_json_object,
    unusable,
)
from .base import COMMON_HEADERS, Call, Endpoint, Flow, Provider, Reference, Setting, SettingProblem, SignIn, parsed_url
from .credentials.oauth2 import ALGORITHMS, ASSERTION_TYPE, Client, assertion, basic
from .params import Param

__all__ = ["OAuth2", "TokenEndpoint"]

ACCESS_TOKEN, ID_TOKEN = "access_token", "id_token"
"""The two tokens of a response: the choices of the setting `token`."""

_CLIENT_HINT = "Check client_id, auth_method and the client's secret or key."
_MEANINGS = {
    "invalid_request": Meaning(InvalidRequest, "Check the parameters, and extra_params of the profile."),
    "invalid_client": Meaning(Unauthorized, _CLIENT_HINT),
    "invalid_grant": Meaning(Unauthorized, _CLIENT_HINT),
    "unauthorized_client": Meaning(Forbidden, "Have the client allowed to use client credentials."),
    "unsupported_grant_type": Meaning(InvalidRequest, "The server has no client credentials grant at this endpoint."),
    "invalid_scope": Meaning(InvalidRequest, "Check scope: the client may not be allowed all of it."),
    "invalid_target": Meaning(InvalidRequest, "Check resource and audience."),
    # These two are documented for another endpoint, but servers use them here as well.
    "server_error": Meaning(ServiceUnavailable, "Try again later."),
    "temporarily_unavailable": Meaning(ServiceUnavailable, "Try again later."),
}
_OURS = frozenset({"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"})


class TokenEndpoint(Provider):
    """Base class of providers whose endpoint answers by RFC 6749, section 5. A subclass builds the request."""

    default_life: ClassVar[float | None] = None
    """Life of a token in seconds if the response has no `expires_in`; None if it is then unknown."""
    meanings: ClassVar[Mapping[str, Meaning]]
    """The server's error codes."""
    life_hint: ClassVar[str]
    """The hint for a token that has expired on arrival."""
    without_id_hint: ClassVar[str]
    """The hint for a response without the id_token that the profile asks for."""

    token = Setting(
        "Which token of the answer to use: access_token, or id_token for an API that asks for one.",
        choices=(ACCESS_TOKEN, ID_TOKEN),
        default=ACCESS_TOKEN,
        advanced=True,
    )

    def request(self, call: Call) -> httpx.Request:
        """Return the request for a token."""
        raise NotImplementedError

    def retrieve(self, call: Call) -> Flow:
        """Fetch the token that `token` names. The other token of the response goes into the metadata, as a `Secret`."""
        asked = call.clock.now()
        response = yield self.request(call)
        if response.status_code != httpx.codes.OK:
            raise self._refuse(call, response)
        body = json_object(response)
        if ACCESS_TOKEN not in body and ("error" in body or "error_code" in body):
            raise self._refuse(call, response)
        check_bearer(response, body)
        # Every response has an access_token; an id_token is optional.
        values = {name: body.get(name) for name in (ACCESS_TOKEN, ID_TOKEN)}
        if self.token == ID_TOKEN and not values[ID_TOKEN]:
            raise ResponseError(
                "The server's answer has no id_token, which this profile asks for.",
                hint=self.without_id_hint,
                status=response.status_code,
                request_id=request_id_of(response, body),
            )
        token_of(response, body, ACCESS_TOKEN)
        value = token_of(response, body, self.token)
        del values[self.token]
        return self.issued(
            call,
            value,
            asked,
            expires_at=self._expiry(response, body, asked, value),
            metadata={
                "token_type": "Bearer",
                **({"scope": body["scope"]} if isinstance(body.get("scope"), str) else {}),
                # It is a credential too, so it is opaque as well.
                **{name: Secret(other) for name, other in values.items() if isinstance(other, str)},
            },
        )

    def _expiry(self, response: httpx.Response, body: Mapping[str, Any], asked: float, value: str) -> datetime | None:
        """Return the expiry from `expires_in`, or from an id_token's own `exp` if that is earlier."""
        life = life_of(response, body)
        life = self.default_life if life is None else life
        ends = [] if life is None else [moment_of(response, body, asked + life)]
        stated = jwt_expiry(value) if self.token == ID_TOKEN else None
        if stated is not None:
            ends.append(utc(stated))
        if ends and min(ends) <= utc(asked):
            raise unusable(response, "The server returned a token that has expired already.", body, hint=self.life_hint)
        return min(ends, default=None)

    def _refuse(self, call: Call, response: httpx.Response) -> ApiError:
        body = try_json_object(response) or {}
        return refusal(
            response,
            now=call.clock.now(),
            body=body,
            # The second name of each pair is Huawei Cloud's.
            code=body.get("error", body.get("error_code")),
            message=body.get("error_description", body.get("error_msg")),
            meanings=self.meanings,
        )


class OAuth2(TokenEndpoint):
    """`POST` to the token endpoint, `grant_type=client_credentials`."""

    id = "oauth2"
    title = "OAuth 2.0 client credentials"
    documentation = "RFC 6749, section 4.4: Client Credentials Grant"
    meanings: ClassVar = _MEANINGS
    life_hint = "Ask the server's administrator for the life of this client's tokens."
    without_id_hint = (
        "Ask for it with params scope: openid (some servers also need another scope or audience); "
        "many issue none for client credentials: then set token to access_token."
    )
    params: ClassVar = {
        "scope": Param("Scopes of the token, separated by spaces."),
        "audience": Param("Audience of the token, if the server uses this parameter."),
        "resource": Param("URI of the resource that the token is for, if the server uses this parameter."),
    }

    sign_in: ClassVar = (
        SignIn("basic", "Client secret by HTTP Basic", ("client_secret",), chosen_by=("auth_method", "basic")),
        SignIn("form", "Client secret in the body", ("client_secret",), chosen_by=("auth_method", "form")),
        SignIn(
            "private_key_jwt",
            "Signed assertion",
            ("private_key",),
            ("signing_algorithm", "key_id", "assertion_audience"),
            chosen_by=("auth_method", "private_key_jwt"),
        ),
    )

    endpoint = Endpoint(
        "Full URL of the token endpoint.",
        label="Token endpoint",
        example="https://login.example.com/oauth2/token",
        required=True,
    )
    base_url = Endpoint(
        "Base URL of the API that the tokens are for; nothing is sent there to get a token.",
        label="Base URL of the API",
        example="https://api.example.com/v1",
    )
    client_id = Reference("Client id.", secret=False, label="Client ID", required=True)
    client_secret = Reference("Client secret, for basic and form.", secret=True)
    private_key = Reference("Private key in PEM, unencrypted, for private_key_jwt.", secret=True)
    auth_method = Setting(
        "How the client authenticates: basic (HTTP Basic), form (in the body), private_key_jwt (signed assertion).",
        choices=("basic", "form", "private_key_jwt"),
        default="basic",
        label="Authentication method",
    )
    signing_algorithm = Setting("What private_key_jwt signs with.", choices=ALGORITHMS, default="RS256")
    key_id = Setting("kid of the assertion, where the server knows several keys of the client.", label="Key ID")
    assertion_audience = Setting("aud of the assertion; by default the token endpoint.", advanced=True)
    extra_params = Setting(
        "Further parameters of each request, form-encoded: tenant=acme&realm=x. No place for secrets.",
        label="Extra parameters",
        example="tenant=acme",
        advanced=True,
    )

    def check(self) -> None:
        """Require the endpoint, `client_id`, and the secret or key of `auth_method`."""
        super().check()
        self._extra()

    def base(self) -> str:
        """Return the token endpoint unchanged: a slash at its end is part of it."""
        return str(self.endpoint)

    def api_url(self) -> str | None:
        """Return `base_url`: the token endpoint is not the API."""
        return self.base_url.rstrip("/") or None

    def credential(self, secrets: Mapping[str, Secret]) -> Client:
        """Return the client with its secret or private key."""
        return Client(secrets["client_id"].reveal(), secrets.get("private_key") or secrets["client_secret"])

    def request(self, call: Call) -> httpx.Request:
        """Return the request for a token, with the client's authentication."""
        client: Client = call.credential
        headers = {**COMMON_HEADERS, "Accept": "application/json"}
        form = {"grant_type": "client_credentials", **{name: str(value) for name, value in call.params.items()}}
        if self.auth_method == "basic":
            headers["Authorization"] = basic(client)
        elif self.auth_method == "form":
            form |= {"client_id": client.id, "client_secret": client.proof.reveal()}
        else:
            form |= {
                "client_id": client.id,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion(
                    client,
                    audience=self.assertion_audience or self.base(),
                    algorithm=self.signing_algorithm,
                    key_id=self.key_id,
                    now=call.clock.now(),
                ),
            }
        return httpx.Request("POST", parsed_url(self.base()), headers=headers, data={**self._extra(), **form})

    def _extra(self) -> dict[str, str]:
        try:
            pairs = (
                parse_qsl(self.extra_params, keep_blank_values=True, strict_parsing=True) if self.extra_params else []
            )
        except ValueError:
            raise SettingProblem("extra_params", "must be form-encoded, such as tenant=acme&realm=x") from None
        extra = dict(pairs)
        if len(extra) != len(pairs):
            raise SettingProblem("extra_params", "names a parameter twice")
        for name in extra:
            if name in _OURS or name in self.params:
                where = "params" if name in self.params else "the other settings"
                raise SettingProblem("extra_params", f"must not hold {name}, which is for {where}")
        return extra
