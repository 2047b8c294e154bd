"""200 kernels that keep 20 profiles with 10-second tokens fresh, at one real server."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from jupyter_tokens.protocol.proof import WINDOW_SECONDS
from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sources.cache import windows

from ..sampling import long
from .kernels import Order

pytestmark = pytest.mark.slow

KERNELS, PROFILES, LIFE = 200, 20, 10.0
PROCESSES = 2
HERE = Path(__file__).parent


class Load(NamedTuple):
    """warm : seconds before anything is measured. turns, interval : see `Order`.

    growth : by how much of its memory the server may grow between the first and the last third.
    """

    warm: float
    turns: int
    interval: float
    growth: float

    @property
    def seconds(self) -> float:
        """In all."""
        return self.turns * self.interval


ADVISORY, MANDATORY = windows(LIFE)
# A kernel that keeps all profiles fresh asks for each of them once in the time that a token is fresh: each 0.4 s for
# another, which makes 500 questions a second. Warm is a server that remembers as many proofs as it ever will; in a few
# seconds it cannot be.
FULL = Load(WINDOW_SECONDS + 5, 313, (LIFE - ADVISORY) / PROFILES, 0.01)
FEW = Load(3.0, 13, 2 * (LIFE - ADVISORY) / PROFILES, 0.05)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A client for each profile, so that its calls can be told from the others'."""
    accounts = Accounts(oneaccess={f"client-{number}": f"c4n4ry-s3cret-{number}" for number in range(PROFILES)})
    with running(accounts=accounts, life=LIFE) as served:
        yield served


@pytest.fixture
def profiles(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> list[str]:
    written = {}
    for client, secret in sandbox.accounts.oneaccess.items():
        file = tmp_path / client
        file.touch(0o600)
        file.write_text(secret)
        settings = {"provider": "oneaccess", "endpoint": sandbox.url, "client_id": client}
        written[f"profile-{client}"] = {**settings, "client_secret": f"file:{file}"}
    config = config_dir / "jupyter_tokens_config.json"
    config.touch(0o600)
    config.write_text(json.dumps({"TokenProfiles": {"profiles": written}}))
    return list(written)


class Server(NamedTuple):
    port: int
    process: psutil.Process
    log: Path


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    log = folder / "server.log"
    options = ["--ServerApp.port=0", "--ServerApp.open_browser=False", "--ServerApp.allow_root=True"]
    extension = "--ServerApp.jpserver_extensions={'jupyter_tokens': True}"
    command = [sys.executable, str(HERE / "served.py"), str(KERNELS), *options, extension]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready, log.read_text()
            yield Server(json.loads(ready)["port"], psutil.Process(process.pid), log)
        finally:
            # It has nothing to put in order: its kernels are none.
            process.kill()


@contextmanager
def asking(order: Order) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "kernels.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            json.dump(asdict(order), process.stdin)
            process.stdin.close()
            yield process
        finally:
            process.kill()


@long
def test_nothing_fails_and_the_vendor_is_asked_as_often_as_the_windows_say(
    sandbox: Sandbox, profiles: list[str], tmp_path: Path, full: bool
) -> None:
    load = FULL if full else FEW
    with serving(tmp_path) as server, ExitStack() as asked:
        files = sorted(map(str, Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("kernel-*.json")))
        assert len(files) == KERNELS
        begin = time.time() + 1
        orders = [
            Order(server.port, files[number::PROCESSES], profiles, begin, load.turns, load.interval)
            for number in range(PROCESSES)
        ]
        clients = [asked.enter_context(asking(order)) for order in orders]
        memory = list(looks(server.process, begin + load.warm, begin + load.seconds))
        told = [json.loads(client.stdout.read()) for client in clients if client.stdout is not None]
        log, used = server.log.read_text(), sum(server.process.cpu_times()[:2])
    taken = [moment for seen in told for moment in seen["taken"]]
    wrong = sum((Counter(seen["wrong"]) for seen in told), Counter[str]())
    tell(load, [seconds for due, seconds in taken if due >= load.warm], memory, sandbox)
    print(f"  the server's work for one of {len(taken)} questions, with its start: {used / len(taken) * 1000:.2f} ms")

    assert not wrong
    assert len(taken) == KERNELS * load.turns
    assert not [line for line in log.splitlines() if line.startswith(("[W", "[E")) or "Traceback" in line]
    check_upstream(sandbox, max(due + seconds for due, seconds in taken), [seen["obtained"] for seen in told])
    check_memory(memory, load)


def looks(process: psutil.Process, begin: float, end: float) -> Iterator[int]:
    """The memory of a process, two times a second."""
    moment = begin
    while moment < end:
        time.sleep(max(0.0, moment - time.time()))
        yield int(process.memory_info().rss)
        moment += 0.5


def check_upstream(sandbox: Sandbox, seconds: float, told: list[dict[str, list[str]]]) -> None:
    """One call at first, and then one whenever the advisory window opens, 8 s after the last.

    Each profile is asked for 25 times a second (in CI half as often), so that the first question within the window,
    which has the token renewed, comes at once; and nobody waits for it, since the mandatory window opens 1.5 s later.
    In a minute that is 1 + ⌊60 / 8⌋ = 8 calls of each profile, whatever the number of kernels and of questions: also if
    each renewal came half a second late, 1 + ⌊60 / 8.5⌋ = 8.

    seconds : from the first question to the last answer.
    """
    most, least = (1 + int(seconds / (LIFE - ADVISORY + late)) for late in (0.0, 0.5))
    calls = Counter(token.subject["client_id"] for token in sandbox.issued.values())
    assert calls.keys() == sandbox.accounts.oneaccess.keys()
    assert least <= min(calls.values()) <= max(calls.values()) <= most
    assert sandbox.requests["oneaccess"] == calls.total()
    for profile in told[0]:
        moments = sorted({datetime.fromisoformat(moment) for seen in told for moment in seen[profile]})
        assert len(moments) == calls[profile.removeprefix("profile-")]
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
        # By two clocks of the machine, which need not agree to the millisecond.
        assert all(LIFE - ADVISORY - 0.01 <= gap < LIFE - MANDATORY for gap in gaps), gaps


def thirds(memory: list[int]) -> tuple[float, float]:
    """Means of the first and of the last."""
    part = len(memory) // 3
    return statistics.mean(memory[:part]), statistics.mean(memory[-part:])


def check_memory(memory: list[int], load: Load) -> None:
    first, last = thirds(memory)
    assert last - first < load.growth * first


def tell(load: Load, taken: list[float], memory: list[int], sandbox: Sandbox) -> None:
    first, last = thirds(memory)
    p50, p99 = (statistics.quantiles(taken, n=100)[part - 1] * 1000 for part in (50, 99))
    print(
        f"\n{KERNELS} kernels, {PROFILES} profiles, {LIFE:g}-second tokens; {load.seconds:.0f} s,"
        f" measured for {load.seconds - load.warm:.0f} s"
        f"\n  {KERNELS / load.interval:.0f} questions a second: p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
        f" longest {max(taken) * 1000:.0f} ms"
        f"\n  calls of the vendor: {sandbox.requests['oneaccess']}"
        f"\n  memory: {first / 2**20:.2f} MB in the first third, {last / 2**20:.2f} MB in the last"
    )
