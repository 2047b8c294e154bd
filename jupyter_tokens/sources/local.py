"""Tokens by the profiles of this process: configuration, secrets, providers and the HTTP driver."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigurationError, TokenError, detached_errors
from ..protocol.messages import About, ProfileEntry
from .base import TokenSource
from .cache import Ask, Key
from .upstream import Upstream

if TYPE_CHECKING:
    from ..clock import Clock
    from ..config.profiles import Profile, Profiles
    from ..providers.params import ParamValue
    from ..token import Token
    from ..transport import Transport
    from .upstream import Answer

__all__ = ["Fetched", "LocalSource"]

_NONE: Mapping[str, Any] = {}
_MOST_KEYS = 4096
_log = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """One call to an API, for logs and metrics.

    Attributes
    ----------
    key : Key
    provider : str
    seconds : float
        How long the call took.
    error : TokenError or None
        None if the call returned a token.
    """

    key: Key
    provider: str
    seconds: float
    error: TokenError | None


class LocalSource(TokenSource):
    """Tokens by this process's own profiles. When a profile's configuration changes, its cached tokens are dropped.

    Parameters
    ----------
    profiles : Profiles, optional
        Fixed profiles in place of Jupyter's configuration.
    clock, transport : optional
        For tests.
    look_seconds : float
        For how many seconds the configuration files are not looked at again.
    """

    mode = "direct"

    def __init__(
        self,
        profiles: Profiles | None = None,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        look_seconds: float = 1.0,
    ) -> None:
        super().__init__(clock=clock)
        self._look_seconds = look_seconds
        self._look_at = -inf
        self._fixed = profiles is not None
        self._profiles = profiles
        self._fingerprint: object = None
        self._keys: dict[Hashable, Key] = {}
        self._lock = threading.Lock()
        self._observers: list[Callable[[Fetched], None]] = []
        self._upstream = Upstream(self._current, transport, self.clock)

    def profiles(self) -> Profiles:
        """The configured profiles. Raises `ConfigurationError`."""
        if self._profiles is not None and (self._fixed or self.clock.elapsed() < self._look_at):
            return self._profiles
        from ..config.files import config_files, load_profiles, stamp  # noqa: PLC0415 (loads traitlets' configuration)

        files = config_files()
        fingerprint = stamp(files)
        with self._lock:
            self._look_at = self.clock.elapsed() + self._look_seconds
            if self._profiles is None or self._fingerprint != fingerprint:
                before, self._profiles, self._fingerprint = self._profiles, load_profiles(files), fingerprint
                self._keys.clear()
                changed = self._profiles.changed_from(before) if before is not None else set()
                if changed:
                    _log.debug("the configuration of %s changed: their tokens are dropped", ", ".join(sorted(changed)))
                    self._cache.forget_profiles(changed)
                    self._changed()
            return self._profiles

    def look_again(self) -> None:
        """Look at the configuration files at the next question."""
        self._look_at = -inf

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """The cache key of a call. Raises `TokenError` for an unknown or wrong profile, and for a wrong parameter."""
        profiles = self.profiles()
        if profile not in profiles:
            # It may have been added a moment ago.
            self.look_again()
            profiles = self.profiles()
        params = {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}
        # With the types, since True equals 1 for a dict, but not for an API.
        written = (profile, *((name, type(value), value) for name, value in params.items()))
        try:
            key = self._keys.get(written)
        except TypeError:
            key = None  # An object or the like: call_params says which parameter is wrong.
        if key is None:
            key = Key(profile, tuple(profiles[profile].call_params(params).items()))
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            self._keys[written] = key
        return key

    def about(self, profile: str) -> About:
        """What a card shows of a profile. Raises `TokenError` for an unknown or wrong one."""
        found = self.profiles()[profile]
        return About(found.provider.title, found.env, sandbox=found.provider.sandbox)

    def entries(self) -> list[ProfileEntry]:
        """The configured profiles; a wrong one has its `error`.

        Raises `ConfigurationError` if there is none because a configuration file cannot be read.
        """
        profiles = self.profiles()
        profiles.check_readable()
        return [_entry(profiles, name) for name in profiles]

    def fetch(self, key: Key, ask: Ask = Ask()) -> Token:  # noqa: B008 (a tuple)
        """Get one token from the API. Blocks. Raises `TokenError`, with the profile's name in it and no secret."""
        del ask  # An API has no cache of ours: each call makes a new token.
        began = self.clock.elapsed()
        try:
            token = self._upstream.fetch(key)
        except TokenError as error:
            self.note(Fetched(key, error.provider or "", self.clock.elapsed() - began, error))
            raise
        self.note(Fetched(key, token.provider, self.clock.elapsed() - began, None))
        return token

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Create a token of the caller's own, where the API can. Never sent twice. Raises `TokenError`."""
        self.profiles()
        with detached_errors():
            return self._upstream.create(profile, params)

    def exchange(self, profile: Profile, params: Mapping[str, ParamValue], path: str = "") -> Answer:
        """The API's own answer to one call, past the cache. Blocks. See `Upstream.exchange`."""
        with detached_errors():
            return self._upstream.exchange(profile, params, path)

    def observe(self, on_fetch: Callable[[Fetched], None]) -> Callable[[], None]:
        """Call `on_fetch` for each call to an API, on the thread that made it; returns an unsubscribe function."""
        self._observers.append(on_fetch)
        return partial(self._observers.remove, on_fetch)

    def note(self, fetched: Fetched) -> None:
        """Inform the observers of a call to an API, also of one that was made past the cache."""
        for on_fetch in tuple(self._observers):
            try:
                on_fetch(fetched)
            except Exception as error:
                # An observer that fails does not take the token from the caller.
                _log.warning("An observer of a fetch failed: %s", type(error).__name__)

    def close(self) -> None:
        """Close the connections. Tokens that were handed out stay valid."""
        self._upstream.close()

    def _current(self) -> Profiles:
        # A caller has just asked for the key, which looked at the files.
        return self._profiles if self._profiles is not None else self.profiles()


def _entry(profiles: Profiles, name: str) -> ProfileEntry:
    try:
        profile = profiles[name]
    except ConfigurationError as error:
        return ProfileEntry(name, error=error.copy())
    provider = profile.provider
    return ProfileEntry(
        name,
        title=provider.title,
        provider=provider.id,
        env=profile.env,
        sandbox=provider.sandbox,
        params=dict(profile.params),
        schema=provider.schema()["params"],
    )
