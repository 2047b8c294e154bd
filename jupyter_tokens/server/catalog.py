"""What became of the tokens of the server's profiles; asks no vendor for anything."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clock import Clock
from ..errors import ParameterError, TokenError

if TYPE_CHECKING:
    from ..sources.cache import Held, Key, State
    from ..sources.local import Fetched, Source
    from ..token import Token

__all__ = ["Catalog", "Standing"]

_MOST_KEYS = 4096


class Standing(NamedTuple):
    """How the token of a profile is.

    error : how the last fetch failed, or the refresh of another token of the profile.
    params : with what to ask for it; for that other one, if it is its refresh that failed.
    """

    state: State
    held: Held | None
    error: TokenError | None
    params: dict[str, Any]


class Catalog:
    """States of profiles. Its questions come from the event loop, its news from any thread."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self.source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._arrived: set[Key] = set()
        self._failures: dict[Key, TokenError] = {}
        self._sweep_at = _MOST_KEYS
        source.watch(self._remember)

    def state(self, profile: str) -> Standing:
        """Of the token that a call without parameters would get, or else of the newest of those with parameters."""
        key = self._key_of(profile)
        if key is None:
            return Standing("none", None, None, {})
        held, failure = self.source.held(key), self._failures.get(key)
        state: State = "failed" if failure else "none"
        if held is not None:
            state = held.state(self._clock.elapsed(), failure)
        if failure is None and (failed := self._failed_refresh(profile)) is not None:
            key, failure = failed, self._failures.get(failed)
        return Standing(state, held, failure, dict(key.params))

    def _key_of(self, profile: str) -> Key | None:
        own: Key | None = None
        # Often nothing can be asked without the parameters that only a call gives.
        with suppress(ParameterError):
            own = self.source.key(profile)
            if self.source.held(own) is not None or own in self._failures:
                return own
        given = [(held.token.obtained_at, key) for key, held in self._held() if key.profile == profile]
        return max(given, default=(None, own), key=lambda pair: pair[0])[1]

    def _failed_refresh(self, profile: str) -> Key | None:
        with self._lock:
            failed = [key for key in self._failures if key.profile == profile]
        return next((key for key in reversed(failed) if self.source.held(key) is not None), None)

    def _held(self) -> Iterable[tuple[Key, Held]]:
        return ((key, held) for key in self._seen() if (held := self.source.held(key)) is not None)

    def held(self) -> int:
        """How many live tokens are held."""
        now = self._clock.elapsed()
        return sum(1 for _, held in self._held() if held.ends_at > now)

    def forget(self, profile: str) -> None:
        """Drops every token of a profile, whatever its parameters."""
        for key in self._seen():
            if key.profile == profile:
                self.source.forget(key)
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
                self._arrived = {key for key in self._arrived if self.source.held(key) is not None}
                self._sweep_at = max(_MOST_KEYS, 2 * len(self._arrived))
