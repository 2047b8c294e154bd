"""Takes known values out of what ipykernel copies to the server's log; knows nothing of where the values are from.

What subprocesses and C code write to the kernel's standard output and error goes to the notebook and, as it is, to the
terminal in which the server runs.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from select import select
from typing import Any

from .message_hooks import HOLD_SECONDS
from .replacement import replace
from .search import Search

__all__ = ["LogEcho"]

_MOST_BYTES = 65536
_GRACE_SECONDS = 0.05


class LogEcho:
    """One of a kernel's two streams. search : what to look for now, or None if nothing is to be taken out."""

    def __init__(self, stream: Any, search: Callable[[], Search | None]) -> None:
        self._endings: list[Callable[[], None]] = []
        if getattr(stream, "echo", None) is not None:
            self._endings.append(replace(stream, "echo", _Echo(stream.echo, search)))
        if getattr(stream, "watch_fd_thread", None) is not None:
            self._endings.append(_Watch(stream, search).close)

    def close(self) -> None:
        """Puts everything back."""
        while self._endings:
            self._endings.pop()()


class _Watch:
    """ipykernel's thread that watches a stream writes to a descriptor, which it takes from the stream at each write.

    We give that thread, and it alone, a pipe, and pass on what comes out of it. A thread of ours does so, for the
    terminal may be stopped; there is none until something is written.
    """

    def __init__(self, stream: Any, search: Callable[[], Search | None]) -> None:
        self._stream = stream
        self._search = search
        self._descriptor: int = stream._original_stdstream_copy
        self._thread: threading.Thread | None = None
        self._end = os.urandom(32)
        self._before = type(stream)
        pipe = self._pipe
        descriptor = self._descriptor

        class Watched(self._before):  # type: ignore[misc,name-defined]
            @property
            def _original_stdstream_copy(self) -> int:
                return pipe() if threading.current_thread() is self.watch_fd_thread else descriptor

        Watched.__name__, Watched.__qualname__ = self._before.__name__, self._before.__qualname__
        stream.__class__ = Watched
        atexit.register(self.close)

    def close(self) -> None:
        """Lets the watching thread write to the log itself again, when all that it wrote before is there."""
        atexit.unregister(self.close)
        self._stream.__class__ = self._before
        if self._thread is not None and self._thread.is_alive():
            os.write(self._written, self._end)
            self._thread.join()

    def _pipe(self) -> int:
        if self._thread is None:
            self._read, self._written = os.pipe()
            self._thread = threading.Thread(target=self._run, name="jupyter_tokens log", daemon=True)
            self._thread.start()
        return self._written

    def _run(self) -> None:
        held, ends = "", False
        while True:
            # When all is over, for as long as the watching thread may have the descriptor, and not have written yet.
            patience = _GRACE_SECONDS if ends else HOLD_SECONDS if held else None
            data = os.read(self._read, _MOST_BYTES) if select([self._read], [], [], patience)[0] else b""
            over = ends and not data
            if self._end in data:
                data, ends = data.replace(self._end, b""), True
            # So that bytes which are no text come out as they went in.
            held = self._pass_on(held + data.decode("utf-8", "surrogateescape"), everything=not data)
            if over:
                os.close(self._written)
                os.close(self._read)
                return

    def _pass_on(self, text: str, *, everything: bool) -> str:
        """Returns the end of the text, if it may be the beginning of a value."""
        search = self._search()
        held = ""
        if search is not None:
            if not everything:
                text, held = search.split(text)
            text = search.redacted(text)
        left = text.encode("utf-8", "surrogateescape")
        while left:
            left = left[os.write(self._descriptor, left) :]
        return held


class _Echo:
    """The terminal to which `IPKernelApp.quiet = False` copies what Python prints."""

    def __init__(self, file: Any, search: Callable[[], Search | None]) -> None:
        self._file = file
        self._search = search

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> Any:
        """Writes a text without known values; one that is split between two texts is not found."""
        search = self._search()
        return self._file.write(text if search is None else search.redacted(text))
