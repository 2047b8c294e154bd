"""Tokens of the configured profiles: configuration, vendors and broker in one; for a server, and a kernel without."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clock import Clock, SystemClock
from ..config.profiles import is_loopback
from ..errors import ConfigurationError, TokenError
from .cache import Ask, Broker, Held, Key
from .upstream import Upstream

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..config.profiles import Profile, Profiles
    from ..providers.params import ParamValue
    from ..token import Token
    from ..transport import Transport
    from .upstream import Answer

__all__ = ["About", "Fetched", "ProfileEntry", "Renewal", "Source"]

_NONE: Mapping[str, Any] = {}
_MOST_KEYS = 4096
_log = logging.getLogger(__name__)


class About(NamedTuple):
    """What a card tells of a profile. title : of the provider. env : variable that it fills. sandbox : on loopback."""

    title: str
    env: str | None
    sandbox: bool


class ProfileEntry(NamedTuple):
    """A configured profile, for who offers a choice of them.

    title : of the provider, or "". provider : its id. env : variable that it fills. params : the profile's own.
    schema : JSON schema of the object of parameters. error : what is wrong with the profile; then it has no provider.
    may_reveal : whether whoever serves it allows to show a token's value.
    """

    name: str
    title: str = ""
    provider: str | None = None
    env: str | None = None
    sandbox: bool = False
    params: Mapping[str, Any] = _NONE
    schema: Mapping[str, Any] = _NONE
    error: TokenError | None = None
    may_reveal: bool = True


class Renewal:
    """What `Token.renewed_by` takes. One stands behind each token that is held, so it is a small object."""

    __slots__ = ("_broker", "_key")

    def __init__(self, broker: Broker, key: Key) -> None:
        self._broker = broker
        self._key = key

    def __call__(self, refused: Token | None) -> Token:
        """A token that is fresh enough, or one that is newer than the refused one."""
        return self._broker.get(self._key, newer_than=None if refused is None else refused.obtained_at)


class Fetched(NamedTuple):
    """One call to a vendor, for logs and metrics. seconds : it took. error : None if it yielded a token."""

    key: Key
    provider: str
    seconds: float
    error: TokenError | None


class Source:
    """Tokens by key, for threads and tasks. A profile that changes in the configuration loses its tokens.

    profiles : fixed profiles in place of Jupyter's configuration. clock, transport : for tests.
    look_seconds : how long a look at the configuration's files holds; for a server, one costs a third of a request.
    """

    mode = "direct"
    """How a card names this way of being served."""

    def __init__(
        self,
        profiles: Profiles | None = None,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        look_seconds: float = 0.0,
    ) -> None:
        clock = clock or SystemClock()
        self._look_seconds = look_seconds
        self._look_at = -inf
        self._fixed = profiles is not None
        self._profiles = profiles
        self._stamp: object = None
        self._keys: dict[Hashable, Key] = {}
        self._lock = threading.Lock()
        self._watchers: list[tuple[Callable[[Key, Token], None], Callable[[], None] | None]] = []
        self._observers: list[Callable[[Fetched], None]] = []
        self._clock = clock
        self._upstream = Upstream(self._current, transport, clock)
        self._broker = Broker(self._fetch, clock=clock, arrived=self._arrived)

    def profiles(self) -> Profiles:
        """The profiles as the configuration has them now. Raises `ConfigurationError`."""
        if self._profiles is not None and (self._fixed or self._clock.elapsed() < self._look_at):
            return self._profiles
        from ..config.files import config_files, load_profiles, stamp  # noqa: PLC0415 (loads traitlets' configuration)

        files = config_files()
        now = stamp(files)
        with self._lock:
            self._look_at = self._clock.elapsed() + self._look_seconds
            if self._profiles is None or self._stamp != now:
                before, self._profiles, self._stamp = self._profiles, load_profiles(files), now
                self._keys.clear()
                changed = self._profiles.changed_from(before) if before is not None else set()
                if changed:
                    self._broker.forget_profiles(changed)
                    self._lost()
            return self._profiles

    def look_again(self) -> None:
        """Has the next question look at the configuration's files: they have just been changed."""
        self._look_at = -inf

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """What a call is filed under. Raises for an unknown or wrong profile, and for a wrong parameter."""
        profiles = self.profiles()
        # With the types, for True is 1 to a dict, but not to a vendor.
        written = (profile, *((name, type(value), value) for name, value in params.items()))
        try:
            key = self._keys.get(written)
        except TypeError:
            key = None  # A list or the like: call_params tells which parameter is wrong.
        if key is None:
            key = Key(profile, tuple(profiles[profile].call_params(params).items()))
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            self._keys[written] = key
        return key

    def about(self, profile: str) -> About:
        """What a card tells of a profile. Raises for an unknown or wrong one."""
        found = self.profiles()[profile]
        return About(found.provider.title, found.env, is_loopback(found.provider.base()))

    def entries(self) -> list[ProfileEntry]:
        """The configured profiles; a wrong one with what is wrong.

        Raises `ConfigurationError` if there is none because a configuration file cannot be read.
        """
        profiles = self.profiles()
        profiles.check_readable()
        return [_entry(profiles, name) for name in profiles]

    def get_direct(self, profile: str, params: Mapping[str, Any], ask: Ask) -> Token:
        """A token by this process's profiles, as another source's fallback."""
        return self.get(self.key(profile, params), refresh=ask.refresh, newer_than=ask.newer_than)

    def get(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """See `Broker.get`."""
        return self._broker.get(key, refresh=refresh, newer_than=newer_than)

    async def aget(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """See `Broker.aget`."""
        return await self._broker.aget(key, refresh=refresh, newer_than=newer_than)

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Creates a new token at the vendor; blocks; caches nothing. Raises `TokenError`."""
        self.profiles()
        try:
            return self._upstream.create(profile, params)
        except TokenError as caught:
            error = caught.copy()
        raise error

    def exchange(self, profile: Profile, params: Mapping[str, ParamValue], path: str = "") -> Answer:
        """One call to the API, past the cache; blocks. See `Upstream.exchange`."""
        try:
            return self._upstream.exchange(profile, params, path)
        except TokenError as caught:
            error = caught.copy()
        raise error

    def held(self, key: Key) -> Held | None:
        """See `Broker.held`."""
        return self._broker.held(key)

    def fresh(self, key: Key) -> Token | None:
        """See `Broker.fresh`."""
        return self._broker.fresh(key)

    def begin(self, key: Key) -> Future[Token]:
        """See `Broker.begin`."""
        return self._broker.begin(key)

    def forget(self, key: Key) -> None:
        """See `Broker.forget`."""
        self._broker.forget(key)
        self._lost()

    def watch(
        self, arrived: Callable[[Key, Token], None], lost: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Has `arrived` told of each token that is now held, whoever asked for it; returns what ends that.

        lost : called when some tokens are not held any more, because they were forgotten or a profile has changed.
        """
        watcher = arrived, lost
        self._watchers.append(watcher)
        return partial(self._watchers.remove, watcher)

    def observe(self, fetched: Callable[[Fetched], None]) -> Callable[[], None]:
        """Has `fetched` told of each call to a vendor, on the thread that made it; returns what ends that."""
        self._observers.append(fetched)
        return partial(self._observers.remove, fetched)

    def close(self) -> None:
        """Closes the connections; tokens that were handed out stay good for as long as they live."""
        self._upstream.close()

    def _current(self) -> Profiles:
        # Whoever fetches has just asked for the key, which looked at the files.
        return self._profiles if self._profiles is not None else self.profiles()

    def _fetch(self, key: Key, _ask: Ask) -> Token:
        # A vendor has no cache of ours, so how the fetch is meant makes no difference to it.
        began = self._clock.elapsed()
        try:
            token = self._upstream.fetch(key)
        except TokenError as error:
            self.tell(Fetched(key, error.provider or "", self._clock.elapsed() - began, error))
            raise
        self.tell(Fetched(key, token.provider, self._clock.elapsed() - began, None))
        return token.renewed_by(Renewal(self._broker, key))

    def tell(self, fetched: Fetched) -> None:
        """Tells those who observe of a call to a vendor; also of one that was made past the broker."""
        for observer in tuple(self._observers):
            try:
                observer(fetched)
            except Exception as error:
                # Who is told of a fetch does not decide what comes of it.
                _log.warning("Telling of a fetch failed: %s", type(error).__name__)

    def _arrived(self, key: Key, token: Token) -> None:
        for arrived, _ in tuple(self._watchers):
            arrived(key, token)

    def _lost(self) -> None:
        for _, lost in tuple(self._watchers):
            if lost is not None:
                lost()


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
        sandbox=is_loopback(provider.base()),
        params=dict(profile.params),
        schema=provider.schema()["params"],
    )
