"""`get_token` and its siblings: a table of frozen tokens in front of the broker; knows nothing of IPython.

A hit never leaves the calling thread and takes no lock. Here is direct mode: the profiles are used in this process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clock import Clock, SystemClock
from ..errors import TokenError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..broker import Broker, Held, Key
    from ..profiles import Profiles
    from ..token import Token
    from ..transport import Transport
    from ..upstream import Upstream

__all__ = ["Client", "aget_token", "create_token", "get_token", "shared_client"]

_NONE: Mapping[str, Any] = {}


class _Fresh(NamedTuple):
    """A token about which the broker need not be asked until a moment on `Clock.elapsed`."""

    token: Token
    until: float


def _slot(profile: str, params: Mapping[str, Any]) -> Hashable:
    # A list or the like cannot be looked up; as text it is in no table, and `key` tells which parameter is wrong.
    if not params:
        return profile
    return (profile, *sorted((name, value if value.__hash__ else repr(value)) for name, value in params.items()))


class Client:
    """Tokens by profile and vendor parameters, for threads and tasks.

    profiles : fixed profiles in place of Jupyter's configuration. clock, transport : for tests.
    """

    mode = "direct"
    """Which way serves: "direct" uses the profiles in this process."""

    def __init__(
        self, profiles: Profiles | None = None, *, clock: Clock | None = None, transport: Transport | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = transport
        self._fixed = profiles is not None
        self._profiles = profiles
        self._stamp: object = None
        self._parts: tuple[Upstream, Broker] | None = None
        self._watchers: list[Callable[[Key, Token], None]] = []
        self._table: dict[Hashable, _Fresh] = {}
        self._keys: dict[Hashable, Key] = {}
        self._lock = threading.Lock()

    def get(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """See `get_token`."""
        token = None if refresh else self._fresh(profile, params)
        if token is not None:
            return token
        _, broker = self._open()
        key = self.key(profile, params)
        return self._remember(profile, params, key, broker.get(key, refresh=refresh))

    async def aget(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """See `aget_token`."""
        token = None if refresh else self._fresh(profile, params)
        if token is not None:
            return token
        _, broker = self._open()
        key = self.key(profile, params)
        return self._remember(profile, params, key, await broker.aget(key, refresh=refresh))

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """See `create_token`."""
        self.profiles()
        upstream, _ = self._open()
        try:
            return upstream.create(profile, params)
        except TokenError as caught:
            error = caught.copy()
        raise error

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """What a call is filed under. Raises for an unknown or wrong profile, and for a wrong parameter."""
        from ..broker import Key  # noqa: PLC0415 (not before it is needed)

        profiles = self.profiles()
        slot = _slot(profile, params)
        key = self._keys.get(slot)
        if key is None:
            key = self._keys[slot] = Key(profile, tuple(profiles[profile].call_params(params).items()))
        return key

    def held(self, key: Key) -> Held | None:
        """What is held under a key, without a fetch."""
        return self._open()[1].held(key)

    def begin(self, key: Key) -> Future[Token]:
        """Starts a refresh in the background."""
        return self._open()[1].begin(key)

    def watch(self, arrived: Callable[[Key, Token], None]) -> Callable[[], None]:
        """Has `arrived` told of each token that is now held, whoever asked for it; returns what ends that."""
        self._watchers.append(arrived)
        return lambda: self._watchers.remove(arrived)

    def forget(self, key: Key) -> None:
        """Drops what is held under a key."""
        self._open()[1].forget(key)
        self._table.clear()

    def profiles(self) -> Profiles:
        """The profiles as the configuration has them now. Raises `ConfigurationError`."""
        if self._fixed and self._profiles is not None:
            return self._profiles
        from ..config import config_files, load_profiles, stamp  # noqa: PLC0415 (loads traitlets' configuration)

        files = config_files()
        now = stamp(files)
        with self._lock:
            if self._profiles is None or self._stamp != now:
                before, self._profiles, self._stamp = self._profiles, load_profiles(files), now
                self._keys.clear()
                if before is not None:
                    self._drop(self._profiles.changed_from(before))
            return self._profiles

    def close(self) -> None:
        """Closes the connections; tokens that were handed out stay good for as long as they live."""
        if self._parts is not None:
            self._parts[0].close()

    def _fresh(self, profile: str, params: Mapping[str, Any]) -> Token | None:
        slot = self._table.get(_slot(profile, params))
        return slot.token if slot is not None and self._clock.elapsed() < slot.until else None

    def _open(self) -> tuple[Upstream, Broker]:
        if self._parts is None:
            from ..broker import Broker  # noqa: PLC0415 (asyncio and the providers load at first use)
            from ..upstream import Upstream  # noqa: PLC0415

            with self._lock:
                if self._parts is None:
                    upstream = Upstream(self._current, self._transport, self._clock)
                    self._parts = (
                        upstream,
                        Broker(partial(self._fetch, upstream), clock=self._clock, arrived=self._arrived),
                    )
        return self._parts

    def _current(self) -> Profiles:
        # Whoever fetches has just asked for the key, which looked at the files.
        return self._profiles if self._profiles is not None else self.profiles()

    def _fetch(self, upstream: Upstream, key: Key) -> Token:
        return upstream.fetch(key).renewed_by(partial(self._renew, key))

    def _arrived(self, key: Key, token: Token) -> None:
        for watcher in tuple(self._watchers):
            watcher(key, token)

    def _renew(self, key: Key, refused: Token | None) -> Token:
        if refused is not None:
            self._table.clear()
        return self._open()[1].get(key, newer_than=refused)

    def _remember(self, profile: str, params: Mapping[str, Any], key: Key, token: Token) -> Token:
        held = self.held(key)
        if held is not None and held.token is token:
            slot = (profile, *sorted(params.items())) if params else profile
            self._table[slot] = _Fresh(token, min(held.refresh_at, held.ends_at))
            if self.held(key) is None:
                # Another thread forgot it in between.
                self._table.pop(slot, None)
        return token

    def _drop(self, names: set[str]) -> None:
        if names and self._parts is not None:
            self._parts[1].forget_profiles(names)
            self._table.clear()


_shared: Client | None = None
_lock = threading.Lock()


def shared_client() -> Client:
    """The client of this process, which reads Jupyter's configuration."""
    global _shared  # noqa: PLW0603 (one per process is the point)
    if _shared is None:
        with _lock:
            _shared = _shared or Client()
    return _shared


def _after_fork() -> None:
    # Threads, connections and locks do not survive a fork: the child starts with a client of its own.
    global _shared, _lock
    _shared, _lock = None, threading.Lock()


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
    return shared_client().create(profile, params)
