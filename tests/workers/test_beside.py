"""What people do today beside what is here, in the same run: which tokens die during a job, and where they are found.

docs/workers.md has the table; each of its rows is held to what is seen.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.sandbox import Sandbox

from ..server.conftest import Call, told
from . import leaks
from . import test_dask as of_dask
from . import test_ray as of_ray
from . import test_spark as of_spark
from .conftest import Drive, Pace
from .test_dask import Cluster as Dask
from .test_spark import Cluster as Spark

pytestmark = pytest.mark.scale
dask_cluster, spark_cluster = of_dask.cluster, of_spark.cluster  # fixtures
PAGE = Path(__file__).parents[2] / "docs" / "workers.md"
_KINDS = {
    r"environment ": "environment of a process",
    r"command line ": "command line of a process",
    r"pickled ": "pickled task",
    r"http": "web pages and APIs",
    r"api/|nodes|logical": "web pages and APIs",
    r".*(\.log|\.out|\.err|/stderr|/stdout)$": "logs",
    r".*/events/": "event log",
    r".*/local/": "temporary files",
}

KEEP = """
    from pathlib import Path
    # What the kernel prints has no token in it.
    for number, each in enumerate(pickled):
        Path(folder, f"pickled {number}").write_bytes(each)
    result = calls
"""
POOL = """
    import functools, multiprocessing, os, pickle
    from concurrent.futures import ProcessPoolExecutor
    from pathlib import Path
    from jupyter_tokens import get_token, issue_handle, workers
    from tests.workers import jobs

    os.environ["OLD_TOKEN"] = in_environment
    auth = get_token("oneaccess").auth
    handle = issue_handle("oneaccess")
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), workers.processes.install, (handle,)) as pool:
        hows = [jobs.Literal(in_task), jobs.Environ(), auth]
        tasks = [functools.partial(jobs.work, url, how, seconds) for how in hows]
        calls = [pool.submit(task).result() for task in tasks]
        for number, pid in enumerate(pool._processes):
            Path(folder, f"environment {number}").write_bytes(Path(f"/proc/{pid}/environ").read_bytes())
    pickled = [pickle.dumps(task) for task in tasks]
"""
DASK = """
    import cloudpickle
    from distributed.diagnostics.plugin import Environ
    client.register_plugin(Environ({"OLD_TOKEN": in_environment}))
    client.wait_for_workers(1, timeout=120)
    hows = [jobs.Literal(in_task), jobs.Environ(), auth]
    calls = [client.submit(jobs.work, url, how, seconds, pure=False).result() for how in hows]
    pickled = [cloudpickle.dumps((jobs.work, url, how, seconds)) for how in hows]
"""
RAY = """
    import cloudpickle
    with_variable = work.options(runtime_env={"env_vars": {"OLD_TOKEN": in_environment}})
    hows = [(work, jobs.Literal(in_task)), (with_variable, jobs.Environ()), (work, auth)]
    calls = [ray.get(task.remote(url, how, seconds)) for task, how in hows]
    pickled = [cloudpickle.dumps((jobs.work, url, how, seconds)) for _, how in hows]
"""
SPARK = """
    from pyspark import cloudpickle
    broadcast = sc.broadcast(in_broadcast)
    tasks = [
        lambda _: jobs.work(url, jobs.Literal(in_closure), seconds),
        lambda _: jobs.work(url, jobs.Literal(broadcast.value), seconds),
        lambda _: jobs.work(url, jobs.Environ(), seconds),
        lambda _: jobs.work(url, jobs.Environ("OLD_KEY"), seconds),
        tokens.bound(lambda _: jobs.work(url, auth, seconds)),
    ]
    pickled = [cloudpickle.dumps(task) for task in tasks]
    calls = [[list(call) for call in sc.parallelize([0], 1).flatMap(task).collect()] for task in tasks]
"""


async def test_process_pool(
    *, drive: Drive, call: Call, pace: Pace, sandbox: Sandbox, profiles: Any, kept: Path
) -> None:
    async with drive() as run:
        today = await _today(call, "in_environment", "in_task")
        calls = await run(POOL + KEEP, **today, folder=str(kept), seconds=pace.life + 1)
    ways = {"`functools.partial(job, token)`": today["in_task"], "an environment variable": today["in_environment"]}
    _check("process pool", ways, calls, kept, {}, sandbox)


async def test_a_cluster_of_dask(
    *, drive: Drive, call: Call, pace: Pace, sandbox: Sandbox, profiles: Any, kept: Path, dask_cluster: Dask
) -> None:
    dask_cluster.worker("first")
    async with drive() as run:
        await run(of_dask.JOIN, scheduler=dask_cluster.scheduler, workers_there=1)
        await run(of_dask.ENTER, inject=False, file=None, lease=900)
        today = await _today(call, "in_environment", "in_task")
        calls = await run(DASK + KEEP, **today, folder=str(kept), seconds=pace.life + 1)
        link = await run("result = client.dashboard_link")
        places = await asyncio.to_thread(of_dask._pages, [link.rpartition("/")[0]])
        own = [process.pid for process in dask_cluster.processes.values()]
        places |= leaks.environments(own)
        await run("tokens.__exit__(None, None, None); result = None")
    places |= leaks.files(dask_cluster.folder)
    ways = {"an argument of the task": today["in_task"], "the plugin `Environ`": today["in_environment"]}
    _check("Dask", ways, calls, kept, places, sandbox)


async def test_a_cluster_of_ray(
    *,
    drive: Drive,
    call: Call,
    pace: Pace,
    sandbox: Sandbox,
    profiles: Any,
    kept: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp().parent / f"r{time.time_ns() % 10**9}"
    async with drive() as run:
        await run(of_ray.START, folder=str(folder))
        try:
            today = await _today(call, "in_environment", "in_task")
            calls = await run(RAY + KEEP, **today, folder=str(kept), seconds=pace.life + 1)
            pages = await run(of_ray.PAGES)
            places = leaks.environments([await run("result = os.getpid()")])
        finally:
            await run("ray.shutdown(); result = None")
    places |= {path: text.encode() for path, (_, text) in pages.items()} | leaks.files(folder)
    ways = {"an argument of the task": today["in_task"], "`env_vars`": today["in_environment"]}
    _check("Ray", ways, calls, kept, places, sandbox)


async def test_a_cluster_of_spark(
    *, drive: Drive, call: Call, pace: Pace, sandbox: Sandbox, profiles: Any, kept: Path, spark_cluster: Spark
) -> None:
    await asyncio.to_thread(spark_cluster.worker, "first")
    async with drive() as run:
        today = await _today(call, "in_closure", "in_broadcast", "in_environment", "in_key")
        more = {
            "spark.executorEnv.OLD_TOKEN": today["in_environment"],
            "spark.executorEnv.OLD_KEY": today["in_key"],
        }
        await run(of_spark.START, **{**spark_cluster.given, "more": more}, inject=False, file=None)
        try:
            given = {name: today[name] for name in ("in_closure", "in_broadcast")}
            calls = await run(SPARK + KEEP, **given, folder=str(kept), seconds=pace.life + 1)
            own, driver = await run("result = [sc.uiWebUrl, os.getpid()]")
            started = [driver, *(each.pid for each in spark_cluster.processes.values())]
            places = await asyncio.to_thread(leaks.environments, started)
            places |= await asyncio.to_thread(of_spark._pages, [*spark_cluster.pages, own])
            places |= await asyncio.to_thread(leaks.files, spark_cluster.folder)
        finally:
            await run("tokens.__exit__(None, None, None); spark.stop(); result = None")
    places |= leaks.files(spark_cluster.folder)
    ways = {
        "a closure": today["in_closure"],
        "a broadcast variable": today["in_broadcast"],
        "`spark.executorEnv.OLD_TOKEN`": today["in_environment"],
        "`spark.executorEnv.OLD_KEY`": today["in_key"],
    }
    _check("Spark", ways, calls, kept, places, sandbox)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


async def _today(call: Call, *names: str) -> dict[str, str]:
    """A token by each of these names, as people copy them."""
    body = {"reveal": True, "refresh": True}
    return {name: told(await call("POST", "profiles/oneaccess/token", body))["value"] for name in names}


def _check(
    engine: str,
    ways: Mapping[str, str],
    calls: list[list[Any]],
    kept: Path,
    places: Mapping[str, bytes],
    sandbox: Sandbox,
) -> None:
    """Holds the rows of the page to what was seen. ways : what people do today, each with the token that went by it."""
    *theirs, ours = calls
    everywhere = {**places, **{file.name: file.read_bytes() for file in kept.iterdir()}}
    rows = [_row(engine, way, seen, everywhere, token) for (way, token), seen in zip(ways.items(), theirs, strict=True)]
    assert {status for _, status, _ in ours} == {200}
    rows.append(f"| {engine} | `token.auth` and a handle | no | nowhere |")
    others = {form for value in sandbox.issued if value not in ways.values() for form in leaks.forms(value)}
    assert others
    assert leaks.search(everywhere, {"token": others}) == set()
    page = PAGE.read_text(encoding="utf-8")
    missing = [row for row in rows if row not in page]
    assert not missing, "\n".join(rows)


def _row(engine: str, way: str, calls: list[Any], places: Mapping[str, bytes], token: str) -> str:
    died = any(status == 401 for _, status, _ in calls)
    found = leaks.search(places, {"token": leaks.forms(token)})
    kinds = sorted({_kind(place) for _, place in found})
    return f"| {engine} | {way} | {'yes' if died else 'no'} | {', '.join(kinds) or 'nowhere'} |"


def _kind(place: str) -> str:
    return next((kind for pattern, kind in _KINDS.items() if re.match(pattern, place)), "files")
