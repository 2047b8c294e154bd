"""What `auth` costs a task in a worker, beside a literal header: once it is warm, and over a job of 1,000 tasks."""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import Any

import httpx

from jupyter_tokens import workers
from jupyter_tokens.auth import TokenAuth, _unpickle
from jupyter_tokens.protocol.handles import Handle

from .answers import ANSWERS, answering
from .measure import Row, medians
from .served import TOKEN, serving

TASKS = 1000
WORKERS = 4
_NAME = "oneaccess"
_API = "delay-10/v1/users"


def added(rounds: int) -> Iterator[Row]:
    """50 µs for a task are promised, and 5 % of a job whose tasks call an API that takes 10 ms."""
    auth = _unpickle(_NAME, {})
    token = ANSWERS["/api/v2/tenant/token"]["access_token"]
    literal = {"Authorization": f"Bearer {token}"}
    with answering() as url:
        profile = {"provider": _NAME, "endpoint": url, "client_id": "id", "client_secret": "benchmark"}
        with serving(url, {_NAME: profile}) as server, _pool(_handle(server.port)) as pool:
            took = pool.submit(_warm, literal, auth, rounds).result()
            cost = took["auth"] - took["header"]
            yield Row("task", "a request with a literal header", took["header"], took["header"] / 50e-6)
            yield Row("task", "what auth adds, of 50 µs", cost, cost / 50e-6, 1.0)
            jobs: dict[str, Callable[[], object]] = {
                "header": partial(_job, pool, f"{url}/{_API}", headers=literal),
                "auth": partial(_job, pool, f"{url}/{_API}", auth=auth),
            }
            # Each worker connects and fetches once.
            for job in jobs.values():
                job()
            ratio, seconds = _beside(jobs, rounds)
            name = f"{TASKS} tasks on {WORKERS} workers, "
            yield Row("job", f"{name}a literal header", seconds["header"], 1.0)
            yield Row("job", f"{name}auth", seconds["auth"], ratio, 1.05)


def _beside(jobs: dict[str, Callable[[], object]], rounds: int) -> tuple[float, dict[str, float]]:
    """The median of the ratios of two jobs that ran one after the other; the median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(max(rounds // 100, 1)):
        for name in list(jobs)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            jobs[name]()
            times[name].append(time.perf_counter() - began)
    pairs = zip(times["auth"], times["header"], strict=True)
    return statistics.median(ours / bare for ours, bare in pairs), {
        name: statistics.median(taken) for name, taken in times.items()
    }


def _handle(port: int) -> Handle:
    handle = Handle.new(_NAME, {})
    body = {"id": handle.id, "key": handle.key.hex(), "profile": _NAME, "params": {}, "lease": 3600}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/jupyter-tokens/handles",
        json.dumps(body).encode(),
        {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return replace(handle, url=json.load(answer)["url"])


def _pool(handle: Handle) -> ProcessPoolExecutor:
    spawning = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(WORKERS, spawning, initializer=workers.processes.install, initargs=(handle,))


def _job(pool: ProcessPoolExecutor, url: str, **options: Any) -> None:
    for status in pool.map(partial(_task, options), [url] * TASKS):
        assert status == httpx.codes.OK


def _task(options: dict[str, Any], url: str) -> int:
    return _client().get(url, **options).status_code


@cache
def _client() -> httpx.Client:
    return httpx.Client(timeout=60)


def _warm(literal: dict[str, str], auth: TokenAuth, rounds: int) -> dict[str, float]:
    """Medians of a request that goes nowhere, so that only the client's work is in them."""
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(httpx.codes.OK))) as client:
        calls: dict[str, Callable[[], object]] = {
            "header": lambda: client.get("http://api.example/users", headers=literal),
            "auth": lambda: client.get("http://api.example/users", auth=auth),
        }
        return medians(calls, rounds=rounds, warm=20, inner=5)
