"""The wall clock and the interval clock of the package. Tests replace them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

__all__ = ["Clock", "SystemClock", "utc"]


class Clock(Protocol):
    """A wall clock and an interval clock, both in seconds."""

    def now(self) -> float:
        """Return the time of the wall clock in seconds since the epoch, for signatures and for times in responses."""

    def elapsed(self) -> float:
        """Return the interval clock's time in seconds. It never goes back, and runs on while the machine sleeps."""


def _platform_elapsed() -> Callable[[], float]:
    # time.monotonic() stops while a Linux laptop or a Mac is suspended, but tokens still expire.
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        if hasattr(time, name):
            return partial(time.clock_gettime, getattr(time, name))
    return time.monotonic  # on Windows, it runs while the machine is suspended


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    elapsed = staticmethod(_platform_elapsed())


def utc(seconds: float) -> datetime:
    """Return an aware UTC datetime from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
