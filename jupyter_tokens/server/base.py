"""Base classes of the handlers. They check request bodies, answer errors as JSON and forbid caching."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Any, NoReturn, cast

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web
from tornado.web import HTTPError

from .._util.threads import run_in_thread
from ..errors import (
    Busy,
    ConfigurationError,
    Forbidden,
    HandleRefused,
    InvalidRequest,
    LoginNeeded,
    NetworkError,
    NotFound,
    NotGranted,
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
    from ..config.profiles import Profile
    from .app import TokensExtension

__all__ = [
    "CREATE",
    "INJECT",
    "KERNELS",
    "LOGIN",
    "MAX_BODY_BYTES",
    "PROFILES",
    "PROXY",
    "REVEAL",
    "TOKENS",
    "JsonHandler",
    "Refused",
    "TokensHandler",
    "error_facts",
    "http_status",
]

# The resources that an Authorizer checks. Because they are separate, it can allow fetching and forbid revealing.
PROFILES = "jupyter_tokens:profiles"
TOKENS = "jupyter_tokens:tokens"
REVEAL = "jupyter_tokens:reveal"
INJECT = "jupyter_tokens:inject"
PROXY = "jupyter_tokens:proxy"
CREATE = "jupyter_tokens:create"
LOGIN = "jupyter_tokens:login"
KERNELS = "kernels"
"""A resource of Jupyter itself. Users who are allowed the action "execute" on it can run code as the server's user."""

MAX_BODY_BYTES = 64 * 1024
"""Maximum size of a request's body, in bytes."""

# The first match counts. A vendor's 401 (`Unauthorized`) is not in the table and becomes 502, because a 401 would tell
# the browser that the user has to log in to Jupyter.
_STATUS: tuple[tuple[type[TokenError], int], ...] = (
    (UnknownProfile, 404),
    (NotGranted, 403),
    (ParameterError, 400),
    (ProfileRefused, 400),
    (ConfigurationError, 409),
    (SecretError, 409),
    (NoValue, 409),
    (HandleRefused, 403),
    (LoginNeeded, 409),
    (Forbidden, 502),
    (NotFound, 502),
    (InvalidRequest, 502),
    (Busy, 503),
    (Throttled, 503),
    (ServiceUnavailable, 503),
    (TimedOut, 504),
    (NetworkError, 502),
)


def http_status(error: TokenError) -> int:
    """Return the HTTP status with which a token error is answered."""
    # For errors that are not in the table: if no request was sent to the API, the client's request is wrong (400);
    # otherwise the error comes from the API (502).
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400 if error.unsent else 502)


def error_facts(error: TokenError) -> dict[str, Any]:
    """Return the facts about an error that clients get, for JSON. `message` includes the hint."""
    setting = getattr(error, "setting", "")
    return {
        "message": f"{error.message} {error.hint}".strip(),
        "reason": error.reason,
        "code": error.code,
        "request_id": error.request_id,
        "retryable": error.retryable,
        **({"setting": setting} if setting else {}),
    }


class Refused(HTTPError):
    """Raised to refuse a request, with an HTTP status and a message for the client.

    Parameters
    ----------
    status : int
        The HTTP status.
    message : str
        The message for the client; must not contain a secret.
    reason : str
        One word that programs can check.
    retry_after : float, optional
        Seconds after which the same request may succeed.
    """

    def __init__(self, status: int, message: str, reason: str, retry_after: float | None = None) -> None:
        # No log_message: tornado would log it, as a format string.
        super().__init__(status)
        self.message = message
        self.error_reason = reason
        self.retry_after = retry_after


@web.stream_request_body
class JsonHandler(web.RequestHandler):
    """Checks request bodies, answers errors as JSON and forbids caching. Works without a Jupyter server.

    An error has at least the fields `message`, `reason`, `code`, `request_id` and `retryable`. Bodies are received in
    chunks, so that no more than `MAX_BODY_BYTES` of a body are stored.
    """

    log = logging.getLogger(__name__)

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._body = bytearray()
        self._body_bytes = 0
        # tornado logs `uri`, and any query parameter may contain a secret, so the query is removed from `uri`. The
        # handlers read `path` and `query`, which stay complete.
        self.request.uri = self.request.path + ("?[query]" if self.request.query else "")

    def data_received(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body += chunk

    @property
    def raw_body(self) -> bytes:
        """The request's body. Raises `Refused` if the body is too large."""
        if self._body_bytes > MAX_BODY_BYTES:
            self.refuse(413, f"The request's body must not be larger than {MAX_BODY_BYTES} bytes.", "too_large")
        return bytes(self._body)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def body(self, known: Mapping[str, type | tuple[type, ...]] | None, *required: str) -> dict[str, Any]:
        """Return the JSON object in the request's body. An empty body counts as an empty object.

        Parameters
        ----------
        known : mapping or None
            The allowed fields with their types; None if the caller checks the fields.
        *required : str
            The fields that must be present.

        Raises
        ------
        Refused
            The body is too large or not a JSON object, or a field is unknown, missing or of the wrong type.
        """
        raw = self.raw_body
        try:
            # Decoded here, because `json.loads` would also accept UTF-16, and half of a surrogate pair in UTF-8.
            data = json.loads(raw.decode()) if raw else {}
            if b"\\u" in raw:
                # "\\ud800" is valid JSON, but half of a surrogate pair, which cannot be signed or sent.
                json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            problem = "The request's body must be JSON in valid UTF-8, without unpaired surrogates or deep nesting."
            self.refuse(400, problem, "body")
        if not isinstance(data, dict):
            self.refuse(400, "The request's body must be a JSON object.", "body")
        if known is None:
            return data
        for name, value in data.items():
            if name not in known:
                fields = ", ".join(known) or "none"
                self.refuse(400, f"The request has an unknown field {name[:80]!r}. Known fields: {fields}.", "body")
            if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is not bool):
                self.refuse(400, f"The field {name!r} has the wrong type.", "body")
        for name in required:
            if name not in data:
                self.refuse(400, f"The field {name!r} is missing.", "body")
        return data

    def parse_newer_than(self, body: Mapping[str, Any]) -> datetime | None:
        """Return the field `newer_than` in UTC; None if it is missing or null. Raises `Refused` if it is invalid."""
        text = body.get("newer_than")
        if text is None:
            return None
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        return self.refuse(
            400, "The field 'newer_than' must be a time with a UTC offset, such as 2030-01-01T00:00:00+00:00.", "body"
        )

    def refuse(self, status: int, message: str, reason: str, retry_after: float | None = None) -> NoReturn:
        """End the request by raising `Refused`."""
        raise Refused(status, message, reason, retry_after)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error as JSON, which contains only allowed facts. Log only the status and the reason."""
        error = kwargs.get("exc_info", (None, None))[1]
        body: dict[str, Any] = {
            "message": responses.get(status_code, "Unknown HTTP error"),
            "reason": "http",
            "code": None,
            "request_id": None,
            "retryable": False,
        }
        if isinstance(error, TokenError):
            status_code = self.error_status(error)
            body |= self.error_body(error)
        elif isinstance(error, Refused):
            body |= {"message": error.message, "reason": error.error_reason, "retryable": error.retry_after is not None}
        if isinstance(error, TokenError | Refused) and error.retry_after is not None:
            self.set_header("Retry-After", str(max(1, round(error.retry_after))))
        self.set_status(status_code)
        self.set_header("Content-Type", "application/json")
        if self._body_bytes < int(self.request.headers.get("Content-Length", 0)):
            # tornado closes the connection instead of reading the rest of the body, so the client must not reuse the
            # connection.
            self.set_header("Connection", "close")
        self.log.info("jupyter_tokens: answered %d (%s)", status_code, body["reason"])
        self.refused(status_code, body["reason"])
        self.finish(json.dumps(body))

    def error_status(self, error: TokenError) -> int:
        """Return the HTTP status with which this route answers a token error."""
        return http_status(error)

    def refused(self, status: int, reason: str) -> None:
        """Do nothing. Called for each request that is answered with an error, so that subclasses can report it."""

    def error_body(self, error: TokenError) -> dict[str, Any]:
        """Return the facts about a token error that this route's client gets."""
        return error_facts(error)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log no traceback for `TokenError` and `Refused`: they are not bugs, and frames can show credentials."""
        if not isinstance(value, TokenError | Refused):
            super().log_exception(typ, value, tb)


class TokensHandler(ExtensionHandlerMixin, JsonHandler, APIHandler):
    """Base class of the handlers of the extension's routes."""

    auth_resource = PROFILES
    # Not the module's logger, which lacks the server's log level.
    log = APIHandler.log

    async def prepare(self, **kwargs: Any) -> None:
        await super().prepare(**kwargs)
        self.check_site()

    def check_site(self) -> None:
        """Refuse requests that another site makes the browser send with the user's cookie, for example for an image.

        The other site could not read the response, but such requests would cause calls to an API. Requests with the
        server's token are allowed, and so are requests from an origin that the administrator allows. If `allow_origin`
        is `*`, no other origin counts as allowed here.
        """
        site = self.request.headers.get("Sec-Fetch-Site", "none")
        allowed = "Origin" in self.request.headers and self.allow_origin != "*"  # `check_origin` has checked the origin
        if site not in {"same-origin", "none"} and not allowed and not self.token_authenticated:
            self.refuse(403, "The request comes from a page of another site.", "cross_site")

    @property
    def kernel_id(self) -> str | None:
        """Id of the kernel in the request's path, if there is one."""
        return self.path_kwargs.get("kernel_id")

    @property
    def extensionapp(self) -> TokensExtension:
        """The extension, whose attributes are the objects that the handlers share."""
        return cast("TokensExtension", super().extensionapp)

    def check_edit(self) -> None:
        """Raise `Refused` unless profiles can be edited over REST on this server."""
        if not self.extensionapp.allow_edit:
            self.refuse(403, "Profiles cannot be edited here: c.TokensExtension.allow_edit is false.", "edit_off")

    async def check_limits(self, profile: str, kernel_id: str) -> None:
        """Refuse a profile that is limited to other kernels or notebooks. `kernel_id` is the id on this server."""
        if not await self.extensionapp.allows_kernel(profile, kernel_id):
            self.refuse(403, "This profile is limited to other kernels or notebooks.", "limited")

    async def send_values(self, profile: Profile, param: str, given: Mapping[str, Any]) -> None:
        """Answer with the values that a parameter can have, as the profile's API lists them.

        Parameters
        ----------
        profile : Profile
            The profile, or a draft that is not saved.
        param : str
            Name of the parameter.
        given : mapping
            The other parameters that the API needs to list the values.
        """
        extension = self.extensionapp
        found = await run_in_thread(lambda: extension.source.list_profile_values(profile, param, given), profile.name)
        self.finish(json.dumps({"values": [one._asdict() for one in found]}))

    async def is_authorized(self, action: str, resource: str, user: Any = None) -> bool:
        """Whether the Authorizer lets `user` (by default the logged-in user) do an action on a resource."""
        who = self.current_user if user is None else user
        return bool(await ensure_async(self.authorizer.is_authorized(self, who, action, resource)))

    def update_api_activity(self) -> None:
        """Do what `APIHandler` does, but ignore its error for a query such as `?no_track_activity=%ff`.

        With that error, no answer would be sent.
        """
        with suppress(HTTPError):
            super().update_api_activity()

    def refused(self, status: int, reason: str) -> None:
        """Report the request if it was answered with 403."""
        if status == HTTPStatus.FORBIDDEN:
            self.extensionapp.activity.refused(self, reason)
