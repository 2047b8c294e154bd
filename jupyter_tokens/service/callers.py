"""Identifies users by the hub token in the `Authorization` header. Cookies are ignored."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from hashlib import sha256
from math import inf
from typing import Any, NamedTuple

from jupyterhub.services.auth import HubAuth
from tornado.web import HTTPError

from ..clock import Clock
from ..server.base import Refused

__all__ = ["STALE_SECONDS", "Caller", "Callers"]

STALE_SECONDS = 600.0
"""How long a caller stays known while the hub does not answer, in seconds."""
_HUB_SECONDS = 5.0
"""Time limit of a request to the hub, and pause after a request without an answer, in seconds."""
_MAX_KNOWN = 4096
# A longer token could exceed the hub's limit on headers, and the hub would seem not to answer.
_HEADER = re.compile(r"(?:token|bearer)\s+(\S{1,1024})", re.IGNORECASE)
_SERVER = re.compile(r"access:servers!server=([^/]+)/(.*)")
_log = logging.getLogger(__name__)


class Caller(NamedTuple):
    """A user or service of the hub, as described by the hub.

    Attributes
    ----------
    name : str
        The user's name; "" for a service.
    server : str or None
        The name of the user's server that sent the request ("" is the default server); None if the token does not
        belong to a server.
    groups, scopes : frozenset of str
    stale : bool
        True if the hub does not answer now, and these facts are from an earlier answer, at most `STALE_SECONDS` old.
    """

    name: str
    server: str | None
    groups: frozenset[str]
    scopes: frozenset[str]
    stale: bool = False


class _Known(NamedTuple):
    caller: Caller
    asked_at: float


class Callers:
    """Asks the hub which user a request's token belongs to, and caches the answers.

    Parameters
    ----------
    max_age : int
        How long an answer is cached, in seconds. A user who is removed from a group, and a server that is stopped,
        still get tokens for that time.
    clock : Clock
    """

    def __init__(self, max_age: int, clock: Clock) -> None:
        self.hub = HubAuth()
        self._max_age = max_age
        self._access = self.hub.access_scopes or {"access:services!service=jupyter-tokens"}
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._groups: dict[str, frozenset[str]] = {}
        self._retry_at = -inf

    @property
    def hub_answers(self) -> bool:
        """Whether the hub answered the last request of `identify`. True before the first request."""
        return self._retry_at == -inf

    async def identify(self, headers: Mapping[str, str]) -> Caller:
        """Return the user or service whose hub token is in the request. Raises `Refused`."""
        found = _HEADER.fullmatch(headers.get("Authorization", ""))
        if found is None:
            raise Refused(
                401,
                "Send the header `Authorization: token …` with a JupyterHub token of at most 1024 characters.",
                "no_token",
            )
        # A digest, so that the cache keeps no tokens in memory.
        digest = sha256(found[1].encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock.elapsed() - known.asked_at < self._max_age:
            return known.caller
        try:
            model = await self._ask_hub(found[1])
        except (HTTPError, TimeoutError):
            if known is None or self._clock.elapsed() - known.asked_at > STALE_SECONDS:
                raise Refused(
                    503,
                    "The hub's token service gets no valid answer from JupyterHub. Try again in a few seconds.",
                    "hub_down",
                    _HUB_SECONDS,
                ) from None
            return known.caller._replace(stale=True)
        if model is None:
            self._known.pop(digest, None)
            raise Refused(
                403,
                "JupyterHub does not know this token. The token's server may have stopped: start the server again.",
                "token",
            )
        caller = self.parse_model(model)
        self._remember(digest, caller)
        return caller

    async def _ask_hub(self, token: str) -> dict[str, Any] | None:
        if self._clock.elapsed() < self._retry_at:
            raise TimeoutError
        try:
            model: dict[str, Any] | None = await asyncio.wait_for(
                self.hub.user_for_token(token, use_cache=False, sync=False), _HUB_SECONDS
            )
        except (HTTPError, TimeoutError) as error:
            _log.warning(
                "JupyterHub gives no valid answer (%s). Users who were seen in the last 10 minutes are still served.",
                type(error).__name__,
            )
            self._retry_at = self._clock.elapsed() + _HUB_SECONDS
            raise
        self._retry_at = -inf
        return model

    def reported_groups(self, user: str) -> frozenset[str] | None:
        """Return the user's groups, as the hub last reported them; None if the hub has not reported the user."""
        return self._groups.get(user)

    def parse_model(self, model: Mapping[str, Any]) -> Caller:
        """Convert the hub's description of a user or service. Raises `Refused` if it may not use the token service."""
        if not self.hub.check_scopes(self._access, model):
            hint = (
                "Set c.Spawner.server_token_scopes as in `jupyter tokens hub-config`; then start the server again."
                if model["kind"] == "user"
                else "Add the scope to a role of the service that has this token, in c.JupyterHub.load_roles."
            )
            raise Refused(
                403, f"The JupyterHub token needs the scope {' or '.join(sorted(self._access))}. {hint}", "scope"
            )
        scopes = frozenset(model["scopes"])
        if model["kind"] != "user":
            return Caller("", None, frozenset(), scopes)
        server = next((found[2] for scope in scopes if (found := _SERVER.fullmatch(scope))), None)
        return Caller(model["name"], server, frozenset(model["groups"]), scopes)

    def _remember(self, digest: bytes, caller: Caller) -> None:
        now = self._clock.elapsed()
        if digest not in self._known and len(self._known) >= _MAX_KNOWN:
            self._known = {key: known for key, known in self._known.items() if now - known.asked_at <= STALE_SECONDS}
            self._groups = {known.caller.name: known.caller.groups for known in self._known.values()}
        self._known[digest] = _Known(caller, now)
        self._groups[caller.name] = caller.groups
