"""What imports cost a process, in time and memory: ours, in Python and in IPython, and those of other libraries."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

import psutil

from .beside import installed
from .measure import Row

_OURS = "jupyter_tokens, all of a fetch"
_PROGRAMS = {
    # What a notebook's first fetch from PAI-DLC loads, httpx with it.
    _OURS: "import jupyter_tokens.sources.local, jupyter_tokens.client, jupyter_tokens.transport"
    ", jupyter_tokens.providers.pai",
    "httpx": "import httpx",
    "alibabacloud-pai-dlc20201203": "import alibabacloud_pai_dlc20201203.client",
    "alibabacloud-eiam20211201": "import alibabacloud_eiam20211201.client",
    "huaweicloudsdkmodelarts": "import huaweicloudsdkmodelarts.v1",
    "actoolkit": "import astraSDK.common",
    "botocore": "import botocore.session, botocore.credentials, botocore.httpsession",
    "google-auth": "import google.oauth2.credentials, google.auth.transport.requests",
    "azure-identity": "import azure.identity",
    "msal": "import msal",
    "authlib": "import authlib.integrations.requests_client",
}
_CHILD = """
import sys, time
began = time.perf_counter()
{}
print(time.perf_counter() - began, flush=True)
sys.stdin.read()
"""

_PLAIN = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
_IPYTHON = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
began = time.perf_counter()
shell.run_line_magic("load_ext", "{}")
print(time.perf_counter() - began)
"""


def _run(program: str) -> tuple[float, int]:
    """Seconds of the import, and resident bytes of the process after it."""
    command = [sys.executable, "-W", "ignore", "-c", _CHILD.format(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        seconds = float(child.stdout.readline())
        resident = psutil.Process(child.pid).memory_info().rss
        child.stdin.close()
    return seconds, resident


def added(rounds: int) -> Iterator[Row]:
    """Each in processes of its own, interleaved; the memory is what it adds to a bare interpreter's."""
    here = {
        name: program
        for name, program in _PROGRAMS.items()
        if installed(program.split()[1].rstrip(",").partition(".")[0])
    }
    bare: list[int] = []
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in here}
    for number in range(rounds + 1):
        bare.append(_run("pass")[1])
        for name, program in here.items():
            seen = _run(program)
            # The first of several compiles what it loads.
            taken[name].extend([seen] if number or not rounds else [])
    nothing = statistics.median(bare)
    seconds = {name: statistics.median(second for second, _ in seen) for name, seen in taken.items()}
    memory = {name: statistics.median(resident for _, resident in seen) - nothing for name, seen in taken.items()}
    for name in _PROGRAMS:
        if name in here:
            yield Row("footprint: import", name, seconds[name], seconds[name] / seconds[_OURS])
            yield Row("footprint: memory", name, 0.0, memory[name] / memory[_OURS], bytes=memory[name])
        else:
            note = "not installed: pip install '.[bench]'"
            yield Row("footprint: import", name, 0.0, 0.0, note=note, absent=True)


def _seconds(program: str) -> float:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def promised(rounds: int) -> Iterator[Row]:
    """Seconds beside the promised ones: 10 ms for the import, 60 ms for `%load_ext`."""
    programs = {
        "import jupyter_tokens": (_PLAIN.format("import jupyter_tokens"), 0.010),
        "from jupyter_tokens import get_token": (_PLAIN.format("from jupyter_tokens import get_token"), None),
        "import httpx (beside it)": (_PLAIN.format("import httpx"), None),
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
