"""Audit log, metrics and holdings of the service. They never contain a token's value."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import Counter

from .._util.threads import THREADS
from ..clock import Clock, utc
from ..errors import TokenError

if TYPE_CHECKING:
    from ..protocol.handles import IssuedHandle
    from ..protocol.records import Records
    from ..sources.local import Fetched
    from ..token import Token
    from .callers import Caller

__all__ = ["Audit", "Holding"]

_audit = logging.getLogger("jupyter_tokens.audit")
_log = logging.getLogger(__name__)
_REQUESTS = Counter(
    "jupyter_tokens_service_asks",
    "Tokens served, and requests about a profile that were refused",
    ["profile", "user", "outcome"],
)
_KIND = "held"
_UNKNOWN_LIFE_SECONDS = 86_400.0
"""Seconds for which a token without a known expiry counts as held."""
_MAX_HOLDINGS = 65_536
_CLOSE_SECONDS = 5.0
"""Longest wait for the last records when the service stops."""


class Holding(NamedTuple):
    """A profile's token that a user got from the service.

    Attributes
    ----------
    user : str
    server : str or None
        The server's name ("" is the default server); None if the token was not requested by a server.
    profile : str
    since : datetime
        When the user got the first of an unbroken series of tokens.
    until : datetime or None
        When the latest token expires; None if its expiry is not known.
    """

    user: str
    server: str | None
    profile: str
    since: datetime
    until: datetime | None


class Audit:
    """Records events and holdings.

    Log lines and metrics cover this replica only; `holdings` and `events` cover all replicas.

    Parameters
    ----------
    records : Records
        Stores events and holdings. If the records cannot be reached, events are only in the log.
    clock : Clock
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._held_until: dict[tuple[str, str | None, str], datetime | None] = {}
        self._pending = 0
        self._stored = threading.Condition()

    def served(self, caller: Caller, token: Token, *, cached: bool, handle: str | None = None) -> None:
        """Record that a user's server, or a worker with one of the user's handles, got a token.

        `cached` is true if the token came from this replica's cache. `handle` is the id of the worker's handle.
        """
        profile = token.profile
        _REQUESTS.labels(profile, caller.name, "served").inc()
        by = {} if handle is None else {"handle": handle}
        self._record(
            "served", logging.INFO, {"profile": profile, "cached": cached, **_caller_facts(caller), **by}, store=False
        )
        if handle is None:
            self._record_holding((caller.name, caller.server, profile), token.expires_at)

    def handle(self, what: str, issued: IssuedHandle, by: Caller) -> None:
        """Record that a handle was "issued" or "revoked"."""
        facts = {"handle": issued.id, "what": what, "profile": issued.profile, "owner": issued.owner}
        self._record("handle", logging.INFO, {**facts, **_caller_facts(by)})

    def forgotten(self, caller: Caller, profile: str) -> None:
        """Record that a user made the service forget a profile's tokens."""
        self._record("forgotten", logging.INFO, {"profile": profile, **_caller_facts(caller)})

    def refused(self, caller: Caller | None, profile: str | None, reason: str) -> None:
        """Record a request that was answered with an error. `profile` must be the name of a known profile, or None."""
        if caller is not None and profile is not None:
            _REQUESTS.labels(profile, caller.name, reason).inc()
        # Unauthenticated requests are only logged: they could push other events out of the stored list.
        facts = {"profile": profile, "reason": reason, **_caller_facts(caller)}
        self._record("refused", logging.WARNING, facts, store=caller is not None)

    def fetched(self, fetched: Fetched) -> None:
        """Record a call to a token API, and its error if it failed."""
        error = fetched.error
        facts: dict[str, Any] = {
            "profile": fetched.key.profile,
            "provider": fetched.provider,
            "seconds": round(fetched.seconds, 3),
            "user": fetched.key.user or None,
        }
        if error is None:
            self._record("fetched", logging.INFO, facts)
        else:
            why = {"reason": error.reason, "code": error.code, "request_id": error.request_id}
            self._record("failed", logging.WARNING, {**facts, **why})

    def holdings(self) -> list[Holding]:
        """Return the tokens that users hold, sorted by user, server and profile. Blocks. Raises `Busy`."""
        facts = [record.facts for record in self._records.all(_KIND)]
        held = [Holding(**{**f, "since": utc(f["since"]), "until": _utc(f["until"])}) for f in facts]
        return sorted(held, key=lambda one: (one.user, one.server or "", one.profile))

    def events(self) -> list[Mapping[str, Any]]:
        """Return the latest events, newest first. Each has `at` (ISO 8601), `kind` and facts. Blocks. Raises `Busy`."""
        return self._records.events()

    def _record_holding(self, who: tuple[str, str | None, str], until: datetime | None) -> None:
        # If the token's expiry is known, the holding is stored once, not at each request.
        if self._held_until.get(who, self) == until and until is not None:
            return
        if len(self._held_until) >= _MAX_HOLDINGS:
            self._held_until.clear()
        self._held_until[who] = until
        user, server, profile = who

        def store_holding() -> None:
            name, now = json.dumps(who), self._clock.now()
            known = self._records.get(_KIND, name)
            since = now if known is None else known.facts["since"]
            ends = None if until is None else until.timestamp()
            facts = {"user": user, "server": server, "profile": profile, "since": since, "until": ends}
            life = _UNKNOWN_LIFE_SECONDS if ends is None else max(1.0, ends - now)
            self._records.put(_KIND, name, facts, seconds=life)

        self._store(store_holding)

    def _record(self, kind: str, level: int, facts: dict[str, Any], *, store: bool = True) -> None:
        # JSON escapes line breaks, so a user name cannot forge a log line.
        _audit.log(level, "jupyter_tokens %s %s", kind, json.dumps(facts))
        if store:
            event = {"at": utc(self._clock.now()).isoformat(timespec="seconds"), "kind": kind, **facts}
            self._store(lambda: self._records.append(event))

    def close(self) -> None:
        """Wait until all events and holdings are stored, for a few seconds at most."""
        with self._stored:
            self._stored.wait_for(lambda: not self._pending, _CLOSE_SECONDS)

    def _store(self, act: Callable[[], None]) -> None:
        def run() -> None:
            try:
                act()
            except TokenError as problem:
                _log.debug("event or holding not stored: %s", problem)
            finally:
                self._count(-1)

        self._count(1)
        if not self._records.blocks:
            run()
            return
        try:
            THREADS.start("audit", run)
        except (TokenError, RuntimeError) as problem:
            self._count(-1)
            _log.debug("event or holding not stored: %s", problem)

    def _count(self, change: int) -> None:
        with self._stored:
            self._pending += change
            self._stored.notify_all()


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)


def _caller_facts(caller: Caller | None) -> dict[str, Any]:
    if caller is None:
        return {"user": None, "server": None, "stale": False}
    # stale: the hub does not answer now, and these facts are from an earlier answer.
    return {"user": caller.name, "server": caller.server, "stale": caller.stale}
