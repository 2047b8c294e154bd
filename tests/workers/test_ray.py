"""A real Ray of several processes, with a kernel of a real server as its driver."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jupyter_tokens.sandbox import Sandbox

from . import leaks
from .conftest import AllIssued, Drive, Pace
from .test_processes import check

pytestmark = pytest.mark.scale

START = """
    import os
    # Its dashboard would ask the search for a token of its own.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled", RAY_raylet_start_wait_time_s="240")
    import httpx, ray
    from jupyter_tokens import get_token, workers
    from tests.workers import jobs

    auth = get_token("oneaccess").auth
    started = ray.init(
        num_cpus=2, object_store_memory=100_000_000, _temp_dir=folder, include_dashboard=True, dashboard_port=0,
        runtime_env=workers.ray.runtime_env("oneaccess", inject="MY_TOKEN"), logging_level="DEBUG",
    )
    work = ray.remote(jobs.work)
    result = None
"""
WORK = """
    result = [call for part in ray.get([work.remote(url, auth, seconds) for _ in range(2)]) for call in part]
"""
PAGES = """
    paths = [
        "api/version", "api/jobs/", "api/cluster_status", "api/v0/actors", "api/v0/tasks?detail=1", "api/v0/workers",
        "api/v0/runtime_envs", "api/v0/jobs", "api/v0/nodes", "api/v0/objects", "nodes?view=summary", "logical/actors",
    ]
    root = "http://" + started.dashboard_url
    with httpx.Client(timeout=60, follow_redirects=True) as web:
        answers = {path: web.get(f"{root}/{path}") for path in paths}
    result = {path: [answer.status_code, answer.text] for path, answer in answers.items()}
"""


@pytest.mark.slow
async def test_tasks_over_several_lives_and_nothing_leaks(
    *, pace: Pace, drive: Drive, sandbox: Sandbox, issued: AllIssued, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Ray's sockets are in there, and their paths must be short.
    folder = tmp_path_factory.getbasetemp().parent / f"r{time.time_ns() % 10**9}"
    async with drive() as run:
        began = time.monotonic()
        await run(START, folder=str(folder))
        try:
            calls = await run(WORK, seconds=pace.job)
            [handle] = issued()
            check(calls, sandbox, handle, pace, seconds=time.monotonic() - began, processes=2)
            assert await run(
                "result = ray.get(ray.remote(jobs.places).remote('MY_TOKEN', '/nowhere', 0))[0][0] is not None"
            )
            pages = await run(PAGES)
        finally:
            await run("ray.shutdown(); result = None")
    assert {status for status, _ in pages.values()} == {200}, {path: status for path, (status, _) in pages.items()}
    places = {path: text.encode() for path, (_, text) in pages.items()} | leaks.files(Path(folder))
    assert any(place.endswith(".log") for place in places)
    assert leaks.search(places, leaks.wanted(sandbox, issued())) == set()
