"""OneAccess: issues a tenant's tokens, and lists the tenant's users to callers with an access token."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from http import HTTPStatus
from typing import ClassVar

from .api import Api, Issued, World
from .messages import Request, Response, form_pairs, json_response, text_pairs

_LIFE = 1800
_TOKEN, _USERS = "/api/v2/tenant/token", "/api/v2/tenant/users"
_NO_STORE = [("Cache-Control", "no-store"), ("Pragma", "no-cache")]
_PLAUSIBLE = {
    401: ("unauthorized", "The access token is missing, invalid or has expired."),
    403: ("access_denied", "The application is not allowed to call this API."),
    404: ("not_found", "The API does not exist."),
    405: ("method_not_allowed", "The method is not allowed."),
    429: ("too_many_requests", "Too many requests."),
    500: ("system_error", "System error."),
    503: ("service_unavailable", "The service is temporarily unavailable."),
}


class OneAccess(Api):
    """One tenant. With `reuse`, a client gets the same token while it is valid, as in the vendor's sample."""

    name: ClassVar[str] = "oneaccess"
    variants: ClassVar[frozenset[str]] = frozenset({"expired", "stalled"})

    def __init__(self, world: World, *, reuse: bool = False) -> None:
        self.world, self._reuse = world, reuse
        self._live: dict[str, tuple[str, str]] = {}

    def hands_out(self, request: Request) -> bool:
        """Whether a call requests a token: every call does, except the list of users."""
        return request.path != _USERS

    def answer(self, request: Request) -> Response:
        """Issue a token, or list the tenant's users."""
        if request.path == _TOKEN:
            return self._token(request) if request.method == "POST" else self.failure(405)
        if request.path == _USERS:
            return self._users(request) if request.method == "GET" else self.failure(405)
        return self.failure(404)

    def failure(self, status: int) -> Response:
        """Create an error in the documented form."""
        usual = (
            _PLAUSIBLE[500]
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR
            else ("invalid_parameter", "Invalid parameter.")
        )
        return _error(status, *_PLAUSIBLE.get(status, usual))

    def _token(self, request: Request) -> Response:
        basic = request.header("authorization") is not None
        if request.body and request.media_type != "application/x-www-form-urlencoded":
            return _error(400, "invalid_parameter", "The Content-Type must be application/x-www-form-urlencoded.")
        pairs = text_pairs(form_pairs(request.body.decode("latin-1")))
        # As documented, the query is read only with Basic authentication and without a form, and contains only
        # grant_type. Secrets do not belong in a URL, because URLs end up in access logs.
        given = dict(request.params if basic and not pairs else pairs)
        if len(given) != len(pairs) and pairs:
            return _error(400, "invalid_parameter", "A parameter is given twice.")
        if given.get("grant_type") != "client_credentials":
            message = "grant_type is fixed at client_credentials."
            if given.get("grant_type"):
                return _oauth_error(400, "unsupported_grant_type", message)
            return _error(400, "invalid_parameter", message)
        client = _basic(request) if basic else (given.get("client_id", ""), given.get("client_secret", ""))
        if client is None or not self._known(*client):
            return _oauth_error(401 if basic else 400, "invalid_client", "Bad client credentials")
        return self._issue(request, client[0])

    def _known(self, client_id: str, secret: str) -> bool:
        known = self.world.accounts.oneaccess.get(client_id)
        return hmac.compare_digest((known or "").encode(), secret.encode()) and known is not None

    def _issue(self, request: Request, client_id: str) -> Response:
        now, (value, id_token) = self.world.clock(), self._live.get(client_id, ("", ""))
        token = self.world.find(value)
        if token is None or not token.alive(now) or request.variant or not self._reuse:
            value = secrets.token_hex(20)
            token = Issued(self.name, self.world.end_of_life(self.name, request, _LIFE), {"client_id": client_id})
            self.world.issue(value, token)
            # Random text: the real ID token is signed and encrypted, and only the vendor's enterprise API can read it.
            id_token = ".".join(secrets.token_urlsafe(size) for size in (27, 96, 64))
            subject = {"client_id": client_id, "token": "id_token"}
            self.world.issue_beside(id_token, Issued(self.name, token.expires_at, subject))
            self._live[client_id] = value, id_token
        body = {
            "access_token": value,
            "token_type": "Bearer",
            "expires_in": max(0, int((token.expires_at or now) - now)),
            "scope": "all",
            "id_token": id_token,
        }
        return json_response(200, body, _NO_STORE)

    def _users(self, request: Request) -> Response:
        token = self.world.find(request.credentials("Bearer") or "")
        # The management API accepts access tokens; ID tokens are for enterprise APIs (here: /_sandbox/whoami).
        wrong = token is None or token.api != self.name or "token" in token.subject
        if token is None or wrong or not token.alive(self.world.clock()):
            return self.failure(401).with_headers({"WWW-Authenticate": "Bearer"})
        users = [
            {"user_id": "20260115000001", "user_name": "ada", "name": "Ada Lovelace", "disabled": False},
            {"user_id": "20260115000002", "user_name": "grace", "name": "Grace Hopper", "disabled": False},
        ]
        return json_response(200, {"total": len(users), "users": users})


def _basic(request: Request) -> tuple[str, str] | None:
    try:
        text = base64.b64decode(request.credentials("Basic") or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    client_id, _, secret = text.partition(":")
    return client_id, secret


def _error(status: int, code: str, message: str) -> Response:
    return json_response(status, {"error_code": code, "error_msg": message}, _NO_STORE)


def _oauth_error(status: int, code: str, message: str) -> Response:
    headers = (
        [*_NO_STORE, ("WWW-Authenticate", 'Basic realm="oauth2"')] if status == HTTPStatus.UNAUTHORIZED else _NO_STORE
    )
    return json_response(status, {"error": code, "error_description": message}, headers)
