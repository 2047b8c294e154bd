"""The pass-through proxy beside one written with aiohttp on the same server; and a cached token beside a bare handler.

The proxy signs each request anew, checks what it was asked and tells what it did; the aiohttp one only passes on.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from .answers import answering
from .load import Seen, interleaved, request
from .measure import Row
from .served import TOKEN, serving

START_SECONDS = 0.1
"""What the extension may add to the server's start."""

_ALIBABA = {"access_key_id": "LTAIbenchmark", "access_key_secret": "benchmark-secret"}
_QUERY = "TargetType=job&TargetId=dlc1"
_DELAY = "delay-50"
# With fifty, an API of 50 ms leaves the server a millisecond for each request.
_CLIENTS = (1, 20, 50)
_ASTRA = "accounts/1f2e3d4c-5b6a/core/v1/users/09f8933c-ad74/tokens/822fab12-c224"


def served(rounds: int, seconds: float) -> Iterator[Row]:
    """Rates and medians with so many clients, in interleaved rounds."""
    with answering() as url:
        profiles = {
            "pai-dlc": {"provider": "pai-dlc", "endpoint": url, **_ALIBABA},
            "astra": {"provider": "astra", "endpoint": url, "api_token": "benchmark-token"},
            "slow": {"provider": "astra", "endpoint": f"{url}/{_DELAY}", "api_token": "benchmark-token"},
            "oneaccess": {"provider": "oneaccess", "endpoint": url, "client_id": "id", "client_secret": "benchmark"},
        }
        asked = {
            "aiohttp": request("GET", f"/benchmark/aiohttp/{_ASTRA}", TOKEN),
            "proxy": request("GET", f"/jupyter-tokens/proxy/astra/{_ASTRA}", TOKEN),
            "signing proxy": request("GET", f"/jupyter-tokens/proxy/pai-dlc/api/v1/tokens?{_QUERY}", TOKEN),
            "aiohttp, API of 50 ms": request("GET", f"/benchmark/aiohttp/{_DELAY}/{_ASTRA}", TOKEN),
            "proxy, API of 50 ms": request("GET", f"/jupyter-tokens/proxy/slow/{_ASTRA}", TOKEN),
            "trivial": request("POST", "/benchmark/trivial", TOKEN),
            "cached": request("POST", "/jupyter-tokens/profiles/oneaccess/token", TOKEN),
        }
        with serving(url, profiles) as server:
            taken = interleaved(server.port, asked, rounds, _CLIENTS, seconds)
    # Like for like: both add a bearer token. Beside it a profile whose requests are signed one by one, as the aiohttp
    # one's are not.
    # An API far away is what a proxy is for: there the rate is promised.
    yield from _rows("proxy", taken, "aiohttp", "proxy")
    yield from _rows("proxy, API of 50 ms", taken, "aiohttp, API of 50 ms", "proxy, API of 50 ms", rate=0.95)
    yield from _rows("signing proxy", taken, "aiohttp", "signing proxy")
    yield from _rows("token over HTTP", taken, "trivial", "cached", rate=0.9, p50=1.15)


def _rows(
    group: str,
    taken: Mapping[tuple[str, int], list[Seen]],
    base: str,
    ours: str,
    *,
    rate: float = 0.0,
    p50: float | None = None,
) -> Iterator[Row]:
    """rate : the least that ours may have of the base's at fifty. p50 : the most that ours may take of it at one.

    Without them nothing is promised.
    """
    for clients in _CLIENTS:
        for field in ("each", "p50"):
            other, mine = (statistics.median(getattr(s, field) for s in taken[name, clients]) for name in (base, ours))
            limit = {("each", 50): 1 / rate, ("p50", 1): p50}.get((field, clients)) if rate else None
            label = "1 / rate" if field == "each" else "p50"
            yield Row(group, f"{base}, {clients} clients, {label}", other, 1.0)
            yield Row(group, f"{ours}, {clients} clients, {label}", mine, mine / other, limit)


def started(rounds: int) -> Iterator[Row]:
    """What the extension adds to the start of a server without JupyterLab."""
    ready: dict[bool, list[float]] = {False: [], True: []}
    for compiled in range(rounds + 1):
        for extension, times in ready.items():
            with serving("http://127.0.0.1:9", {}, extension=extension) as server:
                # The first start compiles what it loads.
                times.extend([server.ready] if compiled else [])
    bare, ours = (statistics.median(times) for times in ready.values())
    yield Row("server's start", "initialising, without the extension", bare, bare / START_SECONDS)
    yield Row("server's start", "what the extension adds", ours - bare, (ours - bare) / START_SECONDS, 1.0)
