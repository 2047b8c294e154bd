"""Runs all benchmarks, prints a table, and exits with 1 if a promise is broken."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version

from . import held, imports, proxy, redaction, tokens


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=600, help="interleaved rounds of a cold call (default 600)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as cache:
        # An installed package is compiled. Sources that are run where they stand need not be.
        os.environ["PYTHONPYCACHEPREFIX"] = cache
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        return _run(rounds)


def _run(rounds: int) -> int:
    rows = [
        *tokens.cached(),
        *tokens.cold(rounds),
        *held.many(),
        *imports.added(max(rounds // 40, 3)),
        *redaction.added(max(rounds // 40, 1)),
        *proxy.served(max(rounds // 25, 1), seconds=min(rounds / 400, 0.25)),
        *proxy.started(max(rounds // 100, 1)),
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("httpx", "ipython"))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {packages}\n")
    print(f"{'what':<16} {'':<36} {'median':>12} {'ratio':>8} {'at most':>8}")
    for row in rows:
        limit = f"{row.limit:.2f}" if row.limit else ""
        mark = "" if row.held else "  broken"
        print(f"{row.group:<16} {row.name:<36} {row.amount} {_short(row.ratio):>8} {limit:>8}{mark}")
    return 0 if all(row.held for row in rows) else 1


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if abs(ratio) >= 0.01 else f"{ratio:.1g}"


if __name__ == "__main__":
    sys.exit(main())
