"""A real Dask cluster of its own processes, with a kernel of a real server as the driver."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_tokens.errors import ConfigurationError
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension

from ..server.kernels import until
from . import leaks
from .conftest import AllIssued, Drive, Pace
from .test_processes import check

pytestmark = pytest.mark.scale
DEADLINE = 120

JOIN = """
    from distributed import Client
    from jupyter_tokens import get_token, workers
    from tests.workers import jobs

    client = Client(scheduler_file=scheduler)
    client.wait_for_workers(workers_there, timeout=120)
    result = None
"""
ENTER = """
    auth = get_token("oneaccess").auth
    tokens = workers.dask.tokens(client, "oneaccess", inject=inject, file=file, lease=lease)
    handle = tokens.__enter__()
    result = handle.id
"""
WORK = """
    client.wait_for_workers(workers_there, timeout=120)
    there = list(client.scheduler_info(n_workers=-1)["workers"])
    parts = [
        client.submit(jobs.work, url, auth, seconds, workers=[there[n % len(there)]], pure=False) for n in range(4)
    ]
    result = [call for part in client.gather(parts) for call in part]
"""
REFUSED = """
    result = client.gather(client.map(jobs.refused, [auth] * 4, url=url, pure=False))
"""


class Cluster:
    """A scheduler and workers, each a process with a log at DEBUG."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scheduler = str(folder / "scheduler.json")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.start("scheduler", "--scheduler-file", self.scheduler, "--dashboard-address", "127.0.0.1:0", "--port", "0")

    def start(self, kind: str, *options: str, name: str = "") -> None:
        command = [sys.executable, "-m", "distributed.cli.dask_" + ("worker" if kind == "worker" else "scheduler")]
        environment = {
            **os.environ,
            "DASK_LOGGING__DISTRIBUTED": "debug",
            "DASK_TEMPORARY_DIRECTORY": str(self.folder / "temporary"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        name = name or kind
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*command, "--host", "127.0.0.1", *options], stdout=log, stderr=log, env=environment, cwd=self.folder
            )

    def worker(self, name: str, *options: str) -> None:
        dashboard = ("--dashboard-address", "127.0.0.1:0")
        self.start("worker", "--scheduler-file", self.scheduler, "--nthreads", "2", *dashboard, *options, name=name)

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(DEADLINE)

    def close(self) -> None:
        # A nanny's own process ends with it.
        for name in self.processes:
            self.kill(name)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder)
    yield cluster
    cluster.close()


@pytest.mark.parametrize("scheme", ["tcp", "ws", "ucx"])
@pytest.mark.parametrize("worker", [False, True])
def test_an_unencrypted_connection_to_another_machine_is_refused(*, scheme: str, worker: bool) -> None:
    from jupyter_tokens.workers.dask import tokens

    class Client:
        asynchronous = False

        def scheduler_info(self, n_workers: int) -> dict[str, Any]:
            there = f"{scheme}://10.0.0.5:8786"
            return {"address": "tls://10.0.0.4:8786" if worker else there, "workers": {there: {}} if worker else {}}

    client: Any = Client()
    with pytest.raises(ConfigurationError, match=f"unencrypted connection .{scheme}://"), tokens(client, "oneaccess"):
        pass


@pytest.mark.slow
async def test_over_several_lives_with_workers_that_come_and_go(
    *, pace: Pace, drive: Drive, sandbox: Sandbox, issued: AllIssued, cluster: Cluster
) -> None:
    cluster.worker("first", "--no-nanny")
    async with drive() as run:
        await run(JOIN, scheduler=cluster.scheduler, workers_there=1)
        await run(ENTER, inject=False, file=None, lease=900)
        began = time.monotonic()
        assert {status for _, status, _ in await run(WORK, workers_there=1, seconds=1)} == {200}
        cluster.worker("late", "--no-nanny")
        calls = await run(WORK, workers_there=2, seconds=pace.job)
        check(calls, sandbox, issued()[0], pace, seconds=time.monotonic() - began, processes=2)
        cluster.kill("first")
        cluster.worker("in its place", "--no-nanny")
        calls = await run(WORK, workers_there=2, seconds=1)
        check(calls, sandbox, issued()[0], pace, seconds=time.monotonic() - began, processes=2, lives=1)
        await run("tokens.__exit__(None, None, None); result = None")
        # The handle is away from the workers, who have no such profile of their own that may ask here.
        assert issued()[0].revoked


async def test_a_revoked_handle_is_refused_with_what_to_do(
    drive: Drive, call: Any, issued: AllIssued, cluster: Cluster, sandbox: Sandbox
) -> None:
    cluster.worker("first")
    async with drive() as run:
        await run(JOIN, scheduler=cluster.scheduler, workers_there=1)
        await run(ENTER, inject=False, file=None, lease=900)
        assert (await call("DELETE", f"handles/{issued()[0].id}")).code == 204
        refused = await run(REFUSED)
        assert len(refused) == 4
        assert all(text.startswith("HandleRefused: oneaccess: This handle has been revoked.") for text in refused)
        assert all("issue another handle" in text for text in refused)


async def test_a_dead_driver_is_a_dead_handle(
    drive: Drive, extension: TokensExtension, issued: AllIssued, cluster: Cluster, sandbox: Sandbox
) -> None:
    from distributed import Client

    cluster.worker("first")
    async with drive() as run:
        await run(JOIN, scheduler=cluster.scheduler, workers_there=1)
        await run(ENTER, inject=False, file=None, lease=6)
        kernel = run.kernel  # type: ignore[attr-defined]
        kernel.manager.autorestart = False
        await kernel.manager.signal_kernel(signal.SIGKILL)
        await until(lambda: not extension.handles.in_use())

        def ask() -> str:
            with Client(scheduler_file=cluster.scheduler) as other:
                return str(other.submit(jobs_seen).result(DEADLINE))

        from .jobs import seen as jobs_seen

        assert "HandleRefused: oneaccess: The lease of this handle has ended" in await asyncio.to_thread(ask)


@pytest.mark.slow
async def test_a_variable_and_a_file_are_kept_fresh(
    *, pace: Pace, drive: Drive, issued: AllIssued, cluster: Cluster, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "worker.token"
    cluster.worker("first", "--no-nanny")
    async with drive() as run:
        await run(JOIN, scheduler=cluster.scheduler, workers_there=1)
        await run(ENTER, inject="MY_TOKEN", file=str(file), lease=900)
        look = "result = client.submit(jobs.places, 'MY_TOKEN', file, seconds, pure=False).result()"
        places = await run(look, seconds=pace.job, file=str(file))
        assert {mode for _, _, mode in places} == {0o600}
        assert len({variable for variable, _, _ in places}) >= 2
        # Between the two there is a moment.
        assert sum(variable != written for variable, written, _ in places) <= 1 + len(places) // 10
        await run("tokens.__exit__(None, None, None); result = None")
        assert await run(look, seconds=0, file=str(file)) == [[None, None, None]]
        assert not file.exists()


async def test_nothing_leaks(
    *, drive: Drive, issued: AllIssued, cluster: Cluster, sandbox: Sandbox, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        cluster.worker(name)
    async with drive() as run:
        await run(JOIN, scheduler=cluster.scheduler, workers_there=2)
        await run(ENTER, inject=False, file=None, lease=6)
        assert {status for _, status, _ in await run(WORK, workers_there=2, seconds=1)} == {200}
        pickled = await run(
            """
            import cloudpickle, dask, pickle
            graph = dask.delayed(jobs.work)(url, auth, 1)
            result = [pickle.dumps(auth).hex(), cloudpickle.dumps(graph).hex(), cloudpickle.dumps(parts).hex()]
            """
        )
        addresses = await run(
            """
            info = client.scheduler_info(n_workers=-1)
            result = [client.dashboard_link] + [
                f"http://{worker['host']}:{worker['services']['dashboard']}/status"
                for worker in info["workers"].values()
            ]
            """
        )
        places = {f"pickled {number}": bytes.fromhex(data) for number, data in enumerate(pickled)}
        places |= await asyncio.to_thread(_pages, [address.rpartition("/")[0] for address in addresses])
        await run("tokens.__exit__(None, None, None); result = None")
        places |= leaks.files(cluster.folder)
    logs = [place for place in places if place.endswith(".log")]
    assert len(logs) == 3
    assert all(b"DEBUG" in places[log] for log in logs)
    assert sum(place.startswith("http") for place in places) > 20
    # At DEBUG, Dask logs what is registered, byte by byte; docs/security.md says so.
    assert leaks.search(places, leaks.wanted(sandbox, issued())) == {("key", log) for log in logs}


def _pages(roots: list[str]) -> dict[str, bytes]:
    """Every page and API of the dashboards that a link or a list of theirs names."""
    known = [
        "status", "workers", "tasks", "system", "profile", "graph", "groups", "events", "metrics", "health",
        "sitemap.json", "info/main/workers.html", "info/main/logs.html", "info/logs.html", "json/counts.json",
        "json/identity.json", "json/index.html", "individual-plots.json", "statistics/", "hardware", "statics/",
    ]  # fmt: skip
    pages: dict[str, bytes] = {}
    with httpx.Client(timeout=DEADLINE, follow_redirects=True) as client:
        for root in roots:
            paths = list(known)
            listed = client.get(f"{root}/sitemap.json")
            if listed.status_code == 200:
                paths += [path.lstrip("/") for path in listed.json()["paths"]]
            for path in dict.fromkeys(paths):
                answer = client.get(f"{root}/{path}")
                if answer.status_code == 200:
                    pages[f"{root}/{path}"] = answer.content
    return pages
