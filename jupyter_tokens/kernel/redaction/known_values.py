"""The values that are to be taken out, and for how long; knows neither kernels nor how a value is found."""

from __future__ import annotations

import os
import re
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from threading import RLock
from typing import NamedTuple

from ...clock import Clock, SystemClock
from .search import Search

__all__ = ["MOST_LIVING", "MOST_VALUES", "KnownValues"]

MOST_VALUES = 500
"""Values that are known at a time, as long as no more are alive; the one that ended first is forgotten first."""
MOST_LIVING = 1_000
"""Values that are known at most; beyond it the one that ends first is forgotten, though it is still valid."""

_FORGOTTEN_AT_ONCE = 2
_PLAIN = re.compile(r"[^\w .-]")


class _Known(NamedTuple):
    label: str
    ends_at: float
    number: int


class KnownValues:
    """The values, and the label that each is replaced by. clock : tells when a value has ended.

    To search takes no lock, and to change one that each process has for itself, so that both survive a fork.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._known: dict[str, _Known] = {}
        # In the order in which they end; an entry counts that has the number of its value.
        self._ends: list[tuple[float, int, str]] = []
        self._numbers = count()
        self._search = Search()
        self._locks: dict[int, RLock] = {}

    def add(self, value: str, label: str, ends_at: float = inf) -> None:
        """Makes a value known. ends_at : on the wall clock, seconds since the epoch, for one that does end."""
        # A label may end in a text that is itself JSON or HTML.
        label = f"[{_PLAIN.sub('_', label)}]"
        with self._lock():
            before = self._known.get(value)
            if before is None:
                self._search.add(value, label)
            elif before.label != label:
                self._search.relabel(value, label)
            elif before.ends_at == ends_at:
                return
            # After it is looked for: a thread that is stopped in between leaves it to be added once more.
            known = self._known[value] = _Known(label, ends_at, next(self._numbers))
            heappush(self._ends, (ends_at, known.number, value))
            self._forget_ended()

    def discard(self, value: str) -> None:
        """Forgets a value."""
        with self._lock():
            if self._known.pop(value, None) is not None:
                self._search.discard(value)

    def search(self) -> Search:
        """For the values as they are at each moment."""
        return self._search

    def __repr__(self) -> str:
        return f"<KnownValues {len(self._known)}>"

    def _forget_ended(self) -> None:
        # A few at a time, so that no value takes long to become known.
        for _ in range(_FORGOTTEN_AT_ONCE):
            while self._ends and not self._counts(self._ends[0]):
                heappop(self._ends)
            over = len(self._known) - MOST_VALUES
            if over <= 0 or (self._ends[0][0] > self._clock.now() and len(self._known) <= MOST_LIVING):
                break
            self.discard(heappop(self._ends)[2])
        if len(self._ends) > 2 * max(len(self._known), MOST_VALUES):
            self._ends = list(filter(self._counts, self._ends))
            heapify(self._ends)

    def _counts(self, entry: tuple[float, int, str]) -> bool:
        known = self._known.get(entry[2])
        return known is not None and known.number == entry[1]

    def _lock(self) -> RLock:
        return self._locks.setdefault(os.getpid(), RLock())
