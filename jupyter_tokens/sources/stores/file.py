"""Keeps slots as files in a private folder. The operating system releases a lock when the lock's holder dies."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import TypeVar

from ..._util.atomic_file import replace_file
from ...clock import Clock
from .base import LockTaken, Slot, SlotContent, Store, StoreUnavailable

try:
    import fcntl
except ImportError:  # pragma: no cover (Windows)
    fcntl = None  # type: ignore[assignment]

__all__ = ["FileStore", "can_lock", "locked"]

can_lock = fcntl is not None
_SLOT, _LOCK = ".slot", ".lock"
_MAX_BYTES = 1 << 20
_OLD_LOCK_SECONDS = 86_400.0
_SWEEP_SECONDS = 60.0
_FIRST_PAUSE, _MAX_PAUSE = 0.001, 0.05
_T = TypeVar("_T")


class FileStore(Store):
    """A folder with mode 0700. `NAME.slot` contains a line of facts and encrypted bytes, `NAME.lock` the last fence."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.location = str(folder)
        self._folder = folder
        self._clock = clock
        self._sweep_at = -inf

    def get(self, name: str) -> SlotContent | None:
        return self._guarded(lambda: self._read(self._folder / f"{name}{_SLOT}"), None)

    def put(self, name: str, sealed: bytes, *, life: float, fence: int) -> None:
        """See `Store.put`. The fence is not compared: a lock on a file cannot be lost, so there is no later holder."""
        now = self._clock.now()
        facts = {"fence": fence, "put_at": now, "ends_at": now + life}
        file = self._folder / f"{name}{_SLOT}"
        self._guarded(lambda: replace_file(file, json.dumps(facts).encode() + b"\n" + sealed), None)
        self._sweep()

    def drop(self, name: str) -> None:
        self._guarded((self._folder / f"{name}{_SLOT}").unlink, None)

    @contextmanager
    def lock(self, name: str, *, seconds: float) -> Iterator[int]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{self._folder} cannot be created: {error.strerror}") from None
        self._guarded(self._folder.stat, None)
        with locked(self._folder / f"{name}{_LOCK}", seconds=seconds, clock=self._clock) as handle:
            yield self._guarded(lambda: _next(handle), 0)

    def slots(self) -> list[Slot]:
        return self._guarded(lambda: [slot for file in self._files() if (slot := self._slot_info(file))], [])

    def clear(self) -> int:
        """See `Store.clear`. Lock files stay, because they may be in use."""
        files = self._guarded(self._files, list[Path]())
        for file in files:
            self._guarded(file.unlink, None)
        return len(files)

    def _guarded(self, act: Callable[[], _T], missing: _T) -> _T:
        """Call `act` if only this user can write to the folder. Return `missing` if a file or the folder is missing."""
        try:
            facts = self._folder.stat()
            if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
                raise StoreUnavailable(f"{self._folder} belongs to another user")
            if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise StoreUnavailable(
                    f"others can write to {self._folder} (mode {stat.S_IMODE(facts.st_mode):04o}): use chmod 700"
                )
            return act()
        except FileNotFoundError:
            return missing
        except OSError as error:
            raise StoreUnavailable(f"{self._folder} cannot be used: {error.strerror}") from None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SLOT}"))

    def _read(self, file: Path) -> SlotContent | None:
        with file.open("rb") as stream:
            head, _, sealed = stream.read(_MAX_BYTES).partition(b"\n")
        try:
            facts = json.loads(head)
            left, fence = facts["ends_at"] - self._clock.now(), facts["fence"]
            return SlotContent(sealed, float(left), fence) if left > 0 and type(fence) is int else None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            # The file is damaged: the next put replaces it.
            return None

    def _slot_info(self, file: Path) -> Slot | None:
        content = self._read(file)
        facts = file.stat()
        age = max(0.0, self._clock.now() - facts.st_mtime)
        return None if content is None else Slot(file.name.removesuffix(_SLOT), age, content.left, facts.st_size)

    def _sweep(self) -> None:
        """Remove expired and damaged slots, and lock files that have no slot and were not used for a day.

        Done at most once a minute, because this reads all slots, and a hub's service may have a slot for each user.
        """
        now = self._clock.elapsed()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        with suppress(OSError):
            for file in self._files():
                # If another process is replacing the file now, the worst effect is one more call to the API.
                if self._read(file) is None:
                    file.unlink(missing_ok=True)
            for file in self._folder.glob(f"*{_LOCK}"):
                # The lock file contains the last fence. While there is a slot, the next fence must be greater.
                unused = self._clock.now() - file.stat().st_mtime > _OLD_LOCK_SECONDS
                if unused and not file.with_suffix(_SLOT).exists():
                    with suppress(StoreUnavailable), locked(file, seconds=0, clock=self._clock):
                        file.unlink(missing_ok=True)


@contextmanager
def locked(file: Path, *, seconds: float, clock: Clock) -> Iterator[int]:
    """Hold a lock on a file, which is created if necessary, and yield the file's descriptor.

    Waits for the lock for at most `seconds`. Raises `LockTaken` if the lock is not free by then, and `StoreUnavailable`
    if the file cannot be locked.
    """
    deadline = clock.elapsed() + seconds
    pause = _FIRST_PAUSE
    while True:
        handle = _try_lock(file)
        if handle is not None:
            break
        if clock.elapsed() >= deadline:
            raise LockTaken(f"the lock {file} was not free within {seconds:g} s")
        time.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE)
    try:
        yield handle
    finally:
        # Closing is not enough, because a forked child has the file open as well.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _try_lock(file: Path) -> int | None:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"{file.parent} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file may have been removed and recreated between the two calls.
        if os.path.samestat(os.fstat(handle), file.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(handle)
        raise StoreUnavailable(f"{file.parent} does not support locks: {error.strerror}") from None
    os.close(handle)
    return None


def _next(handle: int) -> int:
    """Return the next fence, and store it in the lock file: fences go up by one each time the lock is taken."""
    try:
        fence = int(os.pread(handle, 32, 0)) + 1
    except ValueError:
        fence = 1
    os.pwrite(handle, b"%020d" % fence, 0)
    return fence
