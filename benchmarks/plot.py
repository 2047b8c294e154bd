"""Draws a run as bars, to be read on a light and on a dark page; the same figures give the same file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

from .beside import OURS
from .measure import Row

mpl.use("svg")

import matplotlib.pyplot as plt

_TEXT, _OURS, _OTHERS, _BROKEN = "#808080", "#2f81f7", "#9a9a9a", "#d9483b"
_STYLE = {
    "svg.hashsalt": "jupyter_tokens",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.bottom": False,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "ytick.major.size": 0,
}


class _Bar(NamedTuple):
    name: str
    value: float
    text: str
    colour: str


class _Chart(NamedTuple):
    title: str
    group: str
    strip: str = ""
    """What the rows' names end in; others are left out."""


_CHARTS = (
    _Chart("A held token, handed out", "held"),
    _Chart("Herd of 32 threads: upstream calls", "herd of 32", ": upstream calls"),
    _Chart("Herd of 32 threads: until all have it", "herd of 32", ": until all have it"),
    _Chart("Tokens of 60 s: calls in an hour", "life of 60 s", ": upstream calls"),
    _Chart("Tokens of 15 min: calls in an hour", "life of 900 s", ": upstream calls"),
    _Chart("A fetched token, over a bare GET", "cold"),
    _Chart("Import", "footprint: import"),
    _Chart("Memory after the import", "footprint: memory"),
)
_MANY_TIMES = 30
"""From this ratio of the longest bar to the shortest the scale is logarithmic."""


def beside(rows: Sequence[Row], path: Path) -> None:
    """Ours in colour, others in grey; the shorter the better."""
    with _figure(path, 4, 2, (11, 13)) as axes:
        for chart, ax in zip(_CHARTS, axes, strict=True):
            _bars(ax, list(_of(chart, rows)), chart.title)


def promises(rows: Sequence[Row], path: Path) -> None:
    """How much of each promise is used up."""
    promised = [row for row in rows if row.limit and not row.absent]
    bars = [
        _Bar(
            f"{row.group}: {row.name}",
            100 * row.ratio / row.limit,
            f"{100 * row.ratio / row.limit:.0f} %",
            _OURS if row.held else _BROKEN,
        )
        for row in sorted(promised, key=lambda row: row.ratio / (row.limit or 1))
    ]
    with _figure(path, 1, 1, (11, 1 + 0.32 * len(bars))) as (ax,):
        _bars(ax, bars, "Measured, of what was promised", logarithmic=False)
        ax.axvline(100, color=_TEXT, linewidth=1, linestyle=(0, (4, 3)))


def _of(chart: _Chart, rows: Sequence[Row]) -> Iterator[_Bar]:
    for row in rows:
        if row.absent or not row.group.startswith(chart.group) or not row.name.endswith(chart.strip):
            continue
        name = row.name.removesuffix(chart.strip)
        if chart.group == "cold":
            # Neither the 1 of each, nor the promise, which the other picture shows.
            if name.startswith(("get_token", "official")):
                api = row.group.removeprefix("cold ")
                ours = name.startswith("get_token")
                yield _Bar(
                    f"{api}, {OURS if ours else 'SDK'}", row.ratio, f"{row.ratio:.2f} ×", _OURS if ours else _OTHERS
                )
            continue
        value = row.count if row.count is not None else row.bytes if row.bytes is not None else row.seconds
        yield _Bar(name, value, row.amount.removesuffix(" ×"), _OURS if name.startswith(OURS) else _OTHERS)


def _bars(ax: Any, bars: Sequence[_Bar], title: str, *, logarithmic: bool | None = None) -> None:
    values = [bar.value for bar in bars]
    drawn = ax.barh([bar.name for bar in bars], values, color=[bar.colour for bar in bars], height=0.62)
    ax.bar_label(drawn, [bar.text for bar in bars], padding=4)
    ax.invert_yaxis()
    ax.set_title(title)
    ax.set_xticks([])
    if logarithmic is None and min(values) > 0 and max(values) / min(values) >= _MANY_TIMES:
        ax.set_xscale("log")
        ax.set_xlim(min(values) / 2, max(values) * 6)
        ax.set_title(f"{title} (log)")
        ax.tick_params(which="both", bottom=False, labelbottom=False)
    else:
        ax.set_xlim(0, max(values) * 1.25)


@contextmanager
def _figure(path: Path, rows: int, columns: int, size: tuple[float, float]) -> Iterator[Sequence[Any]]:
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
        yield list(axes.flat)
        # Without a date and without the drawer's own version, the file changes with the figures alone.
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
