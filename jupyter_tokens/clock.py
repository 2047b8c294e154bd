"""The one place that asks the machine for the time, so that a test can own it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

__all__ = ["Clock", "SystemClock", "utc"]


class Clock(Protocol):
    """Two clocks: one for what others see, one for how long things last. Both in seconds."""

    def now(self) -> float:
        """Wall clock, seconds since the epoch: for signatures and for the vendors' absolute times."""

    def elapsed(self) -> float:
        """A clock that only goes forward, and counts while the machine sleeps: for every interval."""


def _elapsed_of_platform() -> Callable[[], float]:
    # time.monotonic() stands still while a Linux laptop or a Mac sleeps, a token's life does not.
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        if hasattr(time, name):
            return partial(time.clock_gettime, getattr(time, name))
    return time.monotonic  # Windows' counts sleep


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    elapsed = staticmethod(_elapsed_of_platform())


def utc(seconds: float) -> datetime:
    """An aware datetime from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
