"""What happened at the service and who holds what, as log lines, metrics and for the page; never a token's value."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import Counter

from .._util.threads import THREADS
from ..clock import Clock, utc
from ..errors import TokenError

if TYPE_CHECKING:
    from ..protocol.handles import Issued
    from ..protocol.records import Records
    from ..sources.local import Fetched
    from ..token import Token
    from .callers import Caller

__all__ = ["Audit", "Holding"]

_audit = logging.getLogger("jupyter_tokens.audit")
_log = logging.getLogger(__name__)
_ASKS = Counter("jupyter_tokens_service_asks", "Tokens asked for at the service", ["profile", "user", "outcome"])
_KIND = "held"
_UNKNOWN_LIFE_SECONDS = 86_400.0
"""Seconds for which a token without a known expiry counts as held."""
_MOST_NOTED = 65_536


@lru_cache(4096)
def _asks(profile: str, user: str, outcome: str) -> Any:
    # Looking it up takes longer than counting.
    return _ASKS.labels(profile, user, outcome)


class Holding(NamedTuple):
    """A token that a user's server was given. since : the first of those that followed one another."""

    user: str
    server: str | None
    profile: str
    since: datetime
    until: datetime | None


class Audit:
    """Tells of what happened. The log and the metrics are this replica's, the rest is all replicas' together.

    Parameters
    ----------
    records : Records
        Where events and holdings are kept. If it cannot be reached, they are in the log alone.
    clock : Clock
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._noted: dict[tuple[str, str | None, str], datetime | None] = {}

    def served(self, caller: Caller, token: Token, *, cached: bool, handle: str | None = None) -> None:
        """A token went to a user's server, or to the holder of one of the user's handles."""
        profile = token.profile
        _asks(profile, caller.name, "served").inc()
        by = {} if handle is None else {"handle": handle}
        self._tell("served", logging.INFO, {"profile": profile, "cached": cached, **_who(caller), **by}, keep=False)
        if handle is None:
            self._hold((caller.name, caller.server, profile), token.expires_at)

    def handle(self, what: str, issued: Issued, by: Caller) -> None:
        """A handle was "issued" or "revoked"."""
        facts = {"handle": issued.id, "what": what, "profile": issued.profile, "owner": issued.owner}
        self._tell("handle", logging.INFO, {**facts, **_who(by)})

    def forgotten(self, caller: Caller, profile: str) -> None:
        """The profile's token was dropped because a user asked for it."""
        self._tell("forgotten", logging.INFO, {"profile": profile, **_who(caller)})

    def refused(self, caller: Caller | None, profile: str | None, reason: str) -> None:
        """A request was not answered with what it asked for. profile : of those that exist, else None."""
        if caller is not None and profile is not None:
            _asks(profile, caller.name, reason).inc()
        # Strangers could wash away what users did.
        facts = {"profile": profile, "reason": reason, **_who(caller)}
        self._tell("refused", logging.WARNING, facts, keep=caller is not None)

    def fetched(self, fetched: Fetched) -> None:
        """A call to a token API."""
        error = fetched.error
        facts: dict[str, Any] = {
            "profile": fetched.key.profile,
            "provider": fetched.provider,
            "seconds": round(fetched.seconds, 3),
            "user": fetched.key.user or None,
        }
        if error is None:
            self._tell("fetched", logging.INFO, facts)
        else:
            why = {"reason": error.reason, "code": error.code, "request_id": error.request_id}
            self._tell("failed", logging.WARNING, {**facts, **why})

    def holdings(self) -> list[Holding]:
        """Who holds which profile's token. Blocks. Raises `Busy`."""
        return sorted(Holding(**{**f, "since": utc(f["since"]), "until": _utc(f["until"])}) for f in self._held())

    def events(self) -> list[Mapping[str, Any]]:
        """The last events, the newest first: `at` in ISO 8601, `kind`, and their facts. Blocks. Raises `Busy`."""
        return self._records.events()

    def _held(self) -> list[Mapping[str, Any]]:
        return [record.facts for record in self._records.all(_KIND)]

    def _hold(self, who: tuple[str, str | None, str], until: datetime | None) -> None:
        # Once for each token, however often it is asked for.
        if self._noted.get(who, self) == until and until is not None:
            return
        if len(self._noted) >= _MOST_NOTED:
            self._noted.clear()
        self._noted[who] = until
        user, server, profile = who

        def hold() -> None:
            name, now = json.dumps(who), self._clock.now()
            known = self._records.get(_KIND, name)
            since = now if known is None else known.facts["since"]
            ends = None if until is None else until.timestamp()
            facts = {"user": user, "server": server, "profile": profile, "since": since, "until": ends}
            life = _UNKNOWN_LIFE_SECONDS if ends is None else max(1.0, ends - now)
            self._records.put(_KIND, name, facts, seconds=life)

        self._note(hold)

    def _tell(self, kind: str, level: int, facts: dict[str, Any], *, keep: bool = True) -> None:
        # As JSON: a name cannot forge a line.
        _audit.log(level, "jupyter_tokens %s %s", kind, json.dumps(facts))
        if keep:
            event = {"at": utc(self._clock.now()).isoformat(timespec="seconds"), "kind": kind, **facts}
            self._note(lambda: self._records.append(event))

    def _note(self, act: Callable[[], None]) -> None:
        def noted() -> None:
            try:
                act()
            except TokenError as problem:
                _log.debug("not noted for the page: %s", problem)

        try:
            if self._records.blocks:
                THREADS.start("audit", noted)
            else:
                noted()
        except TokenError as problem:
            _log.debug("not noted for the page: %s", problem)


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)


def _who(caller: Caller | None) -> dict[str, Any]:
    if caller is None:
        return {"user": None, "server": None, "stale": False}
    # stale: the hub does not answer, and did know the user a while ago.
    return {"user": caller.name, "server": caller.server, "stale": caller.stale}
