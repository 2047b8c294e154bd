"""Model Studio (DashScope): issues temporary API keys."""

from __future__ import annotations

import secrets
import uuid
from typing import ClassVar

from .accounts import is_secret
from .api import Api, ErrorTable, Issued, RefusedError
from .messages import Request, Response, json_response, whole_number

PATH = "/api/v1/tokens"
_DEFAULT_LIFE, _LIVES = "60", range(1, 1801)


class DashScope(Api):
    """Issues temporary API keys. Regions are not distinguished."""

    name: ClassVar[str] = "dashscope"
    default_errors: ClassVar[ErrorTable] = {
        400: ("InvalidParameter", "A parameter is not valid."),
        401: ("InvalidApiKey", "Invalid API-key provided."),
        403: ("AccessDenied", "Access denied."),
        404: ("NotFound", "Not found."),
        429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
        500: ("SystemError", "An internal error has occurred, please try again later."),
    }

    def respond(self, request: Request) -> Response:
        """Check the API key, then the requested life; return a temporary key."""
        given = (request.credentials("Bearer") or "").encode("latin-1")
        if not any(is_secret(key, given) for key in self.world.accounts.dashscope):
            raise RefusedError(401)
        (name, text), *more = request.params or [("expire_in_seconds", _DEFAULT_LIFE)]
        life = whole_number(text, _LIVES)
        if more or name != "expire_in_seconds" or life is None:
            raise RefusedError(400)
        end = self.world.token_expiry(self.name, request, life)
        value = "st-" + secrets.token_urlsafe(48)
        self.world.issue(value, Issued(self.name, end))
        return json_response(200, {"token": value, "expires_at": int(end)})

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create an error in the documented form."""
        body = {"code": refused.code, "message": refused.message, "request_id": str(uuid.uuid4())}
        return json_response(refused.status, body)
