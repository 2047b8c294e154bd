"""Times callables against one another: interleaved, so that what slows the machine slows all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measured thing. seconds : median of one call. ratio : to the baseline. limit : the most the ratio may be.

    bytes : in place of seconds.
    """

    group: str
    name: str
    seconds: float
    ratio: float
    limit: float | None = None
    bytes: float | None = None

    @property
    def amount(self) -> str:
        """What was measured, with its unit."""
        return f"{self.seconds * 1e6:>9.2f} µs" if self.bytes is None else f"{self.bytes / 1024:>9.2f} KB"

    @property
    def held(self) -> bool:
        """Whether the promise is kept."""
        return self.limit is None or self.ratio <= self.limit


def medians(calls: Mapping[str, Callable[[], object]], *, rounds: int, warm: int, inner: int = 1) -> dict[str, float]:
    """Median seconds of one call of each, over `rounds` interleaved rounds of `inner` calls."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warm):
            call()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in calls.items():
                began = time.perf_counter()
                for _ in range(inner):
                    call()
                times[name].append((time.perf_counter() - began) / inner)
    finally:
        gc.enable()
    return {name: statistics.median(taken) for name, taken in times.items()}
