"""Logs a person in for an `oauth2` profile: in a browser, which is redirected back with a code, or on another device.

Source: RFC 6749, section 4.1; RFC 7636 (PKCE); RFC 9207 (iss); RFC 8628 (device); RFC 7009 (revocation); OpenID Connect
Core 1.0, sections 3.1.2, 3.1.3 and 11 (offline_access).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from ..errors import ConfigurationError, Forbidden
from ..token import Secret
from .answers import get_number, jwt_claims, malformed, plain, require_str, try_json_object
from .base import Call, Driven
from .fields import SettingProblem
from .issuer import METADATA_ENDPOINT, Server, check_claims, check_time, verify_id_token
from .login import Login, login_needed
from .oauth2 import ID_TOKEN, OAuth2, as_strings

__all__ = ["Authorization", "DeviceCode", "authorization_url", "poll_device", "redeem", "revoke", "start_device"]

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_OPENID_SCOPES = ("openid", "profile", "email", "offline_access")
_INTERVAL_SECONDS, _SLOWER_SECONDS = 5.0, 5.0
_MIN_INTERVAL, _MAX_INTERVAL = 1.0, 60.0
_CODE_SECONDS, _MAX_CODE_SECONDS = 600.0, 3600.0
_MAX_NAME_LENGTH = 200


def _random_secret() -> Secret:
    return Secret(secrets.token_urlsafe(32))


@dataclass(frozen=True, slots=True)
class Authorization:
    """A login with a browser: its redirect URI, and the secrets that link the end of the login to its beginning."""

    redirect_uri: str
    # Only letters and digits, because OneAccess documents no other characters for the state.
    state: Secret = field(default_factory=lambda: Secret(secrets.token_hex(32)))
    nonce: Secret = field(default_factory=_random_secret)
    verifier: Secret = field(default_factory=_random_secret)


@dataclass(slots=True)
class DeviceCode:
    """A login on another device: the codes, and the URLs where the person enters the user code.

    `interval` is the time between two polls, and `expires_in` the life of the codes, both in seconds.
    """

    code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: float
    interval: float


def authorization_url(provider: OAuth2, call: Call, authorization: Authorization) -> Driven[str]:
    """Return the URL that the person's browser opens.

    Raises `ConfigurationError` if the server has no authorization endpoint.
    """
    server = yield from provider.server(call)
    if not server.authorization:
        raise ConfigurationError(
            "The server has no authorization endpoint.",
            hint="Log in with --device, or give endpoint and authorization_endpoint in the profile.",
        )
    digest = hashlib.sha256(authorization.verifier.reveal().encode()).digest()
    params = _login_params(provider, call, server)
    query = {
        # OpenID Connect ignores offline_access unless the person is asked for consent. The preset or `extra_params` may
        # set another prompt.
        **({"prompt": "consent"} if "offline_access" in params.get("scope", "").split() else {}),
        **(provider.preset.authorize if provider.preset else {}),
        **provider.extra(),
        **params,
        "response_type": "code",
        "client_id": call.credential.id,
        "redirect_uri": authorization.redirect_uri,
        "state": authorization.state.reveal(),
        "nonce": authorization.nonce.reveal(),
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    joint = "&" if urlsplit(server.authorization).query else "?"
    return f"{server.authorization}{joint}{urlencode(query)}"


def redeem(provider: OAuth2, call: Call, authorization: Authorization, answer: Mapping[str, str]) -> Driven[Login]:
    """Exchange the code in `answer`, the query of the redirect, for a login. The caller must have checked `state`.

    Raises `Forbidden` if `answer` has an error or no code, and `LoginNeeded` if it may be from another server.
    """
    server = yield from provider.server(call)
    _check_issuer(call, server, answer)
    if "error" in answer or not answer.get("code"):
        code = plain(answer.get("error", ""), 60) or None
        description = plain(answer.get("error_description", ""), 200).rstrip(".")
        raise Forbidden(
            f"The server did not complete the login{f': {description}' if description else ''}.",
            code=code,
            hint="Start the login again, or ask the login server's administrator.",
        )
    now = call.clock.now()
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": authorization.redirect_uri,
        "code_verifier": authorization.verifier.reveal(),
    }
    response = yield provider.post(call, server, server.token, form)
    body = provider.success_body(call, response)
    return (
        yield from _login(
            provider, call, server, response=response, body=body, now=now, nonce=authorization.nonce.reveal()
        )
    )


def start_device(provider: OAuth2, call: Call) -> Driven[DeviceCode]:
    """Start a login on another device. Return the codes, and the URLs where the person enters the user code.

    Raises `ConfigurationError` if the server has no device authorization endpoint.
    """
    server = yield from provider.server(call)
    if not server.device:
        raise ConfigurationError(
            "The server has no device authorization endpoint.",
            hint="Log in with a browser: leave out --device, or set the profile's grant to authorization_code.",
        )
    response = yield provider.post(call, server, server.device, _login_params(provider, call, server))
    body = provider.success_body(call, response)
    uri, complete_uri = require_str(response, body, "verification_uri"), body.get("verification_uri_complete", "")
    for address in filter(None, (uri, complete_uri)):
        try:
            METADATA_ENDPOINT.check("verification_uri", address)
        except SettingProblem as problem:
            raise malformed(response, f"has an invalid verification URL: it {problem.problem}") from None
    life, interval = get_number(response, body, "expires_in"), get_number(response, body, "interval")
    return DeviceCode(
        code=Secret(require_str(response, body, "device_code")),
        user_code=plain(require_str(response, body, "user_code"), 40),
        verification_uri=uri,
        verification_uri_complete=complete_uri if isinstance(complete_uri, str) else "",
        # RFC 8628 requires expires_in, but not interval. Numbers outside these limits would mean too many polls, or too
        # long a wait.
        expires_in=min(max(_CODE_SECONDS if life is None else life, 0.0), _MAX_CODE_SECONDS),
        interval=min(max(_INTERVAL_SECONDS if interval is None else interval, _MIN_INTERVAL), _MAX_INTERVAL),
    )


def poll_device(provider: OAuth2, call: Call, device: DeviceCode) -> Driven[Login | None]:
    """Poll the server once. Return the login, or None while the person has not decided.

    Raises `TokenError` if the login has failed. If the server asks to slow down, `device.interval` becomes longer.
    """
    server = yield from provider.server(call)
    now = call.clock.now()
    form = {"grant_type": _DEVICE, "device_code": device.code.reveal()}
    response = yield provider.post(call, server, server.token, form)
    # The HTTP status does not matter here: it differs between servers that send these codes.
    code = (try_json_object(response) or {}).get("error")
    if code == "slow_down":
        device.interval += _SLOWER_SECONDS
    if code in ("authorization_pending", "slow_down"):
        return None
    body = provider.success_body(call, response)
    return (yield from _login(provider, call, server, response=response, body=body, now=now))


def revoke(provider: OAuth2, call: Call, login: Login) -> Driven[bool]:
    """Revoke a login at its server. Return whether the server has revoked it.

    Nothing is sent if the server has no revocation endpoint, or if the token endpoint, the revocation endpoint or the
    client has changed since the login.
    """
    server = yield from provider.server(call)
    value, hint = login.refresh_token, "refresh_token"
    if value is None:
        value, hint = login.token, "access_token"
    now = (server.token, server.revocation, call.credential.id)
    if not server.revocation or value is None or (login.server, login.revocation, login.client_id) != now:
        return False
    form = {"token": value.reveal(), "token_type_hint": hint}
    response = yield provider.post(call, server, server.revocation, form)
    return response.status_code == httpx.codes.OK


def _check_issuer(call: Call, server: Server, answer: Mapping[str, str]) -> None:
    """Raise `LoginNeeded` if `iss` names another server, or is missing although the metadata announces it (RFC 9207).

    The code in the response may then come from another server, and must not be sent to this one.
    """
    issuer = answer.get("iss")
    if server.issuer and (issuer != server.issuer if issuer is not None else server.sends_issuer):
        raise login_needed(
            call.profile, "The login was rejected: its response does not name the profile's server as the issuer (iss)."
        )


def _login_params(provider: OAuth2, call: Call, server: Server) -> dict[str, str]:
    """Return the parameters of a login; empty ones are left out.

    The scope is that of the call, or else that of the preset. If neither has a scope, and the server's metadata names
    its keys, the scope consists of those in `_OPENID_SCOPES` that the metadata lists. If the metadata lists no scopes,
    it is `openid`.
    """
    params = as_strings(call.params)
    if "scope" not in params and provider.preset and provider.preset.scope:
        params["scope"] = provider.preset.scope
    elif "scope" not in params and server.jwks:
        known = server.scopes or ("openid",)
        params["scope"] = " ".join(name for name in _OPENID_SCOPES if name in known)
    return {name: value for name, value in params.items() if value}


def _login(
    provider: OAuth2,
    call: Call,
    server: Server,
    *,
    response: httpx.Response,
    body: Mapping[str, Any],
    now: float,
    nonce: str = "",
) -> Driven[Login]:
    token = provider.read(call, response, body, now)
    client_id: str = call.credential.id
    id_token, claims = body.get(ID_TOKEN), {}
    if isinstance(id_token, str):
        # The id_token comes from the server itself, over TLS: its signature is checked only if it is used as the token.
        used = provider.token == ID_TOKEN
        claims = (yield from verify_id_token(id_token, server, client_id, now)) if used else jwt_claims(id_token)
        check_claims(claims, server, client_id, nonce)
        check_time(claims, now)
    refresh = body.get("refresh_token")
    display_name = next((claims[name] for name in ("preferred_username", "email", "name") if claims.get(name)), "")
    refresh_token = Secret(refresh) if isinstance(refresh, str) and refresh else None
    return Login(
        server=server.token,
        client_id=client_id,
        revocation=server.revocation,
        since=now,
        who=plain(display_name, _MAX_NAME_LENGTH) if isinstance(display_name, str) else "",
        subject=claims["sub"] if isinstance(claims.get("sub"), str) else "",
        params=dict(call.params),
        refresh_token=refresh_token,
        kind=provider.token,
        token=None if refresh_token else Secret(token.reveal()),
        expires_at=None if refresh_token or token.expires_at is None else token.expires_at.timestamp(),
    )
