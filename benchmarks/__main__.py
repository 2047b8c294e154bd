"""Runs the benchmarks, prints a table, and exits with 1 if a promise is broken."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from .beside import installed
from .groups import GROUPS, ROUNDS
from .machine import about
from .measure import Row
from .report import write


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of a cold call (default {ROUNDS})")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=GROUPS,
        default=list(GROUPS),
        help=f"run some of the groups alone: {', '.join(GROUPS)}",
        metavar="GROUP",
    )
    parser.add_argument(
        "--write", nargs="?", const="docs", metavar="FOLDER", help="write benchmarks.md and its pictures (default docs)"
    )
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}", help="of the written page (default today)")
    given = parser.parse_args()
    # What is measured is a call, not what an earlier round has left in the store.
    os.environ.setdefault("JUPYTER_TOKENS_STORE", "none")
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    if given.write and len(set(given.only)) < len(GROUPS):
        parser.error("--write is for a whole run, without --only")
    if given.write and not installed("matplotlib"):
        parser.error("--write draws pictures: pip install '.[bench]'")
    # An installed package is compiled. Sources that are run where they stand need not be.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows = {name: tuple(GROUPS[name].rows(given.rounds)) for name in GROUPS if name in given.only}
    _print(rows)
    if given.write:
        write(Path(given.write), rows, given.date)
    return 0 if all(row.held for group in rows.values() for row in group) else 1


def _print(groups: Mapping[str, Sequence[Row]]) -> None:
    told = [
        (row.group, row.name, row.amount, row.told_ratio, row.told_limit, "" if row.held else "broken", row.note)
        for rows in groups.values()
        for row in rows
    ]
    table = [("what", "", "measured", "ratio", "at most", "", ""), *told]
    widths = [max(len(line[column]) for line in table) for column in range(6)]
    print(f"{about()}\n")
    for line in table:
        cells = [
            f"{cell:>{width}}" if 2 <= column <= 4 else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ]
        print("  ".join([*cells, line[6]]).rstrip())


if __name__ == "__main__":
    sys.exit(main())
