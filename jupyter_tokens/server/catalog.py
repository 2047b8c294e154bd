"""What the server knows of its profiles from moment to moment: names, keys, states; asks no vendor for anything."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..clock import Clock
from ..errors import ParameterError, TokenError

if TYPE_CHECKING:
    from ..broker import Held, Key
    from ..profiles import Profiles
    from ..source import Fetched, Source
    from ..token import Token

__all__ = ["LOOK_SECONDS", "Catalog", "State"]

State = Literal["none", "fresh", "aging", "expired", "failed"]

LOOK_SECONDS = 1.0
"""How long a look at the configuration's files holds: one costs a third of a whole request."""
_MOST_KEYS = 4096
_NONE: Mapping[str, Any] = {}


class Catalog:
    """Profiles, keys and what became of them. Its questions come from the event loop, its news from any thread."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._profiles: Profiles | None = None
        self._look_at = 0.0
        self._keys: dict[tuple[str, ...], Key] = {}
        self._lock = threading.Lock()
        self._arrived: set[Key] = set()
        self._failures: dict[Key, TokenError] = {}
        self._sweep_at = _MOST_KEYS
        source.watch(self._remember)

    def profiles(self) -> Profiles:
        """The profiles as the configuration had them within the last second. Raises `ConfigurationError`."""
        now = self._clock.elapsed()
        if self._profiles is None or now >= self._look_at:
            profiles = self._source.profiles()
            if profiles is not self._profiles:
                self._keys.clear()
            self._profiles, self._look_at = profiles, now + LOOK_SECONDS
        return self._profiles

    def look_again(self) -> None:
        """Has the next question look at the files: they have just been changed."""
        self._look_at = 0.0

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """See `Source.key`."""
        self.profiles()
        written = (profile, *(f"{name}={value!r}" for name, value in params.items()))
        key = self._keys.get(written)
        if key is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            key = self._keys[written] = self._source.key(profile, params)
        return key

    def state(self, profile: str) -> tuple[State, Held | None, TokenError | None]:
        """State of the token that a call without parameters would get, what is held, and how the last fetch failed."""
        try:
            key = self.key(profile)
        except ParameterError:
            # Nothing can be asked without the parameters that only a call gives.
            return "none", None, None
        held, failure = self._source.held(key), self._failures.get(key)
        now = self._clock.elapsed()
        state: State
        if held is None:
            state = "failed" if failure else "none"
        elif now >= held.ends_at:
            state = "failed" if failure else "expired"
        else:
            state = "aging" if failure or now >= held.refresh_at else "fresh"
        return state, held, failure

    def held(self) -> int:
        """How many live tokens are held."""
        now = self._clock.elapsed()
        return sum(1 for key in self._seen() if (held := self._source.held(key)) is not None and held.ends_at > now)

    def forget(self, profile: str) -> None:
        """Drops every token of a profile, whatever its parameters."""
        for key in self._seen():
            if key.profile == profile:
                self._source.forget(key)
                with self._lock:
                    self._arrived.discard(key)
                    self._failures.pop(key, None)

    def note(self, fetched: Fetched) -> None:
        """Keeps how a call to a vendor ended."""
        with self._lock:
            if fetched.error is None:
                self._failures.pop(fetched.key, None)
            else:
                if len(self._failures) >= _MOST_KEYS:
                    self._failures.clear()
                self._failures[fetched.key] = fetched.error.copy()

    def _seen(self) -> Iterable[Key]:
        with self._lock:
            return tuple(self._arrived | self._failures.keys())

    def _remember(self, key: Key, _token: Token) -> None:
        with self._lock:
            self._arrived.add(key)
            if len(self._arrived) >= self._sweep_at:
                # Parameters may vary without end; the broker drops what is dead, and so does this.
                self._arrived = {key for key in self._arrived if self._source.held(key) is not None}
                self._sweep_at = max(_MOST_KEYS, 2 * len(self._arrived))
