"""The checks of `jupyter tokens doctor`. This module defines their results, and runs calls with a time limit."""

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
    """The result of a check.

    Attributes
    ----------
    check : str
        The name of the check.
    status : str
        "ok", "warn" or "fail".
    what : str
        What was found.
    do : str
        What to do about it, or "".
    """

    check: str
    status: Status
    what: str
    do: str = ""


def ok(check: str, what: str) -> CheckResult:
    """Return the result "ok": nothing is wrong."""
    return CheckResult(check, "ok", what)


def warn(check: str, what: str, do: str) -> CheckResult:
    """Return the result "warn": what was checked works, but with a limitation."""
    return CheckResult(check, "warn", what, do)


def fail(check: str, what: str, do: str) -> CheckResult:
    """Return the result "fail": what was checked does not work."""
    return CheckResult(check, "fail", what, do)


def within(seconds: float, calls: Sequence[Callable[[], _T]], timeout_error: TokenError) -> list[_T | TokenError]:
    """Call each function on its own thread, and wait for all of them for at most `seconds`.

    Returns one entry per function: its result, a `TokenError` if it raised any exception, or `timeout_error` if the
    time was up. A thread that hangs, for example in a name lookup, is abandoned: it does not keep the process from
    ending.
    """
    outcomes: list[_T | TokenError] = [timeout_error] * len(calls)

    def run(index: int) -> None:
        try:
            outcomes[index] = calls[index]()
        except TokenError as error:
            outcomes[index] = error.copy()
        except Exception as error:
            # Only the type: the text may contain a secret.
            outcomes[index] = TokenError(f"An unexpected error ({type(error).__name__}).")

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(calls))]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(outcomes)
