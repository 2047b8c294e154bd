"""`with revealing():` switches redaction off for output that shows a token on purpose."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from .._compat import publish_text, publishes, wrap

__all__ = ["is_revealing", "revealing"]

_REVEALING: ContextVar[bool] = ContextVar("jupyter_tokens_revealing", default=False)


@contextmanager
def revealing() -> Iterator[None]:
    """Do not redact what this thread or asyncio task prints, displays and sends within the block.

    The notebook may save such output.

    The value of a cell's last expression is sent after the block, and so is redacted.
    """
    before = _REVEALING.set(True)
    _streams.open()
    try:
        yield
    finally:
        _streams.close()
        _REVEALING.reset(before)


def is_revealing() -> bool:
    """Whether the caller is within a `revealing` block of its own thread or asyncio task."""
    return _REVEALING.get()


class _Streams:
    """Makes a kernel's streams send immediately within a block; otherwise they send later, from another thread."""

    def __init__(self) -> None:
        self._blocks = 0
        self._cleanups: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                for stream in (sys.stdout, sys.stderr):
                    if publishes(stream):
                        self._cleanups.append(wrap(stream, "write", partial(_write, stream)))

    def close(self) -> None:
        with self._lock:
            self._blocks -= 1
            while not self._blocks and self._cleanups:
                self._cleanups.pop()()


_streams = _Streams()


def _write(stream: Any, write: Callable[[str], int | None], text: str) -> int | None:
    if not is_revealing():
        return write(text)
    publish_text(stream, text)
    return len(text)
