"""What workers do in the tests, importable by them: spawned processes find functions by name."""

from __future__ import annotations

import hashlib
import os
import time

import httpx

from jupyter_tokens import get_token


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
