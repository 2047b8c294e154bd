"""Reads the metadata of an authorization server, and checks its id_tokens.

Source: RFC 8414 and OpenID Connect Discovery 1.0, section 4 (metadata); OpenID Connect Core 1.0, section 3.1.3.7
(id_token); RFC 7517 (keys).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..errors import ConfigurationError, ResponseError
from .answers import get_request_id, json_object, malformed, try_json_object
from .base import COMMON_HEADERS, Driven, Endpoint, SettingProblem, parsed_url

__all__ = [
    "METADATA_ENDPOINT",
    "SIGNED_BY",
    "Server",
    "check_claims",
    "check_time",
    "discover",
    "verify_id_token",
]

SIGNED_BY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""The signature algorithms that an id_token may use: all that are checked with a public key. `none` and HMAC with the
client's secret are not allowed."""
_LEEWAY_SECONDS = 60
_HINT = "Check the setting issuer, or give endpoint and the other endpoints in the profile instead."
_OPENID, _OAUTH = ".well-known/openid-configuration", "/.well-known/oauth-authorization-server"
_ENDPOINTS = {
    "token": "token_endpoint",
    "authorization": "authorization_endpoint",
    "device": "device_authorization_endpoint",
    "revocation": "revocation_endpoint",
    "jwks": "jwks_uri",
}


@dataclass(frozen=True, slots=True)
class Server:
    """An authorization server's endpoints; "" for an endpoint that it does not have.

    `scopes` are the scopes that its metadata lists. `sends_issuer` is true if its metadata announces that authorization
    responses contain `iss` (RFC 9207).
    """

    issuer: str = ""
    token: str = ""
    authorization: str = ""
    device: str = ""
    revocation: str = ""
    jwks: str = ""
    scopes: tuple[str, ...] = ()
    sends_issuer: bool = False


def discover(issuer: str) -> Driven[Server]:
    """Fetch an issuer's metadata from the URL that OpenID Connect defines, or else from the URL that RFC 8414 defines.

    Raises `ResponseError` if no metadata is returned, or if the metadata is invalid or names another issuer.
    """
    parts = urlsplit(issuer)
    addresses = (
        f"{issuer.rstrip('/')}/{_OPENID}",
        parts._replace(path=_OAUTH + parts.path.rstrip("/")).geturl(),
    )
    for address in addresses:
        headers = {**COMMON_HEADERS, "Accept": "application/json"}
        response = yield httpx.Request("GET", parsed_url(address), headers=headers)
        # Some servers return a page for every address that they do not know.
        if response.status_code == httpx.codes.OK and (body := try_json_object(response)) is not None:
            return _server(issuer, response, body)
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            break
    raise ResponseError(
        f"{parts.hostname} returned no issuer metadata.",
        hint=_HINT,
        status=response.status_code,
        retryable=response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR,
    )


def _server(issuer: str, response: httpx.Response, body: dict[str, Any]) -> Server:
    # RFC 8414, section 3.3: metadata that names another issuer must not be used.
    if body.get("issuer") != issuer:
        raise ResponseError(
            "The issuer's metadata names another issuer than the profile does.",
            hint="Write issuer exactly as the server does in its metadata, with or without a slash at the end.",
            status=response.status_code,
        )
    found: dict[str, str] = {}
    for name, field in _ENDPOINTS.items():
        value = body.get(field, "")
        try:
            METADATA_ENDPOINT.check(field, value)
        except SettingProblem as problem:
            raise _invalid(response, f"has an invalid {field}: it {problem.problem}") from None
        found[name] = value
    if not found["token"]:
        raise _invalid(response, "has no token_endpoint")
    scopes = body.get("scopes_supported")
    return Server(
        issuer=issuer,
        scopes=tuple(name for name in scopes if isinstance(name, str)) if isinstance(scopes, list) else (),
        sends_issuer=body.get("authorization_response_iss_parameter_supported") is True,
        **found,
    )


def _invalid(response: httpx.Response, problem: str) -> ResponseError:
    return ResponseError(
        f"The issuer's metadata {problem}.",
        hint=_HINT,
        status=response.status_code,
        request_id=get_request_id(response),
    )


class _MetadataEndpoint(Endpoint):
    """An `Endpoint` that may have a query, because the endpoints of some servers have a query."""

    def check(self, key: str, value: object) -> None:
        super().check(key, value.partition("?")[0] if isinstance(value, str) else value)


METADATA_ENDPOINT = _MetadataEndpoint("")
"""Checks the URLs in a server's metadata and responses."""


def verify_id_token(id_token: str, server: Server, client_id: str, now: float) -> Driven[dict[str, Any]]:
    """Return the claims of an id_token after checking its signature, issuer, audience and expiry.

    The signature is checked with the issuer's published keys, by PyJWT and cryptography (extra `oauth2`). Raises
    `ResponseError` if the keys cannot be read or the id_token fails a check, and `ConfigurationError` if a package is
    missing.
    """
    try:
        import jwt  # noqa: PLC0415 (an extra)
        from cryptography.hazmat.primitives import hashes  # noqa: F401, PLC0415 (PyJWT comes without it)
    except ImportError:
        raise ConfigurationError(
            "A login with token 'id_token' needs the packages PyJWT and cryptography to check the token's signature.",
            hint="Install them: pip install 'jupyter-tokens[oauth2]'",
        ) from None
    response = yield httpx.Request("GET", parsed_url(server.jwks), headers=COMMON_HEADERS)
    if response.status_code != httpx.codes.OK:
        raise malformed(response, "from jwks_uri contains no keys of the issuer")
    keys = json_object(response).get("keys")
    try:
        key = _key(keys, jwt.get_unverified_header(id_token).get("kid"))
        claims: dict[str, Any] = jwt.decode(
            id_token,
            jwt.PyJWK.from_dict(key).key,
            algorithms=[name for name in SIGNED_BY if key.get("alg", name) == name],
            audience=client_id,
            issuer=server.issuer,
            leeway=_LEEWAY_SECONDS,
            # `check_time` checks the expiry instead: it uses the clock of the call, which tests can set.
            options={"require": ["exp", "iat", "sub"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError, LookupError) as caught:
        why = type(caught).__name__
    else:
        check_time(claims, now)
        return claims
    raise _untrusted(f"its signature or claims cannot be verified ({why})")


def _key(keys: Any, wanted: object) -> dict[str, Any]:
    """Return the published signature key with the id `wanted`; None means any id.

    Raises LookupError unless exactly one key matches.
    """
    known = [key for key in keys if isinstance(key, dict) and key.get("use", "sig") == "sig"]
    fitting = [key for key in known if wanted in (None, key.get("kid"))]
    if len(fitting) != 1:
        raise LookupError
    return fitting[0]


def check_time(claims: Mapping[str, Any], now: float) -> None:
    """Raise `ResponseError` if an id_token expired at least 60 seconds ago, or has no `exp`."""
    ends = claims.get("exp")
    if not isinstance(ends, int | float) or ends + _LEEWAY_SECONDS <= now:
        raise _untrusted("it has expired, or has no expiry")


def check_claims(claims: Mapping[str, Any], server: Server, client_id: str, nonce: str) -> None:
    """Raise `ResponseError` if the issuer, audience or nonce of a login's id_token is wrong.

    The issuer is checked only if `server.issuer` is known, and the nonce only if `nonce` is given.
    """
    audience = claims.get("aud")
    if server.issuer and claims.get("iss") != server.issuer:
        raise _untrusted("it names another issuer")
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        raise _untrusted("it is for another client")
    if nonce and claims.get("nonce") != nonce:
        raise _untrusted("it has no nonce, or the nonce of another login")


def _untrusted(why: str) -> ResponseError:
    return ResponseError(
        f"The id_token cannot be trusted: {why}.",
        hint="Log in again; if it happens again, tell the login server's administrator.",
    )
