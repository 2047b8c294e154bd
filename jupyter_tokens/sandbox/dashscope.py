"""Model Studio (DashScope): issues temporary API keys."""

from __future__ import annotations

import hmac
import secrets
import uuid
from http import HTTPStatus
from typing import ClassVar

from .api import Api, Issued, World
from .messages import Request, Response, json_response

PATH = "/api/v1/tokens"
_DEFAULT_LIFE, _LONGEST_LIFE = 60, 1800
_SECONDS = "expire_in_seconds"
_PLAUSIBLE = {
    400: ("InvalidParameter", "A parameter is not valid."),
    401: ("InvalidApiKey", "Invalid API-key provided."),
    403: ("AccessDenied", "Access denied."),
    404: ("NotFound", "Not found."),
    429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    500: ("SystemError", "An internal error has occurred, please try again later."),
}


class DashScope(Api):
    """Issues temporary API keys. Regions are not distinguished."""

    name: ClassVar[str] = "dashscope"
    variants: ClassVar[frozenset[str]] = frozenset({"expired", "stalled"})

    def __init__(self, world: World) -> None:
        self.world = world

    def answer(self, request: Request) -> Response:
        """Check the API key, then the requested life; return a temporary key."""
        if (request.method, request.path) != ("POST", PATH):
            return self.failure(404)
        given = (request.credentials("Bearer") or "").encode("latin-1")
        if not any(hmac.compare_digest(given, key.encode()) for key in self.world.accounts.dashscope):
            return self.failure(401)
        life = _life(request.params)
        if life is None:
            return self.failure(400)
        end = self.world.end_of_life(self.name, request, life)
        value = "st-" + secrets.token_urlsafe(48)
        self.world.issue(value, Issued(self.name, end))
        return json_response(200, {"token": value, "expires_at": int(end)})

    def failure(self, status: int) -> Response:
        """Create an error in the documented form."""
        usual = _PLAUSIBLE[500 if status >= HTTPStatus.INTERNAL_SERVER_ERROR else 400]
        code, message = _PLAUSIBLE.get(status, usual)
        return json_response(status, {"code": code, "message": message, "request_id": str(uuid.uuid4())})


def _life(params: list[tuple[str, str]]) -> int | None:
    """Return the requested life in seconds, or None if the query is invalid."""
    if not params:
        return _DEFAULT_LIFE
    (name, text), *more = params
    if more or name != _SECONDS or not (text.isascii() and text.isdigit() and len(text) <= len(str(_LONGEST_LIFE))):
        return None
    return int(text) if 1 <= int(text) <= _LONGEST_LIFE else None
