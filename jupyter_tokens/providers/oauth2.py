"""`oauth2`: fetches tokens for a program or a logged-in person, or in exchange for another token.

The login itself is in `oauth2_login`. Source: RFC 6749, sections 4.4 (client credentials), 5 (answers), 6 (refresh
tokens), 7.1 (token types); RFC 7523 (private_key_jwt); RFC 8693 (exchange); RFC 8707 (resource); OpenID Connect Core
1.0, sections 2 (id_token) and 12 (refresh).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import httpx

from ..clock import utc
from ..errors import (
    ApiError,
    ConfigurationError,
    Forbidden,
    InvalidRequest,
    ParameterError,
    ResponseError,
    ServiceUnavailable,
    Unauthorized,
)
from ..token import Secret, Token
from .answers import (
    Meaning,
    check_bearer,
    get_lifetime,
    get_request_id,
    jwt_claims,
    jwt_expiry,
    require_token,
    to_datetime,
    unusable,
)
from .base import (
    COMMON_HEADERS,
    Call,
    Driven,
    Endpoint,
    Flow,
    Provider,
    Reference,
    Setting,
    SettingProblem,
    SignIn,
    parsed_url,
)
from .credentials.oauth2 import ALGORITHMS, ASSERTION_TYPE, Client, assertion, basic
from .issuer import Server, discover, verify_id_token
from .login import Login, login_needed
from .params import Param
from .presets import Issuer, Preset, find_preset

__all__ = ["AUTHORIZATION_CODE", "DEVICE_CODE", "ID_TOKEN", "OAuth2", "TokenEndpoint", "as_strings"]

CLIENT_CREDENTIALS, AUTHORIZATION_CODE, DEVICE_CODE, TOKEN_EXCHANGE = GRANTS = (
    "client_credentials",
    "authorization_code",
    "device_code",
    "token_exchange",
)
_LOGINS = (AUTHORIZATION_CODE, DEVICE_CODE)
_TYPE = "urn:ietf:params:oauth:token-type:"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_SUBJECT = "profile:"
_METADATA_SECONDS = 3600.0
"""How long an issuer's metadata is used before it is read again, in seconds."""

ACCESS_TOKEN, ID_TOKEN = "access_token", "id_token"
"""The fields of a response that hold a token: the choices of the setting `token`."""

_CLIENT_HINT = "Check client_id, auth_method and the client's secret or key."
_MEANINGS = {
    "invalid_request": Meaning(InvalidRequest, "Check the parameters, and extra_params of the profile."),
    "invalid_client": Meaning(Unauthorized, _CLIENT_HINT),
    "invalid_grant": Meaning(
        Unauthorized, f"{_CLIENT_HINT} For a login, start it again. For token_exchange, check subject."
    ),
    "unauthorized_client": Meaning(Forbidden, "Register the client at the server for the profile's grant."),
    "unsupported_grant_type": Meaning(InvalidRequest, "Choose another grant: the endpoint does not support this one."),
    "access_denied": Meaning(Forbidden, "Log in again and allow the access, or ask the login server's administrator."),
    "expired_token": Meaning(InvalidRequest, "Start the login again."),
    "invalid_scope": Meaning(InvalidRequest, "Check scope: the client may lack permission for a part of it."),
    "invalid_target": Meaning(InvalidRequest, "Check resource and audience."),
    # RFC 6749 has these two codes for the authorization endpoint only, but servers also send them from other endpoints.
    "server_error": Meaning(ServiceUnavailable, "Try again later."),
    "temporarily_unavailable": Meaning(ServiceUnavailable, "Try again later."),
}
_RESERVED = frozenset(
    {
        *("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"),
        *("refresh_token", "code", "code_verifier", "redirect_uri", "device_code", "subject_token"),
        *("subject_token_type", "response_type", "state", "nonce", "code_challenge", "code_challenge_method"),
    }
)


class TokenEndpoint(Provider):
    """Base class of providers whose endpoint responds as in RFC 6749, section 5. A subclass builds the request."""

    default_life: ClassVar[float | None] = None
    """Life of a token in seconds if the response has no `expires_in`; None if that life is not known."""
    life_hint: ClassVar[str]
    """The hint of the error for a token that has already expired when it arrives."""
    without_id_hint: ClassVar[str]
    """The hint of the error for a response without the id_token that the profile asks for."""

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
        """Fetch the token that the setting `token` selects.

        If the response has the other token too, that token is a `Secret` in the metadata.
        """
        requested_at = call.clock.now()
        response = yield self.request(call)
        return self.read(call, response, self.success_body(call, response), requested_at)

    def success_body(self, call: Call, response: httpx.Response, status: int = httpx.codes.OK) -> dict[str, Any]:
        body = super().success_body(call, response, status)
        # Some servers also send refusals with status 200.
        if ACCESS_TOKEN not in body and ("error" in body or "error_code" in body):
            raise self.error_for(call, response)
        return body

    def code_and_message(self, response: httpx.Response, body: Mapping[str, Any]) -> tuple[object, object]:
        # The second name of each pair is Huawei Cloud's.
        return body.get("error", body.get("error_code")), body.get("error_description", body.get("error_msg"))

    def read(self, call: Call, response: httpx.Response, body: Mapping[str, Any], requested_at: float) -> Token:
        """Return the token of a successful response; `requested_at` is in seconds since the epoch.

        Raises `ResponseError` if the response has no valid token, and `UnusableToken` if the token has expired already.
        """
        check_bearer(response, body)
        values = {name: body.get(name) for name in (ACCESS_TOKEN, ID_TOKEN)}
        if self.token == ID_TOKEN and not values[ID_TOKEN]:
            raise ResponseError(
                "The server's answer has no id_token, which this profile asks for.",
                hint=self.without_id_hint,
                status=response.status_code,
                request_id=get_request_id(response, body),
            )
        # Every response must have a valid access_token, even if the id_token is used.
        require_token(response, body, ACCESS_TOKEN)
        value = require_token(response, body, self.token)
        del values[self.token]
        return self.make_token(
            call,
            value,
            requested_at,
            expires_at=self._expiry(response, body, requested_at, value),
            metadata={
                "token_type": "Bearer",
                **({"scope": body["scope"]} if isinstance(body.get("scope"), str) else {}),
                # The token that is not used is a credential too.
                **{name: Secret(other) for name, other in values.items() if isinstance(other, str)},
            },
        )

    def _expiry(
        self, response: httpx.Response, body: Mapping[str, Any], requested_at: float, value: str
    ) -> datetime | None:
        """Return the expiry by `expires_in` or else `default_life`, or by an id_token's `exp` if that is earlier.

        Return None if none of these is known. Raises `UnusableToken` if the token has expired already.
        """
        life = get_lifetime(response, body)
        life = self.default_life if life is None else life
        ends = [] if life is None else [to_datetime(response, body, requested_at + life)]
        stated = jwt_expiry(value) if self.token == ID_TOKEN else None
        if stated is not None:
            ends.append(utc(stated))
        if ends and min(ends) <= utc(requested_at):
            raise unusable(response, "The server returned a token that has expired already.", body, hint=self.life_hint)
        return min(ends, default=None)


class OAuth2(TokenEndpoint):
    """Fetches tokens from a token endpoint by the profile's grant, or returns the token of a person's login."""

    id = "oauth2"
    title = "OAuth 2.0 and OpenID Connect"
    documentation = "The identity provider's page on registering a client"
    meanings: ClassVar = _MEANINGS
    life_hint = "Check this machine's clock, or ask the server's administrator how long this client's tokens are valid."
    without_id_hint = (
        "Add openid to scope in params; some servers also need another scope or an audience. "
        "Many servers issue no id_token for client credentials: then set token to access_token."
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
        SignIn("none", "Public client, without a secret", chosen_by=("auth_method", "none")),
    )

    grant = Setting(
        "How to get a token: client_credentials (for a program), authorization_code or device_code (a person logs in), "
        "token_exchange (for the token of another profile).",
        choices=GRANTS,
        default=CLIENT_CREDENTIALS,
    )
    endpoint = Endpoint(
        "Full URL of the token endpoint.",
        label="Token endpoint",
        example="https://login.example.com/oauth2/token",
        required=True,
        unless="issuer",
    )
    issuer = Issuer(
        "URL of the issuer, exactly as in its metadata, which lists the endpoints; or the name of a well-known issuer "
        "from docs/login.md, such as github or entra:TENANT.",
        example="https://login.example.com",
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
        "How the client authenticates: basic (HTTP Basic), form (in the body), private_key_jwt (signed assertion), "
        "none (a public client, whose users log in).",
        choices=("basic", "form", "private_key_jwt", "none"),
        default="basic",
        label="Authentication method",
    )
    signing_algorithm = Setting("Signature algorithm of private_key_jwt.", choices=ALGORITHMS, default="RS256")
    key_id = Setting("kid of the assertion, if the server has several keys of the client.", label="Key ID")
    assertion_audience = Setting("aud of the assertion; by default the token endpoint.", advanced=True)
    subject = Reference(
        "For token_exchange: the profile whose token is exchanged.",
        secret=False,
        example="profile:hub",
        label="Subject",
        advanced=True,
    )
    subject_type = Setting(
        "For token_exchange: the type of the subject's token.",
        choices=("access_token", "id_token", "jwt"),
        default="access_token",
        advanced=True,
    )
    authorization_endpoint = Endpoint(
        "Authorization endpoint, if it is not read from an issuer's metadata.",
        example="https://login.example.com/oauth2/authorize",
        advanced=True,
    )
    device_endpoint = Endpoint(
        "Device authorization endpoint, if it is not read from an issuer's metadata.", advanced=True
    )
    revocation_endpoint = Endpoint("Revocation endpoint, if it is not read from an issuer's metadata.", advanced=True)
    redirect_uri = Endpoint(
        "Redirect URI of a login from the Jupyter server, if it differs from the address that the browser uses. For a "
        "hub: its /hub/user-redirect/jupyter-tokens/login/callback.",
        label="Redirect URI",
        advanced=True,
    )
    login_store = Setting(
        "Where a login is kept: file (mode 0600, next to the user's configuration) or keyring.",
        choices=("file", "keyring"),
        default="file",
        advanced=True,
    )
    extra_params = Setting(
        "Further parameters of each request, form-encoded: tenant=acme&realm=x. Not for secrets.",
        label="Extra parameters",
        example="tenant=acme",
        advanced=True,
    )

    preset: Preset | None = None
    """The preset that `issuer` names, or None. The profile's own settings override those of the preset."""

    def __init__(self, **settings: str) -> None:
        found = find_preset(issuer) if isinstance(issuer := settings.get("issuer"), str) else None
        if found is not None:
            self.preset, tenant = found
            del settings["issuer"]
            settings = {**self.preset.filled(tenant), **settings}
        super().__init__(**settings)
        self._server: tuple[float, Server] | None = None

    @property
    def logs_in(self) -> bool:
        """Whether a person has to log in: true for the grants authorization_code and device_code."""
        return self.grant in _LOGINS

    def check(self) -> None:
        """Check the settings as `Provider.check` does.

        The settings must also fit the grant, and `extra_params` must be valid.
        """
        super().check()
        if self.grant == CLIENT_CREDENTIALS and self.auth_method == "none":
            raise SettingProblem(
                "auth_method",
                "cannot be none with grant client_credentials, which needs a client secret or a private key",
            )
        if self.grant == TOKEN_EXCHANGE:
            if not self.subject:
                raise SettingProblem("subject", missing=True)
            if not self.subject.removeprefix(_SUBJECT) or not self.subject.startswith(_SUBJECT):
                raise SettingProblem("subject", "must be profile:NAME")
        elif self.subject:
            raise SettingProblem("subject", "is only used with grant token_exchange")
        if self.endpoint and self.grant == AUTHORIZATION_CODE and not self.authorization_endpoint:
            raise SettingProblem("authorization_endpoint", missing=True)
        if self.endpoint and self.grant == DEVICE_CODE and not self.device_endpoint:
            raise SettingProblem("device_endpoint", missing=True)
        if self.logs_in and self.token == ID_TOKEN and self.endpoint:
            raise SettingProblem(
                "token",
                "cannot be id_token for a login if endpoint is given: give only issuer, whose keys verify the id_token",
            )
        self.extra()

    def base(self) -> str:
        """Return the token endpoint, or else the issuer, unchanged: a slash at the end of the URL is kept."""
        return str(self.endpoint or self.issuer)

    def api_url(self) -> str | None:
        """Return `base_url`, or None if it is not given: the token endpoint is not the API that the tokens are for."""
        return self.base_url.rstrip("/") or None

    def credential(self, secrets: Mapping[str, Secret]) -> Client:
        """Return the client with its secret or private key, and the token to exchange, if the profile has a subject."""
        proof = secrets.get("private_key") or secrets.get("client_secret")
        return Client(secrets["client_id"].reveal(), proof or Secret(""), secrets.get("subject"))

    def server(self, call: Call) -> Driven[Server]:
        """Return the server's endpoints, from the profile or from the issuer's metadata.

        The metadata is read at most once an hour. Raises `ResponseError` if it cannot be read, and `ConfigurationError`
        if a login's id_token is to be used but the metadata names no keys to verify it.
        """
        if self.endpoint:
            # No metadata is read: `issuer` is only compared with `iss` in the server's responses.
            return Server(
                issuer=self.issuer,
                token=self.endpoint,
                authorization=self.authorization_endpoint,
                device=self.device_endpoint,
                revocation=self.revocation_endpoint,
            )
        now = call.clock.elapsed()
        if self._server is None or now >= self._server[0]:
            self._server = now + _METADATA_SECONDS, (yield from discover(self.issuer))
        server = self._server[1]
        if self.logs_in and self.token == ID_TOKEN and not server.jwks:
            raise ConfigurationError(
                "The issuer's metadata has no jwks_uri, so its id_tokens cannot be verified.",
                hint="Set token to access_token, or ask the login server's administrator.",
            )
        return server

    def retrieve(self, call: Call) -> Flow:
        """Fetch a token by the profile's grant."""
        server = yield from self.server(call)
        if self.logs_in:
            return (yield from self._use_login(call, server))
        requested_at = call.clock.now()
        if self.grant == CLIENT_CREDENTIALS:
            form = {"grant_type": "client_credentials"}
        else:
            assert call.credential.subject is not None
            form = {
                "grant_type": _EXCHANGE,
                "subject_token": call.credential.subject.reveal(),
                "subject_token_type": _TYPE + self.subject_type,
                **({"requested_token_type": _TYPE + ID_TOKEN} if self.token == ID_TOKEN else {}),
            }
        response = yield self.post(call, server, server.token, {**form, **as_strings(call.params)})
        body = self.success_body(call, response)
        if (
            self.grant == TOKEN_EXCHANGE
            and self.token == ID_TOKEN
            and body.get("issued_token_type") == _TYPE + ID_TOKEN
        ):
            # RFC 8693, section 2.2.1: any issued token is in the field access_token. If it is not an access token, its
            # token_type is N_A.
            body = {**body, "token_type": "Bearer", "id_token": body.get(ACCESS_TOKEN)}
        return self.read(call, response, body, requested_at)

    def post(self, call: Call, server: Server, url: str, form: Mapping[str, str]) -> httpx.Request:
        """Return a POST of a form to the server's endpoint `url`, with the client's authentication.

        Raises `SecretError` if the client's private key cannot sign an assertion.
        """
        client: Client = call.credential
        headers = {**COMMON_HEADERS, "Accept": "application/json"}
        fields = dict(form)
        if self.auth_method == "basic":
            headers["Authorization"] = basic(client)
        elif self.auth_method == "form":
            fields |= {"client_id": client.id, "client_secret": client.proof.reveal()}
        elif self.auth_method == "none":
            fields["client_id"] = client.id
        else:
            fields |= {
                "client_id": client.id,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion(
                    client,
                    audience=self.assertion_audience or server.token,
                    algorithm=self.signing_algorithm,
                    key_id=self.key_id,
                    now=call.clock.now(),
                ),
            }
        return httpx.Request("POST", parsed_url(url), headers=headers, data={**self.extra(), **fields})

    def _use_login(self, call: Call, server: Server) -> Flow:
        """Fetch a token with the login's refresh token; without a refresh token, return the login's only token.

        Raises `LoginNeeded` if the login has ended, or is for another server or client than the profile names.
        """
        in_use = call.login
        assert in_use is not None
        login = in_use.login
        if (login.server, login.client_id) != (server.token, call.credential.id):
            raise login_needed(call.profile, "The login is for another server or client than the profile names now.")
        if login.refresh_token is None:
            return self._login_token(call, login)
        requested_at = call.clock.now()
        params = as_strings(call.params)
        if params.get("scope") == login.params.get("scope"):
            params.pop("scope", None)
        form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token.reveal(), **params}
        response = yield self.post(call, server, server.token, form)
        try:
            body = self.success_body(call, response)
        except ApiError as error:
            if error.code != "invalid_grant":
                raise
            in_use.save(None)
            login_ended = login_needed(call.profile, f"The login has ended: {error.message}", code=error.code)
            login_ended.status, login_ended.request_id = error.status, error.request_id
        else:
            rotated = body.get("refresh_token")
            if isinstance(rotated, str) and rotated and rotated != login.refresh_token.reveal():
                # Stored before anything else can fail: the server may no longer accept the old refresh token.
                in_use.save(replace(login, refresh_token=Secret(rotated)))
            token = self.read(call, response, body, requested_at)
            if self.token == ID_TOKEN:
                claims = yield from verify_id_token(token.reveal(), server, call.credential.id, requested_at)
                self._check_subject(login, claims)
            elif isinstance(body.get(ID_TOKEN), str):
                self._check_subject(login, jwt_claims(body[ID_TOKEN]))
            return token
        raise login_ended

    def _login_token(self, call: Call, login: Login) -> Token:
        if dict(call.params) != dict(login.params):
            raise ParameterError(
                "The server gave no refresh token, so this login has only one token, with the parameters of the login.",
                hint="Leave the parameters out of the call, or log in again if the profile's params have changed. "
                "Calls with other parameters need a login with offline access, if the server offers it.",
            )
        now = call.clock.now()
        if login.token is None or (login.expires_at is not None and login.expires_at <= now):
            raise login_needed(call.profile, "The login has ended, and the server gave no refresh token.")
        if login.kind != self.token:
            raise login_needed(call.profile, f"The login has no {self.token}, which the profile asks for now.")
        expires_at = None if login.expires_at is None else utc(login.expires_at)
        return self.make_token(call, login.token.reveal(), min(now, login.since), expires_at=expires_at)

    @staticmethod
    def _check_subject(login: Login, claims: Mapping[str, Any]) -> None:
        # OpenID Connect Core 1.0, section 12.2: a refresh must not change `sub`.
        if login.subject and claims.get("sub") != login.subject:
            raise ResponseError(
                "The id_token belongs to another person than the login does.", hint="Log out and log in again."
            )

    def extra(self) -> dict[str, str]:
        """Return `extra_params` by name. Raises `SettingProblem` if they are malformed, repeated or reserved."""
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
            if name in _RESERVED or name in self.params:
                where = "belongs in params" if name in self.params else "the provider sets itself"
                raise SettingProblem("extra_params", f"must not contain {name}, which {where}")
        return extra


def as_strings(params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as strings, for a form."""
    return {name: str(value) for name, value in params.items()}
