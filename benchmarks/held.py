"""A session that holds very many tokens: their memory, what they cost at rest, and what one costs to get."""

from __future__ import annotations

import gc
import itertools
import queue
import statistics
import threading
import time
import tracemalloc
from collections.abc import Iterator

import httpx

from jupyter_tokens import client as kernel_client
from jupyter_tokens.client import Client, get_token
from jupyter_tokens.clock import SystemClock
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.kernel.injection import Place, var_place
from jupyter_tokens.kernel.refresher import _MAX_SLEEP_SECONDS, Refresher
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.transport import Transport

from .measure import Row, medians
from .tokens import CACHED_SECONDS

PROFILES, TARGETS = 1000, 10
LOOKS = 500

_BYTES_PROMISED = 2048
_SHARE_PROMISED = 1e-4
"""Of one core, at rest."""
_numbers = itertools.count()


def _answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"RequestId": "473469C7-AA6F-4DC5", "Token": f"{next(_numbers):064}"})


def _profiles() -> Profiles:
    settings = {
        "provider": "pai-dlc",
        "endpoint": "http://127.0.0.1:1",
        "access_key_id": "LTAIbenchmark",
        "access_key_secret": "benchmark-secret",
        "params": {"ExpireTime": 3600},
    }
    return Profiles.from_settings({f"profile-{number}": settings for number in range(PROFILES)})


_Ask = tuple[str, dict[str, str], Place]


def _asks() -> list[_Ask]:
    """What a user writes, and what therefore is no token's memory."""
    return [
        (
            f"profile-{number}",
            {"TargetType": "job", "TargetId": f"dlc{target}"} if target else {},
            var_place(f"token_{number}_{target}"),
        )
        for number in range(PROFILES)
        for target in range(TARGETS)
    ]


class _Naps:
    """Where a refresher sleeps: for nothing, so many times, and then until it is stopped."""

    def __init__(self, times: int) -> None:
        self._left = times
        self._last = 0.0
        self.taken: list[float] = []
        self.over: queue.Queue[float] = queue.Queue()

    def __call__(self, condition: threading.Condition, seconds: float | None) -> None:
        now = time.thread_time()
        self.taken.append(now - self._last)
        if self._left:
            self._left -= 1
        else:
            self.over.put(now)
            condition.wait(seconds)
        self._last = time.thread_time()


def many() -> Iterator[Row]:
    """10,000 tokens of 1,000 profiles, all injected and kept fresh."""
    clock = SystemClock()
    transport = Transport(clock=clock, transport=httpx.MockTransport(_answer))
    client = Client(_profiles(), clock=clock, transport=transport)
    session = TokenSession({}, client)
    # What is loaded and built at first use is no token's.
    session.fetch("profile-0", places=[])
    session.entries()
    asks = _asks()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for profile, params, place in asks:
        session.fetch(profile, params, places=[place])
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / len(asks)
    tracemalloc.stop()
    yield Row("10,000 tokens", "memory of one, of 2 KB", 0.0, each / _BYTES_PROMISED, 1.0, bytes=each)

    naps = _Naps(LOOKS)
    rest = Refresher(client, wait=naps)
    keys = client.source.keys()
    for key in keys:
        rest.keep(key)
    naps.over.get(timeout=120)
    look = statistics.median(naps.taken[-LOOKS:])
    share = look / _MAX_SLEEP_SECONDS
    yield Row("10,000 tokens", "CPU of a look, of 0.01 % at rest", look, share / _SHARE_PROMISED, 1.0)
    rest.stop()

    kernel_client._shared = client
    get_token("profile-500")
    taken = medians({"get": lambda: get_token("profile-500")}, rounds=200, warm=100, inner=1000)["get"]
    yield Row("10,000 tokens", "get_token(name), of 3 µs", taken, taken / CACHED_SECONDS, 1.0)
    session.close()
    client.close()
