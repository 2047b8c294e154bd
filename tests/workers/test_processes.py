"""Pools of worker processes, by every way to start one, with a kernel of a real server as their driver."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from jupyter_tokens.protocol.handles import Handle, Handles, IssuedHandle
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.sources.opening import HANDLE_VARIABLE
from jupyter_tokens.workers import processes as module

from ..sampling import long
from ..server.kernels import until
from .conftest import AllIssued, Drive, Pace


def check(
    calls: list[list[Any]],
    sandbox: Sandbox,
    handle: IssuedHandle,
    pace: Pace,
    *,
    seconds: float,
    processes: int,
    lives: float | None = None,
) -> None:
    """No call with a dead token, one call upstream for each life, and one to the issuer by each process."""
    assert {status for _, status, _ in calls} == {200}
    assert len({pid for pid, _, _ in calls}) == processes
    assert len({token for _, _, token in calls}) >= (lives or pace.job // pace.life)
    upstream = sandbox.requests["oneaccess"]
    assert upstream <= seconds / pace.refresh + 1
    assert processes <= handle.uses <= max(processes, 3) * upstream
    print(f"\n{processes} processes: {len(calls)} calls, {handle.uses} asks of the issuer, {upstream} calls upstream")


_METHODS = ("fork", "spawn", "forkserver")
FUTURES = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from jupyter_tokens import get_token, issue_handle, workers
    from tests.workers.jobs import work

    auth = get_token("oneaccess").auth
    pool = ProcessPoolExecutor(
        2, multiprocessing.get_context(method),
        initializer=workers.processes.install, initargs=(issue_handle("oneaccess", lease=lease, url=issuer),),
    )
    with pool:
        parts = [pool.submit(work, url, auth, seconds) for _ in range(2)]
        result = [call for part in parts for call in part.result()]
"""
MULTIPROCESSING = """
    import multiprocessing
    from jupyter_tokens import get_token, issue_handle, workers
    from tests.workers.jobs import work

    auth = get_token("oneaccess").auth
    handle = issue_handle("oneaccess")
    with multiprocessing.get_context(method).Pool(2, workers.processes.install, (handle,)) as pool:
        result = [call for part in pool.starmap(work, [(url, auth, seconds)] * 2, chunksize=1) for call in part]
"""
JOBLIB = """
    from joblib import Parallel, delayed, parallel_config
    from jupyter_tokens import get_token, issue_handle, workers
    from tests.workers.jobs import work

    auth = get_token("oneaccess").auth
    install = {"initializer": workers.processes.install, "initargs": (issue_handle("oneaccess"),)}
    with parallel_config(method, n_jobs=2, **install):
        parts = Parallel()(delayed(work)(url, auth, seconds) for _ in range(2))
        result = [call for part in parts for call in part]
"""


@long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("pool", "method"),
    [
        *((FUTURES, method) for method in _METHODS),
        pytest.param(JOBLIB, "loky", marks=pytest.mark.scale),
    ],
    ids=[*_METHODS, "joblib"],
)
async def test_a_pool_over_several_lives(
    *, pace: Pace, drive: Drive, sandbox: Sandbox, issued: AllIssued, pool: str, method: str
) -> None:
    async with drive() as run:
        began = time.monotonic()
        calls = await run(pool, method=method, seconds=pace.job, lease=900, issuer=None)
        [handle] = issued()
        check(calls, sandbox, handle, pace, seconds=time.monotonic() - began, processes=2)


MANY = 14
TOGETHER = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from jupyter_tokens import get_token, issue_handle
    from tests.workers import jobs

    spawning = multiprocessing.get_context("spawn")
    auth, barrier = get_token("oneaccess").auth, spawning.Barrier(processes)
    given = (issue_handle("oneaccess"), barrier)
    with ProcessPoolExecutor(processes, spawning, initializer=jobs.install_together, initargs=given) as pool:
        parts = [pool.submit(jobs.work, url, auth, seconds) for _ in range(processes)]
        result = [call for part in parts for call in part.result()]
"""


@pytest.mark.scale
@pytest.mark.parametrize("pace", [Pace(10, 30)])
async def test_many_processes_with_one_handle(*, pace: Pace, drive: Drive, sandbox: Sandbox, issued: AllIssued) -> None:
    """As many as a batch job has on one node: asks of the issuer go by processes and lives, calls upstream by lives."""
    async with drive() as run:
        began = time.monotonic()
        calls = await run(TOGETHER, processes=MANY, seconds=pace.job)
        [handle] = issued()
        check(calls, sandbox, handle, pace, seconds=time.monotonic() - began, processes=MANY)


class SlowNetwork:
    """Passes on what it gets to a port of this machine, a moment later."""

    def __init__(self, port: int, delay: float) -> None:
        self._port = port
        self._delay = delay
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
        self.cut()

    def cut(self) -> None:
        """Ends all connections."""
        while self._open:
            self._open.pop().close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._open |= {writer, to_server}
        await asyncio.gather(self._pass_on(reader, to_server), self._pass_on(from_server, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(self._delay)
                writer.write(data)
        writer.close()


@pytest.mark.scale
@pytest.mark.parametrize("pace", [Pace(10, 30)])
async def test_a_slow_network_and_a_server_that_was_started_anew(
    *, pace: Pace, drive: Drive, sandbox: Sandbox, extension: TokensExtension
) -> None:
    parts = urlsplit(extension.issuer_address[0])
    network = SlowNetwork(parts.port or 0, delay=0.3)
    async with drive() as run, network.serving() as port:
        issuer = parts._replace(netloc=f"127.0.0.1:{port}").geturl()
        job = asyncio.create_task(run(FUTURES, method="spawn", seconds=pace.job, lease=3, issuer=issuer))
        await until(lambda: sandbox.requests["oneaccess"] >= 2 or job.done())
        # At an age at which both workers have the second token, with most of its life left.
        await asyncio.sleep(pace.life / 5)
        # Such a server has open connections no more, and knows no handle: its driver issues it again.
        extension.handles = Handles(extension.clock)
        network.cut()
        await until(lambda: extension.handles.in_use() or job.done())
        [again] = extension.handles.in_use()
        calls = await job
        used = extension.handles.get(again.id)
        assert used is not None
        assert used.uses
    assert {status for _, status, _ in calls} == {200}
    assert len({token for _, _, token in calls}) >= pace.job // pace.life


@pytest.mark.parametrize("method", _METHODS)
async def test_a_pool_of_multiprocessing(
    *, pace: Pace, drive: Drive, sandbox: Sandbox, issued: AllIssued, method: str
) -> None:
    async with drive() as run:
        began = time.monotonic()
        calls = await run(MULTIPROCESSING, method=method, seconds=1)
        [handle] = issued()
        check(calls, sandbox, handle, pace, seconds=time.monotonic() - began, processes=2, lives=1)


# A token of three seconds, printed in JSON.
SHORT = 'import time; print(\'{"access_token": "short-%s", "expires_in": 3}\' % time.time_ns())'
PLACES = """
import os, time
from pathlib import Path
from jupyter_tokens import workers
from jupyter_tokens.protocol.handles import Handle

install, uninstall = workers.processes.install, workers.processes.uninstall
file = Path("token")

# Two handles fill the same variable and file.
first, second = Handle.new("lasting", {}), Handle.new("lasting", {})
for handle in (first, second):
    install(handle, inject="LASTING", file=str(file))
uninstall(first)
assert os.environ["LASTING"] == file.read_text()
uninstall(second)
assert "LASTING" not in os.environ and not file.exists()

# What the process has put there since stays.
install(first, inject="LASTING")
os.environ["LASTING"] = "mine"
uninstall(first)
assert os.environ["LASTING"] == "mine"

# What another handle fills is still kept fresh.
first, second = Handle.new("short", {}), Handle.new("short", {})
for handle in (first, second):
    install(handle, inject=True)
uninstall(first)
before = os.environ["SHORT"]
deadline = time.monotonic() + 60
while os.environ["SHORT"] == before:
    assert time.monotonic() < deadline
    time.sleep(0.05)
"""


def test_what_two_handles_fill_stays_until_both_have_ended(config_dir: Path, tmp_path: Path) -> None:
    lasting = {"provider": "static", "token": "lasting-token"}
    short = {"provider": "command", "command": shlex.join([sys.executable, "-ISc", SHORT]), "env": "SHORT"}
    file = config_dir / "jupyter_tokens_config.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"TokenProfiles": {"profiles": {"lasting": lasting, "short": short}}}))
    subprocess.run([sys.executable, "-c", PLACES], cwd=tmp_path, check=True)


def test_a_handle_that_fills_nothing_is_uninstalled_without_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HANDLE_VARIABLE, "/nowhere")
    module.uninstall(Handle.new("oneaccess", {}))
