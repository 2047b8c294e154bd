"""What each vendor's API is to the sandbox, and what all of them share: clock, accounts and the tokens they issued."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, TypeVar

from .accounts import Accounts, TemporaryKey
from .messages import Request, Response

_MOST_ISSUED = 100_000


def iso(moment: float, *, fraction: bool = False) -> str:
    """The moment as the vendors write it: UTC, to the second or the microsecond, ending in Z."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds" if fraction else "seconds")
    return text.removesuffix("+00:00") + "Z"


@dataclass(frozen=True)
class Issued:
    """A token that the sandbox gave out: by which API, until when (None: for good), for what."""

    api: str
    expires_at: float | None
    subject: dict[str, str] = field(default_factory=dict)

    def alive(self, now: float) -> bool:
        """Whether it is still good."""
        return self.expires_at is None or now < self.expires_at


@dataclass
class World:
    """The ground that all APIs of one sandbox stand on."""

    accounts: Accounts
    clock: Callable[[], float]
    life: float | None = None
    issued: OrderedDict[str, Issued] = field(default_factory=OrderedDict, repr=False)
    companions: OrderedDict[str, Issued] = field(default_factory=OrderedDict, repr=False)
    temporary: OrderedDict[str, TemporaryKey] = field(default_factory=OrderedDict, repr=False)
    ends: dict[str, float] = field(default_factory=dict)

    def end_of_life(self, api: str, request: Request, default: float) -> float:
        """When a token issued for this request ends: `life` shortens it.

        The fault `expired` ends it at once, and `stalled` when the one before it ended.
        """
        if request.variant == "expired":
            return self.clock() - 60
        if request.variant != "stalled" or api not in self.ends:
            self.ends[api] = self.clock() + (default if self.life is None else min(default, self.life))
        return self.ends[api]

    def issue(self, value: str, token: Issued) -> None:
        """Remember a token that was asked for."""
        _remember(self.issued, value, token)

    def issue_beside(self, value: str, token: Issued) -> None:
        """Remember a token that an answer holds beside the one that was asked for."""
        _remember(self.companions, value, token)

    def lend(self, key_id: str, key: TemporaryKey) -> None:
        """Remember a temporary access key."""
        _remember(self.temporary, key_id, key)

    def revoke(self, value: str) -> None:
        """Forgets a token at once."""
        self.issued.pop(value, None)

    def find(self, value: str) -> Issued | None:
        """The token as it was issued, dead or alive, or None."""
        return self.issued.get(value) or self.companions.get(value)


_T = TypeVar("_T")


def _remember(tokens: OrderedDict[str, _T], value: str, token: _T) -> None:
    """The oldest are forgotten, so that a benchmark does not fill the memory."""
    tokens[value] = token
    tokens.move_to_end(value)
    if len(tokens) > _MOST_ISSUED:
        tokens.popitem(last=False)


class Api(ABC):
    """One vendor's API; unless it says otherwise it throttles with HTTP 429 and Retry-After."""

    name: ClassVar[str]
    variants: ClassVar[frozenset[str]] = frozenset()
    """The faults that change what it says of its token (`expired`, `stalled`, `disabled`) and make sense for it."""

    def hands_out(self, request: Request) -> bool:
        """Whether a call asks for a token: those are counted and meet faults, the uses of a token are not."""
        return True

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """Does what the vendor would do."""

    @abstractmethod
    def failure(self, status: int) -> Response:
        """An error of that status, in the vendor's form with a plausible code."""

    def throttled(self) -> Response:
        """The vendor's way to say: too many requests (without saying for how long)."""
        return self.failure(429)

    def retry_header(self, seconds: float) -> tuple[str, str]:
        """The header in which the vendor says how long to wait, and its value."""
        return "Retry-After", str(math.ceil(seconds))
