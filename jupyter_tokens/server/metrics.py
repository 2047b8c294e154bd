"""The metrics on the server's /metrics; made once per process, however many servers or extensions it runs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakSet

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from ..sources.base import TokenSource
    from ..sources.local import Fetched

__all__ = ["count_fetch", "count_hit", "watch"]

_FETCHES = Counter("jupyter_tokens_fetches", "Calls to token APIs by provider and outcome", ["provider", "outcome"])
_HITS = Counter("jupyter_tokens_cache_hits", "Tokens served from the cache", ["provider"])
_SECONDS = Histogram("jupyter_tokens_fetch_duration_seconds", "Seconds that calls to token APIs took", ["provider"])
_FAILURES = Counter("jupyter_tokens_refresh_failures", "Refreshes that failed while a token was cached", ["provider"])
_HELD = Gauge("jupyter_tokens_held", "Valid tokens in the cache")

_hits = cache(_HITS.labels)
_sources: WeakSet[TokenSource] = WeakSet()
_HELD.set_function(lambda: sum(source.live() for source in tuple(_sources)))


def watch(source: TokenSource) -> None:
    """Count the tokens of a source for as long as it exists."""
    _sources.add(source)


def count_fetch(fetched: Fetched, *, refresh: bool) -> None:
    """Count a call to a token API. refresh : a token was cached already."""
    _FETCHES.labels(fetched.provider, "ok" if fetched.error is None else fetched.error.reason).inc()
    _SECONDS.labels(fetched.provider).observe(fetched.seconds)
    if refresh and fetched.error is not None:
        _FAILURES.labels(fetched.provider).inc()


def count_hit(provider: str) -> None:
    """Count a token that was served from the cache."""
    _hits(provider).inc()
