"""What importing the package adds to Python, and loading the extension to IPython, in processes of their own."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from .measure import Row

_BARE = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
_IPYTHON = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
began = time.perf_counter()
shell.run_line_magic("load_ext", "{}")
print(time.perf_counter() - began)
"""


def _seconds(program: str) -> float:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def added(rounds: int) -> Iterator[Row]:
    """Seconds beside the promised ones: 10 ms for the import, 60 ms for `%load_ext`."""
    programs = {
        "import jupyter_tokens": (_BARE.format("import jupyter_tokens"), 0.010),
        "from jupyter_tokens import get_token": (_BARE.format("from jupyter_tokens import get_token"), None),
        "import httpx (beside it)": (_BARE.format("import httpx"), None),
        "%load_ext jupyter_tokens": (_IPYTHON.format("jupyter_tokens"), 0.060),
        "%load_ext autoreload (beside it)": (_IPYTHON.format("autoreload"), None),
    }
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for program, _limit in programs.values():
        _seconds(program)  # compiles what it loads
    for _ in range(rounds):
        for name, (program, _limit) in programs.items():
            taken[name].append(_seconds(program))
    for name, (_program, limit) in programs.items():
        seconds = statistics.median(taken[name])
        # The ratio is to the promise where there is one.
        yield Row("import", name, seconds, seconds / (limit or 0.010), 1.0 if limit else None)
