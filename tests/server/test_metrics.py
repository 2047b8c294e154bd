from __future__ import annotations

from typing import Any

from prometheus_client import REGISTRY

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.activity import count_hit, counted
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.sources.local import LocalSource

from ..doubles import Clock
from .conftest import Call


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"jupyter_tokens_{name}", labels) or 0.0


async def test_counts_fetches_hits_and_failures(
    call: Call, sandbox: Sandbox, profiles: Any, extension: TokensExtension
) -> None:
    def seen() -> list[float]:
        return [
            value("fetches_total", provider="oneaccess", outcome="ok"),
            value("fetches_total", provider="oneaccess", outcome="unauthorized"),
            value("cache_hits_total", provider="oneaccess"),
            value("fetch_duration_seconds_count", provider="oneaccess"),
            value("refresh_failures_total", provider="oneaccess"),
        ]

    held, before = value("held"), seen()
    sandbox.plan({"api": "oneaccess", "kind": "401"})
    await call("POST", "profiles/oneaccess/token")
    assert value("held") == held
    for _ in range(3):
        await call("POST", "profiles/oneaccess/token", {})
    sandbox.plan({"api": "oneaccess", "kind": "401"})
    await call("POST", "profiles/oneaccess/token", {"refresh": True})
    assert [after - first for after, first in zip(seen(), before, strict=True)] == [1, 2, 2, 3, 1]
    assert value("held") == held + 1
    await call("DELETE", "profiles/oneaccess/token")
    assert value("held") == held


async def test_on_the_servers_metrics(call: Call, jp_fetch: Any, profiles: Any) -> None:
    await call("POST", "profiles/oneaccess/token")
    text = (await jp_fetch("metrics")).body.decode()
    for name in ("fetches_total", "cache_hits_total", "fetch_duration_seconds_sum", "refresh_failures_total", "held"):
        assert f"jupyter_tokens_{name}" in text


async def test_several_extensions_in_one_process(
    call: Call, profiles: Any, extension: TokensExtension, clock: Clock
) -> None:
    before = value("held")
    others = [LocalSource(extension.source.profiles(), clock=clock) for _ in range(3)]
    for other in others:
        counted.add(other)
        counted.add(other)
    assert value("held") == before
    await call("POST", "profiles/oneaccess/token")
    assert value("held") == before + 1
    await extension.stop_extension()
    assert value("held") == before


def test_by_provider_alone() -> None:
    # Profiles and parameters have names without end, and /metrics forgets none.
    count_hit("astra")
    assert value("cache_hits_total", provider="astra") > 0
