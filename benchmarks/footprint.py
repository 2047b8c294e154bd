"""What the vendors' SDKs, other libraries and ours cost a process that imports them: time and memory."""

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
