"""Uses IPython's cell events to end the loans of `%%withtoken` and to show notices below a cell.

A loan injects a token for the length of one cell.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from IPython.display import display

from ..errors import TokenError
from ._compat import cell_magic, set_traceback
from .card import Notice

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from .session import Loan, TokenSession

__all__ = ["Cells", "as_line_magic"]

_LINE = re.compile(r"%%withtoken(?!\w|\?)")


def as_line_magic(lines: list[str]) -> list[str]:
    """Turn `%%withtoken …` into the line `%withtoken …` above the rest of the cell, which then runs as usual.

    A real cell magic would have to run the rest itself: without `await`, and with our frames in tracebacks.
    """
    if not lines or not _LINE.match(lines[0]):
        return lines
    return [lines[0].removeprefix("%"), *cell_magic(as_line_magic(lines[1:]))]  # type: ignore[no-untyped-call]


class _Cell:
    def __init__(self, code: str) -> None:
        self.code = code
        self.loans: list[Loan] = []

    def end(self) -> None:
        """End the cell's loans, the last first, and show what could not be restored."""
        while self.loans:
            try:
                self.loans[-1].close()
            except TokenError as error:
                _show("%withtoken could not restore everything:", [str(error)])
            # The loan is removed only now, so that after an interrupt the next call of `end` closes it.
            self.loans.pop()


class _Running(threading.local):
    """The running cells of one thread, innermost last. Each subshell runs its cells on a separate thread."""

    def __init__(self) -> None:
        self.cells: list[_Cell] = []
        self.outside = _Cell("")


class Cells:
    """Tracks the running cells of one shell, and ends their loans."""

    def __init__(self, shell: InteractiveShell, session: TokenSession) -> None:
        self._shell = shell
        self._session = session
        self._running = _Running()

    def open(self) -> None:
        """Register with the shell's cell events and input transformers."""
        for event, function in self._events():
            self._shell.events.register(event, function)
        self._shell.input_transformers_cleanup.append(as_line_magic)

    def close(self) -> None:
        """Unregister, and end the loans of this thread's cells."""
        for event, function in self._events():
            self._shell.events.unregister(event, function)
        self._shell.input_transformers_cleanup.remove(as_line_magic)
        # The cell that unloads the extension fires its end event after we have unregistered.
        for cell in (*self._running.cells, self._running.outside):
            cell.end()
        self._running.cells.clear()

    def open_loan(self, loan: Loan) -> None:
        """Open a loan that ends with the innermost running cell. Raises `TokenError`."""
        running = self._running
        cell = running.cells[-1] if running.cells else running.outside
        # The loan is appended before it is opened, so that an interrupt in between does not leave it open.
        cell.loans.append(loan)
        loan.__enter__()

    def run(self, code: str) -> None:
        """Run the cell below `%%withtoken` for a program that calls the magic itself, then end the loan.

        Raises the error of the cell.
        """
        running = self._running
        outer = running.cells[-1] if running.cells else running.outside
        cell = _Cell(code)
        cell.loans.append(outer.loans.pop())
        try:
            result = self._shell.run_cell(code)  # type: ignore[no-untyped-call]
        finally:
            cell.end()
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            # IPython has shown it already.
            set_traceback(error, [])
            raise error

    def _events(self) -> list[tuple[str, Any]]:
        return [("pre_run_cell", self._begin), ("post_execute", self._end_silent), ("post_run_cell", self._end)]

    def _begin(self, info: ExecutionInfo) -> None:
        self._running.cells.append(_Cell(info.raw_cell or ""))
        # The machine may have slept since the last cell.
        self._session.refresher.wake()

    def _end_silent(self) -> None:
        # Ends a silent cell, for which IPython fires no pre_run_cell.
        if not self._running.cells:
            self._running.outside.end()

    def _end(self, result: ExecutionResult | None) -> None:
        # No result means that the cell was cancelled. A blank cell fires its end event but not its start event.
        info = None if result is None else result.info
        cells = self._running.cells
        if cells and (info is None or info.raw_cell == cells[-1].code):
            try:
                cells[-1].end()
            finally:
                # Again, in case an interrupt cut the first call short.
                cells.pop().end()
        if info is not None and info.store_history:
            self._show_notices()

    def _show_notices(self) -> None:
        """Show the session's notices below the cell."""
        notices = self._session.notices()
        if notices:
            _show("About your tokens:", [*notices, "%tokens lists their current state."])


def _show(title: str, lines: list[str]) -> None:
    display(Notice(title, lines, accent="warn"))  # type: ignore[no-untyped-call]
