"""Runs notebooks by nbclient, which can miss that a cell has ended: it is made to look again."""

from __future__ import annotations

from typing import Any

import nbformat
from nbclient import NotebookClient

SECONDS = 600
_LOOK_SECONDS = 10


class PatientClient(NotebookClient):
    """An nbclient whose time limit for a cell is `SECONDS`, and that looks every few seconds whether it has ended.

    In a cell that shows an `ipywidgets.Output`, nbclient itself can lose the event that says so, and then waits for as
    long as its time limit allows.
    """

    def __init__(self, notebook: Any, **options: Any) -> None:
        super().__init__(notebook, timeout=_LOOK_SECONDS, startup_timeout=SECONDS, **options)
        self.looks = 0

    # nbclient has no setting for this.
    async def _async_handle_timeout(self, timeout: int, cell: Any = None) -> Any:  # noqa: ASYNC109
        self.looks += 1
        return await super()._async_handle_timeout(timeout, cell) if self.looks * timeout > SECONDS else None


def notebook_of(*sources: str) -> Any:
    """A notebook for Python with a cell for each source."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=spec)
