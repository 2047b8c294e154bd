"""Pools of worker processes, by every way to start one, with a kernel of a real server as their driver."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jupyter_tokens.protocol.handles import Issued
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension

from .conftest import LIFE, REFRESH, Drive

SECONDS = 3 * LIFE


def check(
    calls: list[list[Any]], sandbox: Sandbox, handle: Issued, *, seconds: float, processes: int, lives: float = 3
) -> None:
    """No call with a dead token, one call upstream for each life, and one to the issuer by each process."""
    assert {status for _, status, _ in calls} == {200}
    assert len({pid for pid, _, _ in calls}) == processes
    assert len({token for _, _, token in calls}) >= lives
    upstream = sandbox.requests["oneaccess"]
    assert upstream <= seconds / REFRESH + 1
    assert handle.uses <= max(processes, 3) * upstream


_METHODS = ("fork", "spawn", "forkserver")
FUTURES = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from jupyter_tokens import get_token, issue_handle, workers
    from tests.workers.jobs import work

    auth = get_token("oneaccess").auth
    pool = ProcessPoolExecutor(
        2, multiprocessing.get_context(method),
        initializer=workers.processes.install, initargs=(issue_handle("oneaccess"),),
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


@pytest.mark.parametrize(
    ("pool", "method"),
    [
        *((FUTURES, method) for method in _METHODS),
        pytest.param(JOBLIB, "loky", marks=pytest.mark.scale),
    ],
    ids=[*_METHODS, "joblib"],
)
async def test_a_pool_over_several_lives(
    *, drive: Drive, sandbox: Sandbox, extension: TokensExtension, pool: str, method: str
) -> None:
    async with drive() as run:
        began = time.monotonic()
        calls = await run(pool, method=method, seconds=SECONDS)
        [handle] = extension.handles.in_use()
        check(calls, sandbox, handle, seconds=time.monotonic() - began, processes=2)


@pytest.mark.parametrize("method", _METHODS)
async def test_a_pool_of_multiprocessing(
    drive: Drive, sandbox: Sandbox, extension: TokensExtension, method: str
) -> None:
    async with drive() as run:
        began = time.monotonic()
        calls = await run(MULTIPROCESSING, method=method, seconds=1)
        [handle] = extension.handles.in_use()
        check(calls, sandbox, handle, seconds=time.monotonic() - began, processes=2, lives=1)
