"""What workers do in the tests, importable by them: spawned processes find functions by name."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import httpx

from jupyter_tokens import get_token, workers
from jupyter_tokens.protocol.handles import Handle


class Literal(httpx.Auth):
    """A token as people give it to a task."""

    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


class Environ(httpx.Auth):
    """A token as people put it into the environment of workers, in a variable of this name."""

    def __init__(self, name: str = "OLD_TOKEN") -> None:
        self.name = name

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {os.environ[self.name]}"
        yield request


def install_together(handle: Handle, barrier: Barrier) -> None:
    """Returns when all workers of a pool have the handle, so that each of them gets a part of the job."""
    workers.processes.install(handle)
    barrier.wait(600)


def digest(_number: int = 0) -> tuple[int, str]:
    """Process and token, by a digest that is the same in all processes."""
    return os.getpid(), hashlib.sha256(get_token("oneaccess").reveal().encode()).hexdigest()


def work(url: str, auth: httpx.Auth, seconds: float) -> list[tuple[int, int, str]]:
    """Calls an API for so long; of each call the process, the status, and a digest of what it was authorised with."""
    seen = []
    end = time.monotonic() + seconds
    with httpx.Client(timeout=60) as client:
        while time.monotonic() < end:
            answer = client.get(f"{url}/api/v2/tenant/users", auth=auth)
            sent = hashlib.sha256(answer.request.headers["Authorization"].encode()).hexdigest()
            seen.append((os.getpid(), answer.status_code, sent))
            time.sleep(0.02)  # A job that does something between its calls.
    return seen


def refused(auth: httpx.Auth, url: str) -> str:
    """What user code sees of a handle that has ended."""
    try:
        httpx.get(f"{url}/api/v2/tenant/users", auth=auth, timeout=60)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "let in"


def seen() -> str:
    """What `get_token` raises here when a newer token is asked for."""
    try:
        get_token("oneaccess", refresh=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "let in"


def places(variable: str, file: str, seconds: float) -> list[tuple[str | None, str | None, int | None]]:
    """What is in a variable and in a file, by digests, and the file's mode, looked at for so long."""
    found = []
    end = time.monotonic() + seconds
    while True:
        value = os.environ.get(variable)
        path = Path(file)
        there = path.exists()
        found.append(
            (
                value and hashlib.sha256(value.encode()).hexdigest(),
                hashlib.sha256(path.read_bytes()).hexdigest() if there else None,
                path.stat().st_mode & 0o777 if there else None,
            )
        )
        if time.monotonic() >= end:
            return found
        time.sleep(0.1)
