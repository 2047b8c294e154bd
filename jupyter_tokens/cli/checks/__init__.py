"""What `jupyter tokens doctor` looks at. No check changes or prints anything; here is what a check says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar

from ...errors import TokenError

__all__ = ["CheckResult", "Status", "fail", "ok", "warn", "within"]

Status = Literal["ok", "warn", "fail"]
_T = TypeVar("_T")


class CheckResult(NamedTuple):
    """check : its name, for machines. what : was found. do : about it, or ""."""

    check: str
    status: Status
    what: str
    do: str = ""


def ok(check: str, what: str) -> CheckResult:
    """All is well."""
    return CheckResult(check, "ok", what)


def warn(check: str, what: str, do: str) -> CheckResult:
    """It works, but not as well as it could, or only for some."""
    return CheckResult(check, "warn", what, do)


def fail(check: str, what: str, do: str) -> CheckResult:
    """It does not work."""
    return CheckResult(check, "fail", what, do)


def within(seconds: float, works: Sequence[Callable[[], _T]]) -> list[_T | TokenError | None]:
    """What each of them returns or raises, or None if that takes longer; all at once, each on a thread.

    A thread that hangs (in a name service, say) is left behind: the process ends without it.
    """
    outcomes: list[_T | TokenError | None] = [None] * len(works)

    def run(place: int) -> None:
        try:
            outcomes[place] = works[place]()
        except TokenError as error:
            outcomes[place] = error.copy()
        except Exception as error:
            # Only the kind: its text may hold anything.
            outcomes[place] = TokenError(f"An unexpected error ({type(error).__name__}).")

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(works))]
    ends = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return list(outcomes)
