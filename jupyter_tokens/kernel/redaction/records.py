"""Redacts what IPython itself records of a session and writes to files: by %notebook, %history and %logstart.

IPython records results, displays and printed text before a kernel sends them, so the hooks of `message_hooks.py` come
too late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._compat import line_magics, wrap
from .search import Search

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Records"]

_WRITERS = ("notebook", "history", "hist")
"""Line magics that write the records to a file."""


class Records:
    """Redacts what IPython records of one shell's session, until `close`.

    Results are redacted when they are recorded, because a log or a database may get them soon after. All records
    are redacted again just before a magic writes them, when more values may be known. Input is not redacted.

    Parameters
    ----------
    shell : InteractiveShell
        The shell.
    search : callable
        Returns the values to redact now, or None.
    """

    def __init__(self, shell: InteractiveShell, search: Callable[[], Search | None]) -> None:
        self._shell = shell
        self._search = search
        self._cleanups = [
            wrap(shell.displayhook, "log_output", self._record),
            wrap(shell.logger, "log_write", self._log),
        ]
        self._magics = line_magics(shell)
        self._cleanups += [self._wrap(name) for name in _WRITERS if name in self._magics]

    def close(self) -> None:
        """Remove the hooks. What was redacted stays redacted."""
        while self._cleanups:
            self._cleanups.pop()()

    def redact(self) -> None:
        """Redact everything recorded so far, except input."""
        search, history = self._search(), self._shell.history_manager
        if search is None or history is None:
            return
        for number, text in tuple(history.output_hist_reprs.items()):
            history.output_hist_reprs[number] = search.redacted(text)
        # IPython before 9.1 records neither displays nor errors.
        for outputs in tuple(getattr(history, "outputs", {}).values()):
            for output in outputs:
                output.bundle = _redacted(output.bundle, search)
        errors = getattr(history, "exceptions", {})
        for number, error in tuple(errors.items()):
            errors[number] = search.redacted_object(error)

    def _record(self, log_output: Callable[..., Any], bundle: Any) -> Any:
        search = self._search()
        return log_output(bundle if search is None else _redacted(bundle, search))

    def _log(self, log_write: Callable[..., Any], text: str, kind: str = "input") -> Any:
        search = self._search()
        return log_write(text if search is None or kind == "input" else search.redacted(text), kind)

    def _wrap(self, name: str) -> Callable[[], None]:
        write = self._magics[name]

        def redact_and_write(line: str) -> Any:
            nonlocal write
            self.redact()
            # IPython loads some magics at their first call, and then looks for the real magic in the same table.
            self._magics[name] = write
            try:
                return write(line)
            finally:
                write, self._magics[name] = self._magics[name], redact_and_write

        redact_and_write.__doc__ = write.__doc__
        self._magics[name] = redact_and_write

        def restore() -> None:
            if self._magics.get(name) is redact_and_write:
                self._magics[name] = write

        return restore


def _redacted(bundle: Any, search: Search) -> Any:
    if isinstance(bundle.get("stream"), list):
        # A value may be split between two writes.
        return {**bundle, "stream": [search.redacted("".join(bundle["stream"]))]}
    return search.redacted_object(bundle)
