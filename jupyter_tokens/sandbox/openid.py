"""An OpenID provider. A person logs in as `demo`. Programs get tokens for themselves, or by token exchange.

It is as strict as a good real provider. Sources: RFC 6749, 7009, 7636 (only S256), 8252, 8414, 8628, 8693, 9207, 9700,
and OpenID Connect Core and Discovery 1.0.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, ClassVar
from urllib.parse import unquote_plus, urlencode, urlsplit

from .accounts import is_secret
from .api import MAX_ISSUED, Api, ErrorTable, Issued, RefusedError, World, remember
from .messages import Request, Response, base64url, json_response, jwt

PREFIX = "/openid"
WELL_KNOWN = "/.well-known/"
PUBLIC_CLIENT = "sandbox-app"
"""A client without a secret (a public client), for programs on a person's own machine."""
CALLBACKS = ("/jupyter-tokens/login/callback", "/callback", "/hub/oauth_callback")
"""The path of a redirect URI must end with one of these. The host must be loopback, with any port (RFC 8252, 7.3)."""
PERSON = {"sub": "demo-0001", "name": "Demo Person", "preferred_username": "demo", "email": "demo@example.com"}
SCOPES = ("openid", "profile", "email", "offline_access", "read", "write")
LIFE, CODE_LIFE, DEVICE_LIFE, REFRESH_LIFE, PAGE_LIFE = 3600, 60, 600, 30 * 86400, 600
INTERVAL = 5
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_ACCESS_TYPE = "urn:ietf:params:oauth:token-type:access_token"
_NO_STORE = [("Cache-Control", "no-store"), ("Pragma", "no-cache")]
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_COOKIE = "sandbox_openid"
_MAX_GUESSES = 20
_STYLE = (
    "<style>body{font:16px sans-serif;max-width:26em;margin:4em auto;padding:0 1em}button,input{font:inherit;"
    "padding:.4em 1em;margin:.3em .3em .3em 0}</style>"
)


@dataclass
class _Grant:
    """What a client may do, for a person or for itself, with the access tokens and the latest refresh token for it."""

    client_id: str
    scope: tuple[str, ...]
    nonce: str = ""
    auth_time: int = 0
    person: bool = True
    access: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_ISSUED))
    refresh: str = ""
    ended: bool = False


@dataclass
class _Consent:
    """What a page asks a person to allow: the login of a device, or of a client that gets a code by redirect.

    `expires_at` is when the page expires and, after the person has allowed a redirect, when the code expires. `cookie`
    binds the page to the browser that shows it.
    """

    grant: _Grant
    expires_at: float
    redirect_uri: str = ""
    challenge: str = ""
    state: str = ""
    device: _Device | None = None
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    spent: bool = False


@dataclass
class _Device:
    grant: _Grant
    user_code: str
    expires_at: float
    interval: float = INTERVAL
    polled_at: float = float("-inf")
    allowed: bool | None = None
    spent: bool = False


class OpenId(Api):
    """One issuer, at `PREFIX` below the sandbox's URL.

    `url` returns the sandbox's URL, which is known only after the start.
    """

    name: ClassVar[str] = "openid"
    default_errors: ClassVar[ErrorTable] = {
        status: (code, "The sandbox refused the call: wrong path or method, or a planned fault.")
        for status, code in (
            (400, "invalid_request"),
            (401, "invalid_client"),
            (403, "access_denied"),
            (500, "server_error"),
            (503, "temporarily_unavailable"),
        )
    }

    def __init__(self, world: World, url: Callable[[], str]) -> None:
        super().__init__(world)
        self._url = url
        self._kid = secrets.token_hex(8)
        self._codes: OrderedDict[str, _Consent] = OrderedDict()
        self._pending: OrderedDict[str, _Consent] = OrderedDict()
        self._devices: OrderedDict[str, _Device] = OrderedDict()
        self._refresh: OrderedDict[str, tuple[_Grant, float]] = OrderedDict()
        self._guesses: list[float] = []
        self._routes: dict[str, dict[str, Callable[[Request], Response]]] = {
            f"{PREFIX}/authorize": {"GET": self._authorize, "POST": self._decide},
            f"{PREFIX}/device": {"GET": self._device_page, "POST": self._device_submit},
            f"{PREFIX}/token": {"POST": self._token},
            f"{PREFIX}/device_authorization": {"POST": self._device_authorization},
            f"{PREFIX}/revoke": {"POST": self._revoke},
            f"{PREFIX}/userinfo": {"GET": self._userinfo, "POST": self._userinfo},
            f"{PREFIX}/jwks": {"GET": self._jwks},
            f"{PREFIX}{WELL_KNOWN}openid-configuration": {"GET": self._metadata},
            f"{WELL_KNOWN}oauth-authorization-server{PREFIX}": {"GET": self._metadata},
        }

    @property
    def issuer(self) -> str:
        """The issuer's identifier, a URL."""
        return self._url() + PREFIX

    def requests_token(self, request: Request) -> bool:
        """Whether a call requests a token: only calls of the token endpoint do."""
        return request.path == f"{PREFIX}/token"

    def respond(self, request: Request) -> Response:
        """Answer a request."""
        routes = self._routes.get(request.path)
        if routes is None:
            raise RefusedError(404)
        act = routes.get("GET" if request.method == "HEAD" else request.method)
        if act is None:
            return self.failure(request, 405).with_headers({"Allow": ", ".join(routes)})
        return act(request)

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create an error in the form of RFC 6749, section 5.2."""
        body = {"error": refused.code, "error_description": refused.message}
        basic = [("WWW-Authenticate", 'Basic realm="sandbox"')] if refused.status == HTTPStatus.UNAUTHORIZED else []
        return json_response(refused.status, body, [*_NO_STORE, *basic])

    # Metadata

    def _metadata(self, _request: Request) -> Response:
        issuer = self.issuer
        return json_response(
            200,
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "device_authorization_endpoint": f"{issuer}/device_authorization",
                "revocation_endpoint": f"{issuer}/revoke",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "jwks_uri": f"{issuer}/jwks",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": [*self._grant_routes],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            },
        )

    @cached_property
    def _key(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 (only ID tokens need it)

        return rsa.generate_private_key(65537, 2048)

    def _jwks(self, _request: Request) -> Response:
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._kid}
        key |= {
            name: base64url(n.to_bytes((n.bit_length() + 7) // 8)) for name, n in (("n", numbers.n), ("e", numbers.e))
        }
        return json_response(200, {"keys": [key]})

    # Pages for a person

    def _authorize(self, request: Request) -> Response:
        given = dict(request.params)
        if len(given) != len(request.params):
            return _page(400, "<p>A parameter is given twice.</p>")
        client_id, redirect_uri = given.get("client_id", ""), given.get("redirect_uri", "")
        # Never redirect to a URI that is not registered for the client.
        if not self._is_client(client_id) or not _is_registered(redirect_uri):
            return _page(400, "<p>The client or its redirect URI is not registered.</p>")
        try:
            scope = _requested_scope(given)
        except RefusedError as refused:
            error = {"error": refused.code, "error_description": refused.message}
            return self._redirect(redirect_uri, given.get("state", ""), error)
        if "offline_access" in scope and "consent" not in given.get("prompt", "").split():
            scope = tuple(name for name in scope if name != "offline_access")
        grant = _Grant(client_id, scope, given.get("nonce", ""))
        ends = self.world.clock() + PAGE_LIFE
        return self._consent_page(_Consent(grant, ends, redirect_uri, given["code_challenge"], given.get("state", "")))

    def _consent_page(self, consent: _Consent) -> Response:
        """Return the page with the buttons that allow or deny access."""
        transaction = secrets.token_urlsafe(24)
        remember(self._pending, transaction, consent)
        names = escape(", ".join(consent.grant.scope) or "nothing in particular")
        body = (
            f"<h1>Sandbox</h1><p><b>{escape(consent.grant.client_id)}</b> asks for access to: {names}.</p>"
            f'<form method="post" action="{PREFIX}/authorize">'
            f'<input type="hidden" name="transaction" value="{transaction}">'
            '<button name="decision" value="allow">Log in as demo</button>'
            '<button name="decision" value="deny">Deny</button></form>'
        )
        cookie = f"{_COOKIE}={consent.cookie}; Path={PREFIX}; HttpOnly; SameSite=Lax"
        page = _page(200, body)
        page.headers.append(("Set-Cookie", cookie))
        return page

    def _decide(self, request: Request) -> Response:
        """Do what a person decided on the page of `_consent_page`."""
        given, now = dict(_form(request)), self.world.clock()
        consent = self._pending.pop(given.get("transaction", ""), None)
        # The page is unknown or was answered before, too late, in another browser, or for a device decided elsewhere.
        if (
            consent is None
            or now >= consent.expires_at
            or not is_secret(consent.cookie, _cookie(request))
            or (consent.device is not None and consent.device.allowed is not None)
        ):
            return _page(400, "<p>This page is no longer valid. Start the login again.</p>")
        allowed = given.get("decision") == "allow"
        consent.grant.auth_time = int(now)
        if consent.device is not None:
            consent.device.allowed = allowed
            done = "Done: the device is logged in" if allowed else "Denied"
            return _page(200, f"<p>{done}. You can close this page.</p>")
        if not allowed:
            return self._redirect(consent.redirect_uri, consent.state, {"error": "access_denied"})
        code, consent.expires_at = secrets.token_urlsafe(32), now + CODE_LIFE
        remember(self._codes, code, consent)
        return self._redirect(consent.redirect_uri, consent.state, {"code": code})

    def _redirect(self, to: str, state: str, params: Mapping[str, str]) -> Response:
        query = urlencode({**params, **({"state": state} if state else {}), "iss": self.issuer})
        return Response(303, b"", [("Location", f"{to}?{query}"), ("Referrer-Policy", "no-referrer"), *_NO_STORE])

    def _device_page(self, request: Request) -> Response:
        shown = escape(dict(request.params).get("user_code", ""))
        return _page(
            200,
            f'<h1>Sandbox</h1><form method="post" action="{PREFIX}/device"><p><label>Code shown by the device '
            f'<input name="user_code" value="{shown}" autocomplete="off"></label></p><button>Continue</button></form>',
        )

    def _device_submit(self, request: Request) -> Response:
        user_code, now = dict(_form(request)).get("user_code", ""), self.world.clock()
        self._guesses = [at for at in self._guesses if now - at < DEVICE_LIFE]
        if len(self._guesses) >= _MAX_GUESSES:
            return _page(429, "<p>Too many wrong codes. Try again in ten minutes.</p>")
        code = re.sub(r"[^A-Z]", "", user_code.upper())
        for device in self._devices.values():
            is_waiting = device.allowed is None and now < device.expires_at
            if is_waiting and is_secret(device.user_code.replace("-", ""), code):
                return self._consent_page(_Consent(device.grant, now + PAGE_LIFE, device=device))
        self._guesses.append(now)
        return _page(400, "<p>This code is unknown, has expired or was used already.</p>")

    # Endpoints for clients

    def _device_authorization(self, request: Request) -> Response:
        given = _unique(_form(request))
        client_id = self._client(request, given)
        device_code, letters = secrets.token_urlsafe(32), "".join(secrets.choice(_LETTERS) for _ in range(8))
        user_code = f"{letters[:4]}-{letters[4:]}"
        grant = _Grant(client_id, _scope(given.get("scope", "")))
        remember(self._devices, device_code, _Device(grant, user_code, self.world.clock() + DEVICE_LIFE))
        place = f"{self.issuer}/device"
        body = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": place,
            "verification_uri_complete": f"{place}?user_code={user_code}",
            "expires_in": DEVICE_LIFE,
            "interval": INTERVAL,
        }
        return json_response(200, body, _NO_STORE)

    @property
    def _grant_routes(self) -> dict[str, Callable[[Request, str, dict[str, str]], dict[str, Any]]]:
        return {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh_token,
            "client_credentials": self._by_client,
            _DEVICE: self._by_device_code,
            _EXCHANGE: self._by_exchange,
        }

    def _token(self, request: Request) -> Response:
        given = _unique(_form(request))
        client_id = self._client(request, given)
        act = self._grant_routes.get(given.get("grant_type", ""))
        if act is None:
            kind = "unsupported_grant_type" if given.get("grant_type") else "invalid_request"
            raise RefusedError(400, kind, "grant_type is missing or not supported.")
        return json_response(200, act(request, client_id, given), _NO_STORE)

    def _by_code(self, request: Request, client_id: str, given: dict[str, str]) -> dict[str, Any]:
        code = self._codes.get(given.get("code", ""))
        if code is None or code.grant.client_id != client_id:
            raise _invalid_grant("The code is not known for this client.")
        if code.spent:
            # RFC 6749, section 4.1.2: if a code is used twice, one of the users may be a thief.
            self._end_grant(code.grant)
            raise _invalid_grant("The code was used already; the tokens issued for it are revoked.")
        code.spent = True
        if self.world.clock() >= code.expires_at:
            raise _invalid_grant("The code has expired.")
        if given.get("redirect_uri") != code.redirect_uri:
            raise _invalid_grant("redirect_uri differs from the redirect_uri of the authorization request.")
        verifier = given.get("code_verifier", "")
        digest = base64url(hashlib.sha256(verifier.encode()).digest())
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(digest, code.challenge):
            raise _invalid_grant("code_verifier is malformed, or does not match code_challenge.")
        return self._issue(request, code.grant)

    def _by_refresh_token(self, request: Request, client_id: str, given: dict[str, str]) -> dict[str, Any]:
        value = given.get("refresh_token", "")
        grant, ends = self._refresh.get(value, (None, 0.0))
        if grant is None or grant.client_id != client_id or grant.ended or self.world.clock() >= ends:
            raise _invalid_grant("The refresh token is not known for this client, has expired or was revoked.")
        if grant.refresh != value:
            # RFC 9700, section 4.14.2: if a refresh token is used twice, one of the users may be a thief.
            self._end_grant(grant)
            raise _invalid_grant("The refresh token was used already; the login is revoked.")
        scope = _scope(given["scope"]) if "scope" in given else grant.scope
        if not set(scope) <= set(grant.scope):
            raise RefusedError(400, "invalid_scope", "The scope is wider than the scope that the person allowed.")
        return self._issue(request, grant, scope)

    def _by_client(self, request: Request, client_id: str, given: dict[str, str]) -> dict[str, Any]:
        if client_id == PUBLIC_CLIENT:
            raise RefusedError(400, "unauthorized_client", "A client without a secret cannot get a token for itself.")
        scope = tuple(name for name in _scope(given.get("scope", "")) if name in ("read", "write"))
        return self._issue(request, _Grant(client_id, scope, person=False))

    def _by_device_code(self, request: Request, client_id: str, given: dict[str, str]) -> dict[str, Any]:
        device = self._devices.get(given.get("device_code", ""))
        now = self.world.clock()
        if device is None or device.grant.client_id != client_id or device.spent:
            raise _invalid_grant("The device code is not known for this client, or was used already.")
        if now >= device.expires_at:
            raise RefusedError(400, "expired_token", "The device code has expired.")
        early, device.polled_at = now - device.polled_at < device.interval, now
        if early:
            device.interval += 5
            raise RefusedError(400, "slow_down", "The device polls too often.")
        if device.allowed is None:
            raise RefusedError(400, "authorization_pending", "The person has not decided yet.")
        if not device.allowed:
            raise RefusedError(400, "access_denied", "The person has denied access.")
        device.spent = True
        return self._issue(request, device.grant)

    def _by_exchange(self, request: Request, client_id: str, given: dict[str, str]) -> dict[str, Any]:
        if given.get("subject_token_type") != _ACCESS_TYPE or not given.get("subject_token"):
            raise RefusedError(
                400, "invalid_request", f"subject_token is missing, or subject_token_type is not {_ACCESS_TYPE}."
            )
        if given.get("requested_token_type", _ACCESS_TYPE) != _ACCESS_TYPE:
            raise RefusedError(400, "invalid_request", f"requested_token_type must be {_ACCESS_TYPE}.")
        token = self._find_access_token(given["subject_token"])
        if token is None:
            raise RefusedError(
                400, "invalid_request", "The subject token was not issued here, has expired or was revoked."
            )
        audience = given.get("audience", "")
        if not audience:
            raise RefusedError(400, "invalid_target", "The parameter audience is missing.")
        allowed = _scope(token.subject["scope"])
        scope = _scope(given["scope"]) if "scope" in given else allowed
        if not set(scope) <= set(allowed):
            raise RefusedError(400, "invalid_scope", "The scope is wider than the scope of the subject token.")
        plain = tuple(name for name in scope if name not in ("openid", "offline_access"))
        grant = _Grant(client_id, plain, person=_is_personal(token))
        issued = self._issue(request, grant, audience=audience)
        return {**issued, "issued_token_type": _ACCESS_TYPE}

    def _issue(
        self,
        request: Request,
        grant: _Grant,
        scope: tuple[str, ...] | None = None,
        audience: str = "",
    ) -> dict[str, Any]:
        now, scope = self.world.clock(), grant.scope if scope is None else scope
        end = self.world.token_expiry(self.name, request, LIFE)
        value = secrets.token_urlsafe(32)
        who = PERSON["sub"] if grant.person else grant.client_id
        subject = {"sub": who, "client_id": grant.client_id, "scope": " ".join(scope)}
        self.world.issue(value, Issued(self.name, end, {**subject, **({"aud": audience} if audience else {})}))
        grant.access.append(value)
        body: dict[str, Any] = {
            "access_token": value,
            "token_type": "Bearer",
            "expires_in": max(0, int(end - now)),
            "scope": " ".join(scope),
        }
        if "offline_access" in grant.scope:
            grant.refresh = secrets.token_urlsafe(32)
            remember(self._refresh, grant.refresh, (grant, now + REFRESH_LIFE))
            body["refresh_token"] = grant.refresh
        if "openid" in scope and grant.person:
            body["id_token"] = self._id_token(grant, scope, value, now, end)
        return body

    def _id_token(self, grant: _Grant, scope: Iterable[str], access: str, now: float, end: float) -> str:
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 (as above)
        from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 (as above)

        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": PERSON["sub"],
            "aud": grant.client_id,
            "iat": int(now),
            "exp": int(end),
            "auth_time": grant.auth_time,
            "at_hash": base64url(hashlib.sha256(access.encode()).digest()[:16]),
            **({"nonce": grant.nonce} if grant.nonce else {}),
            **_claims(scope),
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": self._kid}
        value = jwt(header, claims, lambda data: self._key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
        remember(self.world.companions, value, Issued(self.name, end, {"sub": PERSON["sub"], "token": "id_token"}))
        return value

    def _userinfo(self, request: Request) -> Response:
        token = self._find_access_token(request.credentials("Bearer") or "")
        scope = _scope(token.subject["scope"]) if token is not None and _is_personal(token) else None
        if scope is not None and "openid" in scope:
            return json_response(200, {"sub": PERSON["sub"], **_claims(scope)}, _NO_STORE)
        status, error = (401, "invalid_token") if scope is None else (403, "insufficient_scope")
        refusal = json_response(status, {"error": error}, _NO_STORE)
        return refusal.with_headers({"WWW-Authenticate": f'Bearer error="{error}"'})

    def _revoke(self, request: Request) -> Response:
        given = _unique(_form(request))
        client_id = self._client(request, given)
        value = given.get("token", "")
        if not value:
            raise RefusedError(400, "invalid_request", "The parameter token is missing.")
        grant, token = self._refresh.get(value, (None, 0.0))[0], self._find_access_token(value)
        if grant is not None and grant.client_id == client_id:
            self._end_grant(grant)
        elif token is not None and token.subject["client_id"] == client_id:
            self.world.revoke(value)
        elif grant is not None or token is not None:
            raise _invalid_grant("The token belongs to another client.")
        return Response(200, b"", _NO_STORE)

    def _end_grant(self, grant: _Grant) -> None:
        grant.ended = True
        for value in grant.access:
            self.world.revoke(value)

    def _find_access_token(self, value: str) -> Issued | None:
        """Return what is recorded about an access token of this issuer; None if it is unknown or has expired."""
        token = self.world.find_valid(value)
        return token if token and token.api == self.name and "token" not in token.subject else None

    def _is_client(self, client_id: str) -> bool:
        return client_id == PUBLIC_CLIENT or client_id in self.world.accounts.openid

    def _client(self, request: Request, given: Mapping[str, str]) -> str:
        """Authenticate the client, by exactly one method (RFC 6749, section 2.3); return its id."""
        if request.header("authorization") is not None:
            if "client_secret" in given:
                message = "The client must authenticate in one way only: by Authorization or by client_secret."
                raise RefusedError(400, "invalid_request", message)
            pair = request.basic()
            if pair is None:
                message = "Authorization must be Basic, with the id and the secret of the client."
                raise RefusedError(401, "invalid_client", message)
            # In Basic authentication, both are form-encoded (RFC 6749, section 2.3.1).
            client_id, secret = map(unquote_plus, pair)
            if given.get("client_id", client_id) != client_id:
                raise RefusedError(400, "invalid_request", "client_id differs from the id in Authorization.")
            status = 401
        else:
            client_id, secret, status = given.get("client_id", ""), given.get("client_secret", ""), 400
        if client_id == PUBLIC_CLIENT and not secret:
            return client_id
        if not is_secret(self.world.accounts.openid.get(client_id), secret):
            raise RefusedError(status, "invalid_client", "The client is not known, or its secret is missing or wrong.")
        return client_id


def _invalid_grant(description: str) -> RefusedError:
    return RefusedError(400, "invalid_grant", description)


def _is_personal(token: Issued) -> bool:
    # A client's own token has the client as its subject, whatever the client is called (RFC 9700, section 4.15).
    return token.subject["sub"] != token.subject["client_id"]


def _is_registered(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_loopback = parts.scheme in ("http", "https") and host in ("127.0.0.1", "::1", "localhost")
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    return is_loopback and plain and parts.path.endswith(CALLBACKS) and ".." not in parts.path


def _requested_scope(given: Mapping[str, str]) -> tuple[str, ...]:
    """Check an authorization request; return its scope. Raises RefusedError."""
    if given.get("response_type") != "code":
        raise RefusedError(400, "unsupported_response_type", "response_type must be code.")
    if given.get("response_mode", "query") != "query":
        raise RefusedError(400, "invalid_request", "response_mode must be query.")
    if given.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(given.get("code_challenge", "")):
        raise RefusedError(400, "invalid_request", "PKCE with S256 is required.")
    if given.get("prompt") == "none":
        raise RefusedError(400, "login_required", "Nobody is logged in here.")
    return _scope(given.get("scope", ""))


def _scope(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split()))
    if any(name not in SCOPES for name in names):
        raise RefusedError(400, "invalid_scope", f"A scope is not known; known scopes: {' '.join(SCOPES)}.")
    return names


def _claims(scope: Iterable[str]) -> dict[str, str]:
    shown = {"profile": ("name", "preferred_username"), "email": ("email",)}
    return {claim: PERSON[claim] for name in scope for claim in shown.get(name, ())}


def _form(request: Request) -> list[tuple[str, str]]:
    if request.media_type != "application/x-www-form-urlencoded":
        raise RefusedError(400, "invalid_request", "The Content-Type must be application/x-www-form-urlencoded.")
    return request.form


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    given = dict(pairs)
    # The RFCs allow `resource` and `audience` more than once, but here one of each is enough.
    if len(given) != len(pairs):
        raise RefusedError(400, "invalid_request", "A parameter is given twice.")
    return {name: value for name, value in given.items() if value}


def _cookie(request: Request) -> str:
    try:
        found = SimpleCookie("; ".join(request.values("cookie"))).get(_COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _page(status: int, body: str) -> Response:
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        # No `form-action`: browsers would also apply it to the redirect to the client.
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        *_NO_STORE,
    ]
    text = f'<!doctype html><html lang="en"><title>Sandbox</title>{_STYLE}{body}</html>'
    return Response(status, text.encode(), headers)
