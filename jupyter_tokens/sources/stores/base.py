"""The interface of a store through which processes share tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import NamedTuple

__all__ = ["LockTaken", "Slot", "SlotContent", "Store", "StoreUnavailable"]


class StoreUnavailable(Exception):
    """A store or a lock cannot be used now. The message is a part of a sentence, for the log or for another error."""


class LockTaken(StoreUnavailable):
    """A lock was not free in time, but may be soon."""


class SlotContent(NamedTuple):
    """The content of a slot, which expires in `left` seconds. `fence` increases with each holder of the slot's lock."""

    sealed: bytes
    left: float
    fence: int


class Slot(NamedTuple):
    """Facts about a slot that need no decryption: `age` and time `left` in seconds, `size` in bytes."""

    name: str
    age: float
    left: float
    size: int


class Store(ABC):
    """Stores encrypted bytes under opaque names. Thread-safe; every method blocks and raises `StoreUnavailable`."""

    location: str
    """Where the store is, as shown to users, without a password."""

    @abstractmethod
    def get(self, name: str) -> SlotContent | None:
        """Return the content of a slot; None if it is empty, expired or damaged."""

    @abstractmethod
    def put(self, name: str, sealed: bytes, *, life: float, fence: int) -> None:
        """Fill a slot for `life` seconds, unless a later holder of the lock has already filled it."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Empty a slot."""

    @abstractmethod
    def lock(self, name: str, *, seconds: float) -> AbstractContextManager[int]:
        """Hold a slot's lock during a `with` block. Yields a fence: a number that rises with each holder.

        The fences of a slot may start again from 1 when the slot is empty. Waits for the lock for at most `seconds`,
        then raises `LockTaken`. Releasing the lock never raises.
        """

    @abstractmethod
    def slots(self) -> list[Slot]:
        """Return the slots that have not expired."""

    @abstractmethod
    def clear(self) -> int:
        """Empty all slots, and return their number."""

    def close(self) -> None:  # noqa: B027 (most have nothing open)
        """Close the connections."""
