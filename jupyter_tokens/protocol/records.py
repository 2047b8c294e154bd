"""Records that an issuer of handles keeps: handles, holdings, events. Replicas of a service can share the records."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .proof import Nonces

if TYPE_CHECKING:
    from ..clock import Clock
    from .proof import Proof

__all__ = ["MAX_EVENTS", "MemoryRecords", "Record", "Records"]

MAX_EVENTS = 1000
"""Maximum number of events kept. Older events are dropped."""
_NONE: Mapping[str, float] = {}


class Record(NamedTuple):
    """A record: its `facts`, as JSON, and its `marks`, numbers that any replica can set or increase."""

    facts: Mapping[str, Any]
    marks: Mapping[str, float]


class Records(ABC):
    """Stores records by kind and name. Thread-safe. If `blocks` is true, do not call the methods on an event loop.

    The methods raise `Busy` if the records cannot be reached.
    """

    blocks: bool

    @abstractmethod
    def add(self, kind: str, name: str, facts: Mapping[str, Any], *, seconds: float) -> bool:
        """Store a new record for `seconds`. Returns False, and changes nothing, if the name is in use."""

    @abstractmethod
    def put(self, kind: str, name: str, facts: Mapping[str, Any], *, seconds: float) -> None:
        """Store or replace a record for `seconds` from now. A replaced record keeps its marks."""

    @abstractmethod
    def mark(self, kind: str, name: str, marks: Mapping[str, float], *, counts: str = "") -> None:
        """Set marks of a record, and add 1 to the mark that `counts` names, unless `counts` is empty.

        Does nothing if there is no such record.
        """

    @abstractmethod
    def get(self, kind: str, name: str) -> Record | None:
        """Return a record that has not expired, or None."""

    @abstractmethod
    def all(self, kind: str) -> list[Record]:
        """Return all records of a kind that have not expired."""

    @abstractmethod
    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event. Only the last `MAX_EVENTS` events are kept."""

    @abstractmethod
    def events(self) -> list[Mapping[str, Any]]:
        """Return the last events, newest first."""

    @abstractmethod
    def spend(self, name: str, proof: Proof) -> None:
        """Record the nonce of a valid proof of `name`. Raises `ProofRefused` if the nonce was used before.

        In memory, it is also raised if `name` has used too many nonces.
        """

    def close(self) -> None:  # noqa: B027 (most have nothing open)
        """Close the connections."""


@dataclass(slots=True)
class _Entry:
    facts: Mapping[str, Any]
    ends_at: float
    marks: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def record(self) -> Record:
        return Record(self.facts, self.marks.copy())


class MemoryRecords(Records):
    """Records in this process's memory."""

    blocks = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, dict[str, _Entry]] = defaultdict(dict)
        self._events: deque[Mapping[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._nonces = Nonces(clock)
        self._lock = threading.Lock()

    def add(self, kind: str, name: str, facts: Mapping[str, Any], *, seconds: float) -> bool:
        with self._lock:
            new = self._new(kind, facts, seconds)
            return self._entries[kind].setdefault(name, new) is new

    def put(self, kind: str, name: str, facts: Mapping[str, Any], *, seconds: float) -> None:
        with self._lock:
            new = self._new(kind, facts, seconds)
            entry = self._entries[kind].setdefault(name, new)
            entry.facts, entry.ends_at = new.facts, new.ends_at

    def mark(self, kind: str, name: str, marks: Mapping[str, float] = _NONE, *, counts: str = "") -> None:
        with self._lock:
            entry = self._entries[kind].get(name)
            if entry is not None:
                entry.marks.update(marks)
                if counts:
                    entry.marks[counts] += 1

    def get(self, kind: str, name: str) -> Record | None:
        with self._lock:
            entry = self._entries[kind].get(name)
            return None if entry is None or entry.ends_at <= self._clock.elapsed() else entry.record()

    def all(self, kind: str) -> list[Record]:
        with self._lock:
            now = self._clock.elapsed()
            return [entry.record() for entry in self._entries[kind].values() if entry.ends_at > now]

    def append(self, event: Mapping[str, Any]) -> None:
        self._events.append(event)

    def events(self) -> list[Mapping[str, Any]]:
        return [*reversed(self._events)]

    def spend(self, name: str, proof: Proof) -> None:
        with self._lock:
            self._nonces.spend(name, proof)

    def _new(self, kind: str, facts: Mapping[str, Any], seconds: float) -> _Entry:
        """Drop the records of this kind that have ended, and return a new record."""
        now = self._clock.elapsed()
        self._entries[kind] = {known: entry for known, entry in self._entries[kind].items() if entry.ends_at > now}
        return _Entry(facts, now + seconds)
