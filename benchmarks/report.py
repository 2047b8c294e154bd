"""Writes the page of the documentation that tells what a run has measured, and its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .groups import GROUPS
from .machine import about, versions
from .measure import Row

_HEAD = """# Benchmarks

<!-- Written by `python -m benchmarks --write`: edit benchmarks/, not this page. -->

Promises, whether they held, and the same measurements of other libraries, from one run of `make bench ARGS=--write`.
Compared code runs interleaved, so that a slow machine slows all of it, and results are given as ratios of medians,
because a time by itself depends more on the machine than on the code. *At most* is a promise for the ratio.

![Bars: jupyter_tokens beside other libraries and the vendors' SDKs.](images/benchmarks.svg)

![Bars: how much of each promise was used up.](images/benchmarks-promises.svg)
"""
_BESIDE = """## How the other libraries were called

Each library uses its own refreshable credential and its own HTTP client, with a token endpoint on loopback: botocore's
container credentials, google-auth's credentials of a refresh token, azure-identity's `ClientSecretCredential`, msal's
`ConfidentialClientApplication`, authlib's `OAuth2Session`, and our `oneaccess` profile. azure-identity and msal only
accept https, so an adapter of their session sends the same requests to loopback without TLS. Most of the other
libraries are made for clouds whose tokens live for an hour or longer, as their refresh margins show.
"""


def write(folder: Path, groups: Mapping[str, Sequence[Row]], date: str) -> None:
    """Into `folder`, and the pictures into `folder/images`."""
    from .plot import beside, promises

    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows = [row for group in groups.values() for row in group]
    beside(rows, images / "benchmarks.svg")
    promises(rows, images / "benchmarks-promises.svg")
    (folder / "benchmarks.md").write_text("\n".join(_page(groups, date)), encoding="utf-8")


def _page(groups: Mapping[str, Sequence[Row]], date: str) -> Iterator[str]:
    promised = [row for group in groups.values() for row in group if row.limit is not None]
    broken = [row for row in promised if not row.held]
    yield _HEAD
    yield f"{about()}; {date}. Of {len(promised)} promises {len(promised) - len(broken)} held" + (
        "." if not broken else f"; not held: {'; '.join(f'{row.group}: {row.name}' for row in broken)}."
    )
    for name, rows in groups.items():
        yield from ("", f"## {GROUPS[name].title}", "", GROUPS[name].about, "")
        yield "| what | | measured | ratio | at most | held | |"
        yield "|---|---|--:|--:|--:|---|---|"
        for row in rows:
            yield f"| {' | '.join(_cells(row))} |"
    yield f"\n{_BESIDE}\n## Versions\n"
    yield from ("| package | version |", "|---|---|", *(f"| {name} | {number} |" for name, number in versions()), "")


def _cells(row: Row) -> tuple[str, ...]:
    held = "" if row.limit is None else "not measured" if row.absent else "yes" if row.held else "**no**"
    return row.group, row.name, row.amount, row.told_ratio, row.told_limit, held, row.note
