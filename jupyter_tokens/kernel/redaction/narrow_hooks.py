"""Redacts what a shell prints, displays and raises, for shells whose messages cannot be searched.

Two things are not redacted: a value that is split between two writes, and anything that is sent in another way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .._compat import SHOW_TRACEBACK, replace, wrap
from .search import Search

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["NarrowHooks"]

_Call = Callable[..., Any]


class NarrowHooks:
    """Redacts what one shell prints, displays and raises, until `close`.

    Parameters
    ----------
    shell : InteractiveShell
        The shell.
    search : callable
        Returns the values to redact now, or None.
    """

    def __init__(self, shell: InteractiveShell, search: Callable[[], Search | None]) -> None:
        self._search = search
        self._cleanups = [
            wrap(shell.display_formatter, "format", self._format),
            wrap(shell.display_pub, "publish", self._publish),
            wrap(shell, SHOW_TRACEBACK, self._show_traceback),
        ]
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if hasattr(stream, "__dict__"):
                self._cleanups.append(wrap(stream, "write", self._write))
            else:
                # A stream of xeus-python is written in C++ and takes no attributes, so another object takes its place.
                self._cleanups.append(replace(sys, name, _Stream(stream, partial(self._write, stream.write))))

    def close(self) -> None:
        """Remove the hooks."""
        while self._cleanups:
            self._cleanups.pop()()

    def _redacted(self, value: Any) -> Any:
        search = self._search()
        return value if search is None else search.redacted_object(value)

    def _write(self, write: _Call, text: str) -> Any:
        return write(self._redacted(text))

    def _format(self, original: _Call, *args: Any, **kwargs: Any) -> Any:
        return tuple(self._redacted(part) for part in original(*args, **kwargs))

    def _publish(self, publish: _Call, data: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        return publish(self._redacted(data), *args, **kwargs)

    def _show_traceback(self, show: _Call, kind: type[BaseException], error: BaseException, lines: list[str]) -> Any:
        # The function may show the exception's own message, so it gets another exception with the redacted message.
        message = str(error)
        clean = self._redacted(message)
        return show(kind, error if clean == message else Exception(clean), self._redacted(lines))


class _Stream:
    """Wraps a stream, and replaces its `write`."""

    def __init__(self, stream: Any, write: Callable[[str], Any]) -> None:
        self._stream = stream
        self.write = write

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
