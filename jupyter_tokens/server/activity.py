"""Reports what happens to tokens as Jupyter events, log records and metrics, without any part of a token.

Events are an activity log, not an audit trail: anyone who may write events can forge them. So the same facts are also
written to the server's log, some of them at level DEBUG. The metrics at the server's `/metrics` count all servers of
the process together.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from prometheus_client import Counter, Gauge, Histogram

from ..clock import Clock, utc

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ..protocol.handles import IssuedHandle
    from ..sources.base import TokenSource
    from ..sources.local import Fetched
    from .base import TokensHandler

__all__ = ["KINDS", "SCHEMA_ID", "Activity", "count_fetch", "count_hit", "counted"]

SCHEMA_ID = "https://github.com/jupyter-tokens/jupyter_tokens/events/{kind}/v1"
KINDS = (
    "fetched",
    "served",
    "revealed",
    "injected",
    "held",
    "forgotten",
    "refused",
    "failed",
    "found",
    "handle",
    "login",
)

MAX_HISTORY = 200
"""Maximum number of events that are kept for the panel; the oldest are dropped first."""
_NOT_IN_HISTORY = {"held", "found"}
_HISTORY = ("profile", "user", "kernel_id", "to", "what", "reason")

_SCHEMAS = Path(__file__).parent / "events"

_FETCHES = Counter("jupyter_tokens_fetches", "Calls to token APIs by provider and outcome", ["provider", "outcome"])
_HITS = Counter("jupyter_tokens_cache_hits", "Tokens served from the cache", ["provider"])
_SECONDS = Histogram("jupyter_tokens_fetch_duration_seconds", "Seconds that calls to token APIs took", ["provider"])
_FAILURES = Counter("jupyter_tokens_refresh_failures", "Refreshes that failed while a token was cached", ["provider"])
_HELD = Gauge("jupyter_tokens_held", "Valid tokens in the cache")

counted: WeakSet[TokenSource] = WeakSet()
"""The token sources whose valid tokens the gauge `jupyter_tokens_held` counts."""
_HELD.set_function(lambda: sum(source.count_valid() for source in tuple(counted)))


class Activity:
    """Reports events. Thread-safe. Reporting never raises, so that clients get their tokens even if a report fails.

    Parameters
    ----------
    app : ServerApp
        The Jupyter server.
    clock : Clock
        For the times in the history.
    """

    def __init__(self, app: ServerApp, clock: Clock) -> None:
        self._app = app
        self._log = app.log
        assert app.event_logger is not None
        self._events = app.event_logger
        self._schemas_registered = False
        self._clock = clock
        self._history: deque[dict[str, Any]] = deque(maxlen=MAX_HISTORY)

    def history(self) -> list[dict[str, Any]]:
        """Return the last events, newest first. Each has `at`, `kind` and the facts in `_HISTORY` (None if missing).

        Omits "held" and "found" events, and "served" events for browsers. A value that was sent to a browser is in the
        list as a "revealed" event.
        """
        return [*reversed(self._history)]

    def register(self) -> None:
        """Register the event schemas with the server; do nothing if they are already registered.

        Jupyter checks the schemas, which takes as long as all other work at the extension's start. So this is called
        when the server has started, or with the first event.
        """
        if not self._schemas_registered:
            self._schemas_registered = True
            for kind in KINDS:
                self._events.register_event_schema(_SCHEMAS / f"{kind}.yaml")

    def fetched(self, fetched: Fetched) -> None:
        """Report the attempt to fetch a token from an API, with its error if it failed."""
        facts = {
            "profile": fetched.key.profile,
            "provider": fetched.provider,
            "seconds": round(fetched.seconds, 3),
        }
        error = fetched.error
        if error is None:
            self._report("fetched", logging.INFO, facts)
        else:
            facts |= {name: getattr(error, name) for name in ("reason", "code", "request_id", "retryable")}
            self._report("failed", logging.WARNING, facts)

    def served(self, handler: TokensHandler, profile: str, *, to: str, cached: bool) -> None:
        """Report a token that was handed out.

        Parameters
        ----------
        handler : TokensHandler
            Handles the request.
        profile : str
            Name of the profile.
        to : {"browser", "kernel", "sdk", "worker", "proxy"}
            The recipient. A browser gets only facts about the token, unless the value is revealed.
        cached : bool
            Whether the token came from the cache.
        """
        self._report("served", logging.DEBUG, {"profile": profile, "to": to, "cached": cached}, handler)

    def revealed(self, handler: TokensHandler, profile: str) -> None:
        """Report a token whose value was sent to a browser."""
        self._report("revealed", logging.INFO, {"profile": profile}, handler)

    def injected(self, handler: TokensHandler | None, profile: str, kernel_id: str) -> None:
        """Report a token that the server injected into a kernel; `handler` is None at the kernel's start."""
        self._report("injected", logging.INFO, {"profile": profile, "user": None, "kernel_id": kernel_id}, handler)

    def held(self, kernel_id: str, profiles: list[str]) -> None:
        """Report that the tokens in a kernel changed. The kernel now holds tokens of `profiles`."""
        self._report("held", logging.DEBUG, {"kernel_id": kernel_id, "profiles": profiles})

    def handle(self, what: str, handler: TokensHandler, issued: IssuedHandle) -> None:
        """Report a handle that was issued or revoked; `what` is "issued" or "revoked"."""
        facts = {"handle": issued.id, "what": what, "profile": issued.profile, "owner": issued.owner}
        self._report("handle", logging.INFO, facts, handler)

    def login(self, handler: TokensHandler, profile: str, what: str) -> None:
        """Report that a person has logged in or out; `what` is "in" or "out"."""
        self._report("login", logging.INFO, {"profile": profile, "what": what}, handler)

    def forgotten(self, handler: TokensHandler, profile: str, kernel_id: str | None = None) -> None:
        """Report that a request removed a profile's tokens from a kernel; from the server if `kernel_id` is None."""
        self._report("forgotten", logging.DEBUG, {"profile": profile, "kernel_id": kernel_id}, handler)

    def refused(self, handler: TokensHandler, reason: str) -> None:
        """Report a request that was answered with 403."""
        facts = {"reason": reason, "resource": handler.auth_resource, "profile": _requested_profile(handler)}
        self._report("refused", logging.WARNING, facts, handler)

    def found(self, path: str, outcome: str, found: list[str]) -> None:
        """Report tokens found in a notebook that was to be saved; `outcome` is "saved", "redacted" or "refused"."""
        self._report("found", logging.DEBUG, {"path": path, "outcome": outcome, "found": found})

    def _report(self, kind: str, level: int, facts: dict[str, Any], handler: TokensHandler | None = None) -> None:
        """Report an event. With `handler`, add the request's user, and its kernel unless `facts` has a `kernel_id`."""
        try:
            if handler is not None:
                # Here, because a handler may not know its user or its kernel.
                user = getattr(handler.current_user, "username", None)
                facts = {"kernel_id": handler.kernel_id, **facts, "user": user}
            if kind not in _NOT_IN_HISTORY and facts.get("to") != "browser":
                at = utc(self._clock.now()).isoformat()
                self._history.append({"at": at, "kind": kind, **{name: facts.get(name) for name in _HISTORY}})
            self._log.log(level, "jupyter_tokens %s %s", kind, _AsJson(facts))
            # This may be the thread of a fetch, and listeners run on the loop.
            self._app.io_loop.add_callback(self._emit, kind, facts)
        except Exception as error:
            self._log.warning("jupyter_tokens: an event was not reported: %s", type(error).__name__)

    def _emit(self, kind: str, facts: dict[str, Any]) -> None:
        try:
            self.register()
            self._events.emit(schema_id=SCHEMA_ID.format(kind=kind), data=facts)
        except Exception as error:
            self._log.warning("jupyter_tokens: an event was not emitted: %s", type(error).__name__)


class _AsJson(dict[str, Any]):
    """Facts that are logged as JSON, so that a name cannot forge a log line. Converted only if the line is written."""

    def __str__(self) -> str:
        return json.dumps(self)


def _requested_profile(handler: TokensHandler) -> str | None:
    # Only the name of an existing profile: a request may contain anything in place of the name, even a token. Nothing
    # that goes wrong here may replace the answer that is being reported.
    with suppress(Exception):
        profiles = handler.extensionapp.source.profiles()
        return next((name for name in handler.path_kwargs.values() if name in profiles), None)
    return None


def count_fetch(fetched: Fetched, *, refresh: bool) -> None:
    """Count a call to a token API; `refresh` is true if a token was already cached."""
    _FETCHES.labels(fetched.provider, "ok" if fetched.error is None else fetched.error.reason).inc()
    _SECONDS.labels(fetched.provider).observe(fetched.seconds)
    if refresh and fetched.error is not None:
        _FAILURES.labels(fetched.provider).inc()


def count_hit(provider: str) -> None:
    """Count a token that was served from the cache."""
    _HITS.labels(provider).inc()
