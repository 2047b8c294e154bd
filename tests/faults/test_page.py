"""The page of docs is the table, and the table is whole."""

from __future__ import annotations

from .cells import APIS
from .page import PAGE, page
from .table import ROWS


def test_the_page_is_the_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Write it anew: python -m tests.faults"


def test_the_table_is_whole() -> None:
    assert len({row.title for row in ROWS}) == len(ROWS) == 31
    for row in ROWS:
        for named in (row.but, row.codes, row.ids, row.only):
            assert set(named) <= set(APIS)
        # A code of each vendor, or of none.
        assert len(row.codes) in {0, len(APIS)}
        assert set(row.codes) != set(APIS) or set(row.ids) == set(APIS) - {"oneaccess"}
