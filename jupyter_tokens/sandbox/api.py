"""The base class of the sandbox's APIs, and the state that they share: clock, accounts and issued tokens."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar

from .accounts import Accounts
from .messages import Request, Response

MAX_ISSUED = 100_000
ErrorTable = Mapping[int, tuple[str, str]]


class RefusedError(Exception):
    """A call that an API refuses. Without `code` or `message`, the API uses its usual ones for the status.

    `extra` are additional fields of the response. A refusal contains no secret.
    """

    def __init__(self, status: int, code: str = "", message: str = "", **extra: Any) -> None:
        super().__init__(code or str(status))
        self.status, self.code, self.message, self.extra = status, code, message, extra


def iso(moment: float, precision: str = "seconds") -> str:
    """Format a time as the vendors do: in UTC, ending in Z. `precision` is a `timespec` of `datetime.isoformat`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec=precision).removesuffix("+00:00") + "Z"


@dataclass(frozen=True)
class Issued:
    """The facts about a token that the sandbox issued.

    `expires_at` is in seconds since the epoch (None: never). `subject` says what the token is for, such as a client.
    """

    api: str
    expires_at: float | None
    subject: dict[str, str] = field(default_factory=dict)

    def is_valid(self, now: float) -> bool:
        """Whether the token is still valid."""
        return self.expires_at is None or now < self.expires_at


@dataclass
class World:
    """The state that all APIs of one sandbox share."""

    accounts: Accounts
    clock: Callable[[], float]
    life: float | None = None
    issued: OrderedDict[str, Issued] = field(default_factory=OrderedDict, repr=False)
    companions: OrderedDict[str, Issued] = field(default_factory=OrderedDict, repr=False)
    """The tokens that a response contains in addition to the requested token."""
    ends: dict[str, float] = field(default_factory=dict)

    def token_expiry(self, api: str, request: Request, default: float) -> float:
        """Return when a token for this request expires: after `default` or `life` seconds, whichever is less.

        With the fault `expired`, the token has expired already. With the fault `stalled`, the token expires when the
        API's previous token does.
        """
        if request.variant == "expired":
            return self.clock() - 60
        if request.variant != "stalled" or api not in self.ends:
            self.ends[api] = self.clock() + (default if self.life is None else min(default, self.life))
        return self.ends[api]

    def issue(self, value: str, token: Issued) -> None:
        """Record the token that a call requested."""
        remember(self.issued, value, token)

    def revoke(self, value: str) -> None:
        """Forget a token, so that it is no longer accepted."""
        self.issued.pop(value, None)

    def find(self, value: str) -> Issued | None:
        """Return what is recorded about a token, even if it has expired; None for an unknown token."""
        return self.issued.get(value) or self.companions.get(value)

    def find_valid(self, value: str) -> Issued | None:
        """Return what is recorded about a token that is valid; None for any other token."""
        token = self.find(value)
        return token if token is not None and token.is_valid(self.clock()) else None


_T = TypeVar("_T")


def remember(entries: OrderedDict[str, _T], value: str, entry: _T) -> None:
    """Add an entry. Above the limit, drop the oldest entry, so that a benchmark does not fill the memory."""
    entries[value] = entry
    entries.move_to_end(value)
    if len(entries) > MAX_ISSUED:
        entries.popitem(last=False)


class Api(ABC):
    """Base class of the imitated APIs. By default, an API throttles with HTTP 429 and Retry-After."""

    name: ClassVar[str]
    variants: ClassVar[frozenset[str]] = frozenset({"expired", "stalled"})
    """Which of the faults `expired`, `stalled` and `disabled` this API supports."""
    default_errors: ClassVar[ErrorTable]
    """A plausible code and message by status. For a status that is not listed, those of 400 or 500 are used."""

    def __init__(self, world: World) -> None:
        self.world = world

    def requests_token(self, request: Request) -> bool:
        """Whether a call requests a token. Only such calls are counted, and only such calls are hit by faults."""
        return True

    def answer(self, request: Request) -> Response:
        """Return the response that the vendor would give."""
        try:
            return self.respond(request)
        except RefusedError as refused:
            return self.refuse(request, refused)

    @abstractmethod
    def respond(self, request: Request) -> Response:
        """Return the response to a correct call. Raises RefusedError for any other call."""

    @abstractmethod
    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create the response for a refusal, in the vendor's form."""

    def refuse(self, request: Request, refused: RefusedError) -> Response:
        """Create the response for a refusal; add the usual code and message if it has none."""
        server_error = refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        code, message = self.default_errors.get(refused.status) or self.default_errors[500 if server_error else 400]
        refused.code, refused.message = refused.code or code, refused.message or message
        return self.error(request, refused)

    def failure(self, request: Request, status: int) -> Response:
        """Create an error with this status, in the vendor's form and with a plausible code."""
        return self.refuse(request, RefusedError(status))

    def throttled(self, request: Request) -> Response:
        """Create the vendor's error for too many requests, without the header of `retry_header`."""
        return self.failure(request, 429)

    def retry_header(self, seconds: float) -> dict[str, str]:
        """Return the vendor's header that says how many seconds to wait."""
        return {"Retry-After": str(math.ceil(seconds))}
