"""What begins and ends with a cell: tokens lent to it, and notices below it; rests on IPython's events."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from IPython.display import display

from ..errors import TokenError
from ._compat import cell_magic, show_instead
from .card import Notice

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from .session import Loan, TokenSession

__all__ = ["Cells", "as_a_line"]

_LINE = re.compile(r"%%withtoken(?!\w|\?)")


def as_a_line(lines: list[str]) -> list[str]:
    """Makes of `%%withtoken …` the line `%withtoken …` above the rest of the cell, which then runs as any other does.

    A cell magic would have to run the rest by itself: without `await`, and with our frames in its tracebacks.
    """
    if not lines or not _LINE.match(lines[0]):
        return lines
    return [lines[0].removeprefix("%"), *cell_magic(as_a_line(lines[1:]))]  # type: ignore[no-untyped-call]


class _Cell:
    def __init__(self, code: str) -> None:
        self.code = code
        self.loans: list[Loan] = []

    def end(self) -> None:
        """Ends the cell's loans, the last one first; shows what could not be put back."""
        while self.loans:
            try:
                self.loans[-1].close()
            except TokenError as error:
                _show("Not all could be put back as it was:", [str(error)])
            # After it, so that an interrupt in between leaves it to whoever ends the cell again.
            self.loans.pop()


class _Running(threading.local):
    """The cells that run now, the innermost last; those of a subshell's thread apart."""

    def __init__(self) -> None:
        self.cells: list[_Cell] = []
        self.outside = _Cell("")


class Cells:
    """The cells of one shell."""

    def __init__(self, shell: InteractiveShell, session: TokenSession) -> None:
        self._shell = shell
        self._session = session
        self._running = _Running()

    def open(self) -> None:
        """Registers with the shell."""
        for event, function in self._events():
            self._shell.events.register(event, function)
        self._shell.input_transformers_cleanup.append(as_a_line)

    def close(self) -> None:
        """Ends that."""
        for event, function in self._events():
            self._shell.events.unregister(event, function)
        self._shell.input_transformers_cleanup.remove(as_a_line)
        # The cell in which it is unloaded has no end that we would hear of.
        for cell in (*self._running.cells, self._running.outside):
            cell.end()
        self._running.cells.clear()

    def lend(self, loan: Loan) -> None:
        """Opens a loan that ends with the innermost cell that runs. Raises `TokenError`."""
        running = self._running
        cell = running.cells[-1] if running.cells else running.outside
        # Before it is opened, so that an interrupt in between does not leave it open.
        cell.loans.append(loan)
        loan.__enter__()

    def run(self, code: str) -> None:
        """Runs code for a magic that was called by a program, and ends its loans with it; raises the code's error."""
        running = self._running
        cell = running.cells[-1] if running.cells else running.outside
        loan = cell.loans.pop()
        try:
            result = self._shell.run_cell(code)  # type: ignore[no-untyped-call]
        finally:
            loan.close()
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            # It has been shown.
            show_instead(error, [])
            raise error

    def _events(self) -> list[tuple[str, Any]]:
        return [("pre_run_cell", self._begin), ("post_execute", self._end_silent), ("post_run_cell", self._end)]

    def _begin(self, info: ExecutionInfo) -> None:
        self._running.cells.append(_Cell(info.raw_cell or ""))
        # The machine may have slept since the last cell.
        self._session.refresher.look()

    def _end_silent(self) -> None:
        # Of a cell that IPython does not announce.
        if not self._running.cells:
            self._running.outside.end()

    def _end(self, result: ExecutionResult | None) -> None:
        # Without a result the cell was cancelled. A blank cell ends without having begun.
        info = None if result is None else result.info
        cells = self._running.cells
        if cells and (info is None or info.raw_cell == cells[-1].code):
            try:
                cells[-1].end()
            finally:
                # Again, for an interrupt may have come in between.
                cells.pop().end()
        if info is not None and info.store_history:
            self._tell()

    def _tell(self) -> None:
        """Shows the session's notices below a cell that a person sees."""
        notices = self._session.notices()
        if notices:
            _show("About your tokens:", [*notices, "%tokens lists their current state."])


def _show(title: str, lines: list[str]) -> None:
    display(Notice(title, lines, accent="warn"))  # type: ignore[no-untyped-call]
