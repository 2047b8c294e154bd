"""`get_token` and its siblings: a table of frozen tokens in front of the broker; knows nothing of IPython.

A hit never leaves the calling thread and takes no lock. Behind the broker is the server that started this kernel, or,
in direct mode, the profiles of this process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from .clock import Clock, SystemClock
from .errors import ConfigurationError

if TYPE_CHECKING:
    from .config.profiles import Profiles
    from .sources.cache import Key
    from .sources.local import Source
    from .sources.remote import ServerSource
    from .token import Token
    from .transport import Transport

__all__ = ["Client", "aget_token", "create_token", "get_token", "shared_client"]

_NONE: Mapping[str, Any] = {}
_FEW = 1024


class _Fresh(NamedTuple):
    """A token about which the broker need not be asked until a moment on `Clock.elapsed`."""

    token: Token
    until: float


def _slot(profile: str, params: Mapping[str, Any]) -> Hashable:
    return (profile, *sorted(params.items())) if params else profile


class Client:
    """Tokens by profile and vendor parameters, for threads and tasks.

    profiles : fixed profiles in place of Jupyter's configuration. clock, transport : for tests.
    """

    def __init__(
        self, profiles: Profiles | None = None, *, clock: Clock | None = None, transport: Transport | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._open = partial(_open_source, profiles, self._clock, transport)
        self._source: Source | ServerSource | None = None
        self._table: dict[Hashable, _Fresh] = {}
        self._slots: dict[Key, list[Hashable]] = {}
        self._keys: dict[Key, None] = {}
        self._sweep_at = _FEW
        self._lock = threading.Lock()
        _clients.add(self)

    @property
    def source(self) -> Source | ServerSource:
        """Where tokens come from; opened at first use, which loads the broker and the providers."""
        if self._source is None:
            with self._lock:
                if self._source is None:
                    source = self._open()
                    source.watch(self._arrived, self._table.clear)
                    self._source = source
        return self._source

    @property
    def opened(self) -> Source | ServerSource | None:
        """`source`, if somebody has asked for it already."""
        return self._source

    def get(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """See `get_token`."""
        token = None if refresh else self._fresh(profile, params)
        if token is not None:
            return token
        key = self.source.key(profile, params)
        return self._remember(profile, params, key, self.source.get(key, refresh=refresh))

    async def aget(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """See `aget_token`."""
        token = None if refresh else self._fresh(profile, params)
        if token is not None:
            return token
        key = self.source.key(profile, params)
        return self._remember(profile, params, key, await self.source.aget(key, refresh=refresh))

    def forget(self, key: Key) -> None:
        """Drops what is held under a key."""
        self.source.forget(key)
        self._keys.pop(key, None)

    def keys(self) -> list[Key]:
        """The keys under which a token is held, dead ones among them."""
        return [key for key in tuple(self._keys) if self.source.held(key) is not None]

    def after_fork(self) -> None:
        """In a forked child: threads, connections and locks are the parent's, so it starts anew."""
        self._source = None
        self._table, self._slots, self._keys = {}, {}, {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections; tokens that were handed out stay good for as long as they live."""
        if self._source is not None:
            self._source.close()

    def _fresh(self, profile: str, params: Mapping[str, Any]) -> Token | None:
        try:
            slot = self._table.get(_slot(profile, params))
        except TypeError:
            return None  # A list or the like is in no table; `key` tells which parameter is wrong.
        return slot.token if slot is not None and self._clock.elapsed() < slot.until else None

    def _arrived(self, key: Key, _token: Token) -> None:
        # A newer token makes the older one wrong, whoever asked for it, and under each way to write its parameters.
        for slot in self._slots.pop(key, ()):
            self._table.pop(slot, None)
        self._keys[key] = None
        if len(self._keys) >= self._sweep_at:
            # Parameters may vary without end; the broker drops what is dead, and so does this.
            for dead in self._keys.keys() - self.keys():
                self._keys.pop(dead, None)
            self._sweep_at = max(_FEW, 2 * len(self._keys))

    def _remember(self, profile: str, params: Mapping[str, Any], key: Key, token: Token) -> Token:
        held = self.source.held(key)
        if held is not None and held.token is token:
            slot = _slot(profile, params)
            self._table[slot] = _Fresh(token, min(held.refresh_at, held.ends_at))
            self._slots.setdefault(key, []).append(slot)
            latest = self.source.held(key)
            if latest is None or latest.token is not token:
                # It was replaced or forgotten between the look and the note.
                self._table.pop(slot, None)
        return token


def _open_source(profiles: Profiles | None, clock: Clock, transport: Transport | None) -> Source | ServerSource:
    from .config.files import load_mode  # noqa: PLC0415 (configuration, broker and providers load at first use)
    from .protocol.identity import identity, missing_identity  # noqa: PLC0415
    from .sources.local import Source  # noqa: PLC0415

    mode = "direct" if profiles is not None else load_mode()
    direct = Source(profiles, clock=clock, transport=transport)
    if mode == "direct":
        if profiles is None:
            direct.mode = "direct (TokenProfiles.mode)"
        return direct
    me = identity()
    if me is not None:
        from .sources.remote import ServerSource  # noqa: PLC0415

        return ServerSource(me, fallback=direct if mode == "auto" else None, clock=clock)
    if mode == "server":
        raise ConfigurationError(
            "TokenProfiles.mode is 'server', but no Jupyter server that runs jupyter_tokens has started this process.",
            hint="Set it to 'auto' or 'direct'.",
            unsent=True,
        )
    direct.mode = f"direct ({missing_identity()})"
    return direct


_shared: Client | None = None
_clients: WeakSet[Client] = WeakSet()
_lock = threading.Lock()


def shared_client() -> Client:
    """The client of this process, which reads Jupyter's configuration."""
    global _shared  # noqa: PLW0603 (one per process is the point)
    if _shared is None:
        with _lock:
            _shared = _shared or Client()
    return _shared


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 (another thread may have held it when the process forked)
    _lock = threading.Lock()
    for client in tuple(_clients):
        client.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch (not on Windows)
    os.register_at_fork(after_in_child=_after_fork)


def get_token(profile: str, /, *, refresh: bool = False, **params: Any) -> Token:
    """A token for a profile: from the cache, or fetched. Blocks only if it has to be fetched.

    profile : name of a profile in `jupyter_tokens_config`.
    refresh : fetch even if the token that is held is fresh.
    params : the vendor's parameters by the vendor's names; they add to, or override, those of the profile.

    Raises `TokenError`, with the vendor's code and request id where there are any.
    """
    return shared_client().get(profile, params, refresh=refresh)


async def aget_token(profile: str, /, *, refresh: bool = False, **params: Any) -> Token:
    """`get_token` for a coroutine. Cancelling it leaves others who wait for the same token alone."""
    return await shared_client().aget(profile, params, refresh=refresh)


def create_token(profile: str, /, **params: Any) -> Token:
    """Creates a new token at the vendor, where its API has a call for that (Astra Control: `name=…`).

    It is a token that the caller owns: it is neither cached nor kept fresh, and it lives until it is revoked.

    Raises `TokenError`.
    """
    return shared_client().source.create(profile, params)
