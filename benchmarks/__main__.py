"""Runs all benchmarks, prints a table, and exits with 1 if a promise is broken."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import version

from . import imports, proxy, tokens


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=600, help="interleaved rounds of a cold call (default 600)")
    rounds = parser.parse_args().rounds
    rows = [
        *tokens.cached(),
        *tokens.cold(rounds),
        *imports.added(max(rounds // 40, 3)),
        *proxy.served(max(rounds // 100, 1), seconds=min(rounds / 100, 1.0)),
        *proxy.started(max(rounds // 100, 1)),
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("httpx", "ipython"))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {packages}\n")
    print(f"{'what':<16} {'':<36} {'median':>12} {'ratio':>8} {'at most':>8}")
    for row in rows:
        limit = f"{row.limit:.2f}" if row.limit else ""
        mark = "" if row.held else "  broken"
        print(f"{row.group:<16} {row.name:<36} {row.seconds * 1e6:>9.2f} µs {row.ratio:>8.2f} {limit:>8}{mark}")
    return 0 if all(row.held for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
