"""The values to redact, and how long each is kept."""

from __future__ import annotations

import os
import re
from math import inf
from threading import RLock
from typing import NamedTuple

from ...clock import Clock, SystemClock
from .search import Search

__all__ = ["MAX_VALID_VALUES", "MAX_VALUES", "KnownValues"]

MAX_VALUES = 500
"""Above this number of values, expired values are forgotten, the earliest expiry first."""
MAX_VALID_VALUES = 1_000
"""Above this number of values, the value that expires first is forgotten even if it is still valid."""

_MAX_EVICTED = 2
_PLAIN = re.compile(r"[^\w .-]")


class _Entry(NamedTuple):
    label: str
    ends_at: float


class KnownValues:
    """The values to redact, each with the label that replaces it.

    Searching takes no lock, and changes take a lock that belongs to the current process: so both work after a fork.

    Parameters
    ----------
    clock : Clock, optional
        By default the system's clock.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._known: dict[str, _Entry] = {}
        self._search = Search()
        self._locks: dict[int, RLock] = {}

    def add(self, value: str, label: str, ends_at: float = inf) -> None:
        """Redact a value from now on.

        Parameters
        ----------
        value : str
            The value.
        label : str
            The text that replaces the value, in square brackets.
        ends_at : float
            Expiry in seconds since the epoch; infinity for a value that does not expire.
        """
        # A label may be put into JSON or HTML.
        label = f"[{_PLAIN.sub('_', label)}]"
        with self._lock():
            before = self._known.get(value)
            if before is None:
                self._search.add(value, label)
            elif before.label != label:
                self._search.relabel(value, label)
            # Recorded only after the search has the value: if the thread is stopped in between, it can be added again.
            self._known[value] = _Entry(label, ends_at)
            self._evict_expired()

    def discard(self, value: str) -> None:
        """Stop redacting a value."""
        with self._lock():
            if self._known.pop(value, None) is not None:
                self._search.discard(value)

    def search(self) -> Search:
        """Return the search for these values. Later changes to the values also change this search."""
        return self._search

    def __repr__(self) -> str:
        return f"<KnownValues {len(self._known)}>"

    def _evict_expired(self) -> None:
        # A few at a time, so that adding a value stays quick.
        for _ in range(_MAX_EVICTED):
            if len(self._known) <= MAX_VALUES:
                return
            first = min(self._known, key=lambda value: self._known[value].ends_at)
            if self._known[first].ends_at > self._clock.now() and len(self._known) <= MAX_VALID_VALUES:
                return
            self.discard(first)

    def _lock(self) -> RLock:
        return self._locks.setdefault(os.getpid(), RLock())
