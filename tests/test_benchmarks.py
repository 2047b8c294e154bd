"""The benchmarks run from one command, and the page is what they say.

Times are not judged here, for a busy machine breaks any promise; what is counted is.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks import beside, libraries, measure, plot
from benchmarks.measure import Row

from .sampling import long

pytestmark = long
ROOT = Path(__file__).parents[1]
LIBRARIES = ("botocore", "google-auth", "azure-identity", "msal", "authlib")
SDKS = ("alibabacloud-pai-dlc20201203", "alibabacloud-eiam20211201", "huaweicloudsdkmodelarts", "actoolkit")
ENDPOINTS = ("aws", "alibaba", "huawei", "google", "azure", "databricks")
COLD = dict.fromkeys(("bare httpx.Client GET", "get_token(refresh=True)"))
COLD_BESIDE_SDK = {**COLD, "official SDK": None, "what ours adds to the GET, of what the SDK adds": "1.00"}
SHORT = {
    "jupyter_tokens: upstream calls": "1.00",
    "jupyter_tokens: askers that waited": "0.00",
    "jupyter_tokens: tokens without life": "0.00",
    **dict.fromkeys(f"{name}: upstream calls" for name in LIBRARIES),
}
FOOTPRINT = dict.fromkeys(("jupyter_tokens, all of a fetch", "httpx", *SDKS, *LIBRARIES))


def _served(base: str, ours: str, **promised: str) -> dict[str, str | None]:
    """promised : the limits of `rate` at fifty clients and of `p50` at one."""
    names = [f"{n}, {count} clients, {figure}" for n in (base, ours) for count in (1, 20, 50) for figure in _FIGURES]
    limits = {f"{ours}, 50 clients, 1 / rate": promised.get("rate"), f"{ours}, 1 clients, p50": promised.get("p50")}
    return {name: limits.get(name) for name in names}


_FIGURES = ("1 / rate", "p50")
ROWS: dict[str, dict[str, str | None]] = {
    "cached": {
        "dict look-up": None,
        "get_token(name)": None,
        "get_token(name, two parameters)": None,
        "get_token(name), of 3 µs": "1.00",
    },
    "held": dict.fromkeys(("jupyter_tokens", *LIBRARIES)),
    "cold pai-dlc": COLD_BESIDE_SDK,
    "cold modelarts": COLD_BESIDE_SDK,
    "cold eiam": COLD_BESIDE_SDK,
    "cold oneaccess": COLD,
    **{
        f"sandbox {name}": dict.fromkeys(("get_token(refresh=True)", "official SDK"))
        for name in ("pai-dlc", "eiam", "modelarts", "astra")
    },
    "herd of 32": {
        **dict.fromkeys(f"{n}: until all have it" for n in ("jupyter_tokens", *LIBRARIES)),
        **dict.fromkeys(f"{n}: upstream calls" for n in LIBRARIES),
        "jupyter_tokens: upstream calls": "1.00",
    },
    "life of 60 s": SHORT,
    "life of 900 s": SHORT,
    "import": {
        "import jupyter_tokens": "1.00",
        "from jupyter_tokens import get_token": None,
        "import httpx (beside it)": None,
        "%load_ext jupyter_tokens": "1.00",
        "%load_ext autoreload (beside it)": None,
    },
    "footprint: import": FOOTPRINT,
    "footprint: memory": FOOTPRINT,
    "10,000 tokens": {
        "memory of one, of 2 KB": "1.00",
        "CPU of a look, of 0.01 % at rest": "1.00",
        "get_token(name), of 3 µs": "1.00",
    },
    "scan": {
        "all notebooks": "1.00",
        **dict.fromkeys(("tutorials", "pictures", "tables", "code and tracebacks")),
        "tutorials by jupyter_tokens": None,
        "tutorials by detect-secrets": None,
        "jupyter_tokens: lines with a secret": "0.15",
        "jupyter_tokens: lines without one": "0.03",
        "detect-secrets: lines with a secret": None,
        "detect-secrets: lines without one": None,
    },
    "proxy": _served("aiohttp", "proxy"),
    "proxy, API of 50 ms": _served("aiohttp, API of 50 ms", "proxy, API of 50 ms", rate="1.05"),
    "signing proxy": _served("aiohttp", "signing proxy"),
    "token over HTTP": _served("trivial", "cached", rate="1.11", p50="1.15"),
    "endpoint": {
        **{f"{tool}, 1 clients, p99, of 50 ms": "1.00" for tool in ENDPOINTS},
        **{f"{tool}, 10 clients, p99, of 50 ms": None for tool in ENDPOINTS},
        "upstream calls of two tokens": "1.00",
    },
    "task": {"a request with a literal header": None, "what auth adds, of 50 µs": "1.00"},
    "job": {"1000 tasks on 4 workers, a literal header": None, "1000 tasks on 4 workers, auth": "1.05"},
    "service": {
        **{f"{name}, {count} clients, p50": None for name in ("bare handler", "token") for count in (1, 50)},
        **{f"{name}, 50 clients, 1 / rate, of 1 / 1500 s": None for name in ("bare handler", "token")},
        "token, 1 clients, p50": "1.50",
        "token, 50 clients, 1 / rate, of 1 / 1500 s": "1.00",
    },
    "server's start": {"initialising, without the extension": None, "what the extension adds": "1.00"},
    "panel": {"scripts, compressed, of 60 KB": "1.00", "200 profiles drawn, of 100 ms": "1.00"},
}
"""Each row that has to be there, and what is promised of it."""


class Line(NamedTuple):
    """A line of the page's tables."""

    name: str
    measured: str
    ratio: str
    limit: str
    held: str
    note: str


class Ran(NamedTuple):
    """A whole run with few rounds."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def page(self) -> str:
        return (self.folder / "benchmarks.md").read_text(encoding="utf-8")

    def lines(self, group: str) -> list[Line]:
        rows = [re.split(r" *\| ?", row)[1:-1] for row in self.page.splitlines() if row.startswith(f"| {group} |")]
        return [Line(*cells) for _, *cells in rows]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("docs")
    return Ran(_run("--rounds", "5", "--write", str(folder)), folder)


def test_one_command_runs_them_all_and_tells_whether_the_promises_held(ran: Ran) -> None:
    assert ran.done.stderr == ""
    assert ran.done.returncode == (1 if re.search(r"  broken", ran.done.stdout) else 0)


@pytest.mark.parametrize("group", ROWS)
def test_each_row_has_its_promise_a_measure_and_a_ratio(ran: Ran, group: str) -> None:
    lines = ran.lines(group)
    assert {line.name: line.limit or None for line in lines} == ROWS[group]
    for line in lines:
        amount, unit = line.measured.split()
        assert unit in {"µs", "ms", "s", "KB", "MB", "×"}
        assert (line.held in {"yes", "**no**"}) == bool(line.limit)
        # A start may by chance be faster with the extension than without, a task with `auth` likewise; that none waited
        # is a count of 0.
        if " adds" not in line.name and line.limit != "0.00":
            assert float(amount) > 0
            assert float(line.ratio) >= 0


def test_redaction_is_measured_on_and_off(ran: Ran) -> None:
    lines = {line.name: line for line in ran.lines("redaction")}
    kinds = {name.removesuffix(", off") for name in lines if name.endswith(", off")}
    assert len(kinds) >= 5
    assert lines.keys() >= {f"{kind}, {switch}" for kind in kinds for switch in ("on", "off")}
    assert lines["lines of 80, on"].limit == "1.10"


@pytest.mark.parametrize("group", ["herd of 32", "life of 60 s", "life of 900 s"])
def test_what_is_counted_holds_on_any_machine(ran: Ran, group: str) -> None:
    assert [line.held for line in ran.lines(group) if line.limit] == ["yes"] * (1 if group == "herd of 32" else 3)


def test_endpoints_answer_from_the_cache(ran: Ran) -> None:
    [counted] = [line for line in ran.lines("endpoint") if "upstream" in line.name]
    assert (counted.measured, counted.held) == ("2 ×", "yes")


def test_the_table_has_what_the_page_has(ran: Ran) -> None:
    printed = [re.split(r"\s{2,}", line)[:2] for line in ran.done.stdout.splitlines()[3:]]
    rows = [
        re.split(r" *\| ?", row)[1:3] for row in ran.page.splitlines() if re.match(r"\| .* \|.*\|.*\|.*\|.*\|", row)
    ]
    assert printed == [row for row in rows if row[0] not in {"what", ""}]


def test_the_page_tells_versions_and_size_and_does_not_name_the_machine(ran: Ran) -> None:
    for name in ("jupyter_tokens", "httpx", *LIBRARIES, *SDKS):
        assert re.search(rf"^\| {name} \| \d\S* \|$", ran.page, re.MULTILINE)
    assert re.search(
        r"^Python 3\.\S+ on \w+, \d+ cores \(.+\), \d+ GB of memory; \d{4}-\d\d-\d\d\. Of ", ran.page, re.MULTILINE
    )
    files = [ran.page, *(path.read_text(encoding="utf-8") for path in _pictures(ran.folder))]
    for text in files:
        assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
        assert str(ROOT) not in text
        assert str(ran.folder) not in text


def test_the_page_shows_the_pictures(ran: Ran) -> None:
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", ran.page)
    assert [ran.folder / path for path in shown] == list(_pictures(ran.folder))


def _pictures(folder: Path) -> Iterator[Path]:
    yield from (folder / "images" / name for name in ("benchmarks.svg", "benchmarks-promises.svg"))


FEW = [
    *(Row("held", name, 1e-6 * number, number) for number, name in enumerate(("jupyter_tokens", *LIBRARIES), 1)),
    *(
        Row(group, f"{name}: {what}", 0.0, 1.0, 1.0, count=number)
        for group, what in (
            ("herd of 32", "upstream calls"),
            ("herd of 32", "until all have it"),
            ("life of 60 s", "upstream calls"),
            ("life of 900 s", "upstream calls"),
        )
        for number, name in ((1, "jupyter_tokens"), (32, "msal"))
    ),
    Row("cold eiam", "get_token(refresh=True)", 1e-3, 1.2),
    Row("cold eiam", "what ours adds to the GET, of what the SDK adds", 1e-4, 0.5, 1.0),
    Row("footprint: import", "httpx", 0.1, 1.0),
    Row("footprint: memory", "httpx", 0.0, 1.0, bytes=2**24),
]


@pytest.mark.parametrize("draw", [plot.beside, plot.promises])
def test_a_picture_is_the_same_for_the_same_figures_and_fits_a_dark_page(draw: object, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(FEW, tmp_path / name)  # type: ignore[operator]
    one, two = ((tmp_path / name).read_text(encoding="utf-8") for name in ("one.svg", "two.svg"))
    assert one == two
    assert "<dc:date>" not in one
    assert "jupyter_tokens" in one
    assert not re.search(r"fill: ?(#ffffff|#000000|white|black)", one)


def test_a_library_that_is_not_here_has_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ("no_such_library", beside.LIBRARIES["msal"][1])
    ours = {name: made for name, made in beside.LIBRARIES.items() if name == beside.OURS}
    for module in (beside, libraries):
        monkeypatch.setattr(module, "LIBRARIES", {**ours, "absent": missing})
    for rows in (libraries.held(), libraries.herd(1)):
        row = next(row for row in rows if row.name.startswith("absent"))
        assert (row.absent, row.held, row.amount, row.told_ratio) == (True, True, "–", "")
        assert "not installed" in row.note


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "cached", "--write"], "--write is for a whole run"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
        (["--rounds", "0"], "--rounds must be at least 1"),
    ],
)
def test_a_wrong_use_is_told_before_anything_runs(arguments: list[str], complaint: str) -> None:
    done = _run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


@pytest.mark.parametrize("names", ["ab", "abc", "abcd"])
def test_no_call_is_timed_after_itself(names: str) -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in names}
    measure.medians(calls, rounds=10, warm=0)
    assert len(order) == 10 * len(names)
    assert all(one != two for one, two in pairwise(order))
    assert {order.count(name) for name in names} == {10}


@pytest.mark.parametrize(
    ("row", "amount"),
    [
        (Row("g", "n", 4.2e-7, 1.0), "0.42 µs"),
        (Row("g", "n", -7e-3, 1.0), "-7.00 ms"),
        (Row("g", "n", 2.5, 1.0), "2.50 s"),
        (Row("g", "n", 0.0, 1.0, bytes=1536), "1.50 KB"),
        (Row("g", "n", 0.0, 1.0, bytes=3 * 2**20), "3.0 MB"),
        (Row("g", "n", 0.0, 0.0, 0.0, count=0), "0 ×"),
    ],
)
def test_a_row_has_the_unit_that_fits(row: Row, amount: str) -> None:
    assert row.amount == amount


def test_a_promise_is_broken_by_any_more_than_it_says() -> None:
    assert Row("g", "n", 1.0, 1.15, 1.15).held
    assert not Row("g", "n", 1.0, 1.1501, 1.15).held
    assert not Row("g", "n", 0.0, 1.0, 0.0, count=1).held
