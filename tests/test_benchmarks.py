"""The benchmarks run from one command. What they measure is not judged here: a busy machine breaks any promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def _served(*names: str) -> set[str]:
    return {
        f"{name}, {count} clients, {figure}" for name in names for count in (1, 50) for figure in ("1 / rate", "p50")
    }


ROWS = {
    "cached": {"dict look-up", "get_token(name)", "get_token(name, two parameters)", "get_token(name), of 1 µs"},
    "cold pai-dlc": {"bare httpx.Client GET", "get_token(refresh=True)", "official SDK"},
    "cold modelarts": {"bare httpx.Client GET", "get_token(refresh=True)", "official SDK"},
    "cold eiam": {"bare httpx.Client GET", "get_token(refresh=True)", "official SDK"},
    "cold oneaccess": {"bare httpx.Client GET", "get_token(refresh=True)"},
    "10,000 tokens": {
        "memory of one, of 2 KB",
        "CPU of a look, of 0.01 % at rest",
        "get_token(name), of 1 µs",
    },
    "import": {
        "import jupyter_tokens",
        "from jupyter_tokens import get_token",
        "import httpx (beside it)",
        "%load_ext jupyter_tokens",
        "%load_ext autoreload (beside it)",
    },
    "proxy": _served("aiohttp", "proxy"),
    "signing proxy": _served("aiohttp", "signing proxy"),
    "token over HTTP": _served("trivial", "cached"),
    "redaction": {
        f"{name}, {switched}"
        for name in ("lines of 80", "a value in 1 of 1000 lines", "lines of 1024", "one text", "one text of base64")
        for switched in ("off", "on")
    },
    "server's start": {"initialising, without the extension", "what the extension adds"},
}


@pytest.fixture(scope="module")
def benchmarks() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rounds", "5"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_one_command_runs_them_all_and_tells_whether_the_promises_held(
    benchmarks: subprocess.CompletedProcess[str],
) -> None:
    assert benchmarks.stderr == ""
    assert benchmarks.returncode == (1 if "broken" in benchmarks.stdout else 0)


@pytest.mark.parametrize(("group", "names"), ROWS.items())
def test_each_row_has_a_time_and_a_ratio(
    benchmarks: subprocess.CompletedProcess[str], group: str, names: set[str]
) -> None:
    # The columns are as wide as the table says.
    rows = [line for line in benchmarks.stdout.splitlines() if line[:16].strip() == group]
    assert {line[17:53].strip() for line in rows} == names
    for line in rows:
        seconds, unit, ratio, *_ = line[53:].split()
        assert unit == ("KB" if "memory" in line else "µs")
        # A start may by chance be faster with the extension than without.
        assert float(seconds) > 0 or "extension adds" in line
        assert float(ratio) > 0 or "extension adds" in line
