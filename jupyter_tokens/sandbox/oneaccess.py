"""OneAccess: issues a tenant's tokens, and lists the tenant's users to callers with an access token."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import ClassVar

from .accounts import is_secret
from .api import Api, ErrorTable, Issued, RefusedError, World, remember
from .messages import Request, Response, json_response

_LIFE = 1800
_TOKEN, _USERS = "/api/v2/tenant/token", "/api/v2/tenant/users"
_NO_STORE = [("Cache-Control", "no-store"), ("Pragma", "no-cache")]
_OAUTH_ERRORS = ("invalid_client", "unsupported_grant_type")


class OneAccess(Api):
    """One tenant. With `reuse`, a client gets the same token while it is valid, as in the vendor's sample."""

    name: ClassVar[str] = "oneaccess"
    default_errors: ClassVar[ErrorTable] = {
        400: ("invalid_parameter", "Invalid parameter."),
        401: ("unauthorized", "The access token is missing, invalid or has expired."),
        403: ("access_denied", "The application is not allowed to call this API."),
        404: ("not_found", "The API does not exist."),
        405: ("method_not_allowed", "The method is not allowed."),
        429: ("too_many_requests", "Too many requests."),
        500: ("system_error", "System error."),
        503: ("service_unavailable", "The service is temporarily unavailable."),
    }

    def __init__(self, world: World, *, reuse: bool = False) -> None:
        super().__init__(world)
        self._reuse = reuse
        self._live: dict[str, tuple[str, str]] = {}

    def requests_token(self, request: Request) -> bool:
        """Whether a call requests a token: every call does, except the list of users."""
        return request.path != _USERS

    def respond(self, request: Request) -> Response:
        """Issue a token, or list the tenant's users."""
        if request.path not in (_TOKEN, _USERS):
            raise RefusedError(404)
        if request.method != ("POST" if request.path == _TOKEN else "GET"):
            raise RefusedError(405)
        return self._token(request) if request.path == _TOKEN else self._users(request)

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create an error in the documented form, or in the form of OAuth for a wrong client or grant."""
        if refused.code not in _OAUTH_ERRORS:
            body = {"error_code": refused.code, "error_msg": refused.message}
            return json_response(refused.status, body, _NO_STORE)
        body = {"error": refused.code, "error_description": refused.message}
        wanted = [("WWW-Authenticate", 'Basic realm="oauth2"')] if refused.status == HTTPStatus.UNAUTHORIZED else []
        return json_response(refused.status, body, [*_NO_STORE, *wanted])

    def _token(self, request: Request) -> Response:
        basic = request.header("authorization") is not None
        if request.body and request.media_type != "application/x-www-form-urlencoded":
            raise RefusedError(400, message="The Content-Type must be application/x-www-form-urlencoded.")
        pairs = request.form
        # As documented, the query is read only with Basic authentication and without a form, and contains only
        # grant_type. Secrets do not belong in a URL, because URLs end up in access logs.
        given = dict(request.params if basic and not pairs else pairs)
        if len(given) != len(pairs) and pairs:
            raise RefusedError(400, message="A parameter is given twice.")
        if given.get("grant_type") != "client_credentials":
            code = "unsupported_grant_type" if given.get("grant_type") else ""
            raise RefusedError(400, code, "grant_type is fixed at client_credentials.")
        client = request.basic() if basic else (given.get("client_id", ""), given.get("client_secret", ""))
        if client is None or not is_secret(self.world.accounts.oneaccess.get(client[0]), client[1]):
            raise RefusedError(401 if basic else 400, "invalid_client", "Bad client credentials")
        return self._issue(request, client[0])

    def _issue(self, request: Request, client_id: str) -> Response:
        now, (value, id_token) = self.world.clock(), self._live.get(client_id, ("", ""))
        token = self.world.find_valid(value)
        if token is None or request.variant or not self._reuse:
            value = secrets.token_hex(20)
            token = Issued(self.name, self.world.token_expiry(self.name, request, _LIFE), {"client_id": client_id})
            self.world.issue(value, token)
            # Random text: the real ID token is signed and encrypted, and only the vendor's enterprise API can read it.
            id_token = ".".join(secrets.token_urlsafe(size) for size in (27, 96, 64))
            subject = {"client_id": client_id, "token": "id_token"}
            remember(self.world.companions, id_token, Issued(self.name, token.expires_at, subject))
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
        token = self.world.find_valid(request.credentials("Bearer") or "")
        # The management API accepts access tokens; ID tokens are for enterprise APIs (here: /_sandbox/whoami).
        if token is None or token.api != self.name or "token" in token.subject:
            return self.failure(request, 401).with_headers({"WWW-Authenticate": "Bearer"})
        users = [
            {"user_id": "20260115000001", "user_name": "ada", "name": "Ada Lovelace", "disabled": False},
            {"user_id": "20260115000002", "user_name": "grace", "name": "Grace Hopper", "disabled": False},
        ]
        return json_response(200, {"total": len(users), "users": users})
