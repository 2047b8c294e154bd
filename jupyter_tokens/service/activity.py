"""What happened at the service, as log lines for an audit and as metrics; never a token, nor a part of one."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter

if TYPE_CHECKING:
    from ..sources.local import Fetched
    from .callers import Caller

__all__ = ["fetched", "forgotten", "refused", "served"]

_audit = logging.getLogger("jupyter_tokens.audit")
_ASKS = Counter("jupyter_tokens_service_asks", "Tokens asked for at the service", ["profile", "user", "outcome"])


def served(caller: Caller, profile: str, *, cached: bool) -> None:
    """A token went to a user's server."""
    _ASKS.labels(profile, caller.name, "served").inc()
    _tell("served", logging.INFO, {"profile": profile, "cached": cached, **_who(caller)})


def forgotten(caller: Caller, profile: str) -> None:
    """The profile's token was dropped because a user asked for it."""
    _tell("forgotten", logging.INFO, {"profile": profile, **_who(caller)})


def refused(caller: Caller | None, profile: str | None, reason: str) -> None:
    """A request was not answered with what it asked for. profile : of those that exist, else None."""
    if caller is not None and profile is not None:
        _ASKS.labels(profile, caller.name, reason).inc()
    _tell("refused", logging.WARNING, {"profile": profile, "reason": reason, **_who(caller)})


def fetched(fetched: Fetched) -> None:
    """A call to a token API."""
    error = fetched.error
    facts: dict[str, Any] = {
        "profile": fetched.key.profile,
        "provider": fetched.provider,
        "seconds": round(fetched.seconds, 3),
        "user": fetched.key.user or None,
    }
    if error is None:
        _tell("fetched", logging.INFO, facts)
    else:
        why = {"reason": error.reason, "code": error.code, "request_id": error.request_id}
        _tell("failed", logging.WARNING, {**facts, **why})


def _who(caller: Caller | None) -> dict[str, Any]:
    if caller is None:
        return {"user": None, "server": None, "stale": False}
    # stale: the hub does not answer, and did know the user a while ago.
    return {"user": caller.name, "server": caller.server, "stale": caller.stale}


def _tell(kind: str, level: int, facts: dict[str, Any]) -> None:
    # As JSON: a name cannot forge a line.
    _audit.log(level, "jupyter_tokens %s %s", kind, json.dumps(facts))
