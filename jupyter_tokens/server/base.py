"""What all handlers share: where tokens come from, bodies that are checked, errors as JSON, nothing cached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError

from ..errors import (
    Busy,
    ConfigurationError,
    Forbidden,
    InvalidRequest,
    NetworkError,
    NotFound,
    NoValue,
    ParameterError,
    ProfileRefused,
    SecretError,
    ServiceUnavailable,
    Throttled,
    TimedOut,
    TokenError,
    UnknownProfile,
)

if TYPE_CHECKING:
    from .app import TokensExtension

__all__ = [
    "INJECT",
    "MOST_BODY_BYTES",
    "PROFILES",
    "PROXY",
    "REVEAL",
    "TOKENS",
    "Refused",
    "TokensHandler",
    "error_facts",
    "status_of",
]

# What an Authorizer is asked about, so that it can allow to fetch but not to reveal.
PROFILES = "jupyter_tokens:profiles"
TOKENS = "jupyter_tokens:tokens"
REVEAL = "jupyter_tokens:reveal"
INJECT = "jupyter_tokens:inject"
PROXY = "jupyter_tokens:proxy"

MOST_BODY_BYTES = 64 * 1024
"""The largest body that a request may have."""

# The first that fits. What the vendor calls unauthorized is the profile's trouble, not the browser's login: 502.
_STATUS: tuple[tuple[type[TokenError], int], ...] = (
    (UnknownProfile, 404),
    (ParameterError, 400),
    (ProfileRefused, 400),
    (ConfigurationError, 409),
    (SecretError, 409),
    (NoValue, 409),
    (Forbidden, 502),
    (NotFound, 502),
    (InvalidRequest, 502),
    (Busy, 503),
    (Throttled, 503),
    (ServiceUnavailable, 503),
    (TimedOut, 504),
    (NetworkError, 502),
)


def status_of(error: TokenError) -> int:
    """The HTTP status that a token error is answered with."""
    # What is none of these and was never sent is a request that makes no sense for its profile.
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400 if error.unsent else 502)


def error_facts(error: TokenError) -> dict[str, Any]:
    """What a client is told of an error; `str(error)` also names the profile, which it knows."""
    return {
        "message": f"{error.message} {error.hint}".strip(),
        "reason": error.reason,
        "code": error.code,
        "request_id": error.request_id,
        "retryable": error.retryable,
    }


class Refused(HTTPError):
    """A request that is refused by the server itself. message : for the client; it must hold no secret."""

    def __init__(self, status: int, message: str, reason: str) -> None:
        # log_message reaches the log as a format string, so it is given none.
        super().__init__(status)
        self.message = message
        self.code_word = reason


class TokensHandler(APIHandler):
    """Base of the handlers. Errors are `{"message", "reason", "code", "request_id", "retryable"}`."""

    auth_resource = PROFILES

    @property
    def kernel_id(self) -> str | None:
        """The kernel that the request is about."""
        return self.path_kwargs.get("kernel_id")

    @property
    def extension(self) -> TokensExtension:
        """The extension that this server runs."""
        extension: TokensExtension = self.settings["jupyter_tokens_extension"]
        return extension

    def set_default_headers(self) -> None:
        """See `tornado.web.RequestHandler`."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def body(self, known: Mapping[str, type | tuple[type, ...]] | None) -> dict[str, Any]:
        """The JSON object of the request; an empty body is an empty object.

        known : the fields and their types, or None if who asks checks them. Raises `Refused` for anything else, naming
        the field.
        """
        raw = self.request.body
        if len(raw) > MOST_BODY_BYTES:
            self.refuse(413, f"The body must not be larger than {MOST_BODY_BYTES} bytes.", "too_large")
        try:
            # Of bytes Python takes UTF-16 as well, and half of a pair in what looks like UTF-8.
            data = json.loads(raw.decode()) if raw else {}
            if b"\\u" in raw:
                # "\\ud800" is JSON, but no text that could be signed or sent.
                json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            self.refuse(400, "The body is not JSON.", "body")
        if not isinstance(data, dict):
            self.refuse(400, "The body must be a JSON object.", "body")
        if known is None:
            return data
        for name, value in data.items():
            if name not in known:
                self.refuse(400, f"There is no field {name[:80]!r}; there are: {', '.join(known)}.", "body")
            if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is not bool):
                self.refuse(400, f"The field {name!r} has the wrong type.", "body")
        return data

    def refuse(self, status: int, message: str, reason: str) -> NoReturn:
        """Ends the request with an error of the server's own."""
        raise Refused(status, message, reason)

    def update_api_activity(self) -> None:
        """See `APIHandler`; there, `?no_track_activity=%ff` keeps the answer from ever being sent."""
        with suppress(HTTPError):
            super().update_api_activity()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors as JSON, built by allow-list; the log gets the status and the reason, never more."""
        error = kwargs.get("exc_info", (None, None))[1]
        told: dict[str, Any] = {
            "message": responses.get(status_code, "Unknown HTTP error"),
            "reason": "http",
            "code": None,
            "request_id": None,
            "retryable": False,
        }
        if isinstance(error, TokenError):
            status_code = status_of(error)
            told |= self.facts_of(error)
            if error.retry_after is not None:
                self.set_header("Retry-After", str(max(1, round(error.retry_after))))
        elif isinstance(error, Refused):
            told |= {"message": error.message, "reason": error.code_word}
        self.set_status(status_code)
        self.set_header("Content-Type", "application/json")
        self.log.info("jupyter_tokens: answered %d (%s)", status_code, told["reason"])
        if status_code == HTTPStatus.FORBIDDEN:
            self.extension.activity.refused(self, told["reason"])
        self.finish(json.dumps(told))

    def facts_of(self, error: TokenError) -> dict[str, Any]:
        """What this route's client is told of a token error."""
        return error_facts(error)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """A token error is an answer, not a defect: no traceback, whose frames would name credentials."""
        if not isinstance(value, TokenError | Refused):
            super().log_exception(typ, value, tb)
