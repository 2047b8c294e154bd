"""Times callables against one another: interleaved, so that what slows the machine slows all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_UNITS = ((1.0, "s"), (1e-3, "ms"), (0.0, "µs"))


@dataclass(frozen=True)
class Row:
    """A measured thing. seconds : median of one call. ratio : to the baseline. limit : the most the ratio may be.

    bytes, count : in place of seconds. absent : it could not be measured here, and then `note` says why.
    note : what else was seen.
    """

    group: str
    name: str
    seconds: float
    ratio: float
    limit: float | None = None
    bytes: float | None = None
    count: float | None = None
    note: str = ""
    absent: bool = False

    @property
    def amount(self) -> str:
        """What was measured, with its unit."""
        if self.absent:
            return "–"
        if self.count is not None:
            return f"{self.count:g} ×"
        if self.bytes is not None:
            return f"{self.bytes / 1024:.2f} KB" if self.bytes < 1024**2 else f"{self.bytes / 1024**2:.1f} MB"
        least, unit = next((least, unit) for least, unit in _UNITS if abs(self.seconds) >= least)
        return f"{self.seconds / (least or 1e-6):.2f} {unit}"

    @property
    def told_ratio(self) -> str:
        """The ratio as a person reads it."""
        if self.absent:
            return ""
        return f"{self.ratio:.2f}" if abs(self.ratio) >= 0.01 or not self.ratio else f"{self.ratio:.1g}"

    @property
    def told_limit(self) -> str:
        """The limit, in the same way."""
        return "" if self.limit is None else f"{self.limit:.2f}"

    @property
    def held(self) -> bool:
        """Whether the promise is kept; of what could not be measured nothing is said."""
        return self.limit is None or self.absent or self.ratio <= self.limit


def medians(calls: Mapping[str, Callable[[], object]], *, rounds: int, warm: int, inner: int = 1) -> dict[str, float]:
    """Median seconds of one call of each, over `rounds` interleaved rounds of `inner` calls.

    A call is quicker or slower by what the one before it left in the processor's caches. So each second round goes
    backwards but for its first, and none comes after itself.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warm):
            call()
    forwards = list(calls.items())
    backwards = [forwards[0], *forwards[:0:-1]]
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for name, call in backwards if number % 2 else forwards:
                began = time.perf_counter()
                for _ in range(inner):
                    call()
                times[name].append((time.perf_counter() - began) / inner)
    finally:
        gc.enable()
    return {name: statistics.median(taken) for name, taken in times.items()}
