"""`TokenSource`: whatever hands out tokens for profiles. It owns the cache; subclasses say how to fetch."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..clock import Clock, SystemClock
from ..errors import ParameterError
from .cache import Ask, Held, Key, Standing, TokenCache

if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime

    from ..errors import TokenError
    from ..protocol.messages import About, ProfileEntry
    from ..token import Token

__all__ = ["TokenSource"]

_NONE: Mapping[str, Any] = {}
_log = logging.getLogger(__name__)


class TokenSource(ABC):
    """Tokens by profile and parameters, cached, for threads and tasks alike.

    Parameters
    ----------
    clock : Clock, optional
        For tests.

    Attributes
    ----------
    mode : str
        How the last token was served, in the words of a card: "server", "direct", "direct (reason)".
    gone : TokenError or None
        Why the process that this source asks did not answer the last time.
    """

    is_remote: ClassVar[bool] = False
    """Whether another process fetches, and wants to know what this one holds."""
    mode: str
    gone: TokenError | None = None

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._watchers: list[tuple[Callable[[Key, Token], None], Callable[[], None] | None]] = []
        self._cache = TokenCache(self._fetch_renewable, clock=self.clock, arrived=self._arrived)

    # What a source has to know

    @abstractmethod
    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """The cache key of a call. Raises `TokenError` for an unknown profile or a wrong parameter."""

    @abstractmethod
    def fetch(self, key: Key, ask: Ask) -> Token:
        """Get one token, past the cache. Blocks. Raises `TokenError`."""

    @abstractmethod
    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Create a token of the caller's own, where the API can. Blocks; nothing is cached. Raises `TokenError`."""

    @abstractmethod
    def entries(self) -> list[ProfileEntry]:
        """The profiles that this source serves. Raises `TokenError`."""

    @abstractmethod
    def about(self, profile: str) -> About:
        """What a card shows of a profile. Raises `TokenError` for an unknown or wrong one."""

    @abstractmethod
    def close(self) -> None:
        """Close connections. Tokens that were handed out stay valid."""

    def look_again(self) -> None:  # noqa: B027 (a source that keeps no configuration has nothing to do)
        """Read the configuration again at the next question."""

    def report(self, held: Sequence[Mapping[str, Any]]) -> None:  # noqa: B027 (most sources have nobody to report to)
        """Report all that this process holds, and where, to the process that is asked. Raises `TokenError`."""

    # What all have

    def get(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """A token from the cache, or fetched. See `TokenCache.get`."""
        return self._cache.get(key, refresh=refresh, newer_than=newer_than)

    async def aget(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """`get` for a task. See `TokenCache.aget`."""
        return await self._cache.aget(key, refresh=refresh, newer_than=newer_than)

    def begin(self, key: Key) -> Future[Token]:
        """Start a refresh in the background, or join the one under way."""
        return self._cache.begin(key)

    def held(self, key: Key) -> Held | None:
        """What the cache holds under a key."""
        return self._cache.held(key)

    def fresh(self, key: Key) -> Token | None:
        """The cached token, if neither a fetch nor a refresh is due."""
        return self._cache.fresh(key)

    def standing(self, key: Key) -> Standing:
        """State, token and last error of a key: what every view shows."""
        return self._cache.standing(key)

    def keys(self) -> list[Key]:
        """The keys with a token, or with a fetch that failed."""
        return self._cache.keys()

    def live(self) -> int:
        """How many valid tokens are cached."""
        return sum(1 for key in self.keys() if self.standing(key).state in {"fresh", "aging"})

    def profile_standing(self, profile: str) -> tuple[Standing, Key | None]:
        """Standing of a profile, and of which key.

        That is the token which a call without parameters gets, or else the one that was fetched last. Where the refresh
        of another token of the profile has failed, the error is that one's, and so is the key.
        """
        keys = [key for key in self.keys() if key.profile == profile]
        shown: Key | None = keys[-1] if keys else None
        with suppress(ParameterError):  # Often nothing can be asked without the parameters of a call.
            own = self.key(profile)
            shown = own if own in keys else shown or own
        if shown is None:
            return Standing("none", None, None), None
        standing = self.standing(shown)
        if standing.error is None:
            for key in reversed(keys):
                other = self.standing(key)
                if other.token is not None and other.error is not None:
                    return standing._replace(error=other.error), key
        return standing, shown

    def forget(self, key: Key) -> None:
        """Drop what is cached under a key."""
        self._cache.forget(key)
        self._changed()

    def forget_profile(self, profile: str) -> None:
        """Drop what is cached for a profile, whatever the parameters."""
        self._cache.forget_profiles({profile})
        self._changed()

    def watch(
        self, on_token: Callable[[Key, Token], None], on_loss: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Call `on_token` for each new token; returns an unsubscribe function.

        Parameters
        ----------
        on_token : callable
            Called with key and token, on the thread that fetched it.
        on_loss : callable, optional
            Called without arguments when cached tokens were dropped.
        """
        watcher = on_token, on_loss
        self._watchers.append(watcher)
        return partial(self._watchers.remove, watcher)

    def _fetch_renewable(self, key: Key, ask: Ask) -> Token:
        _log.debug("%s: fetching (refresh=%s)", key.profile, ask.refresh)
        return self.fetch(key, ask).renewed_by(partial(self._renew, key))

    def _renew(self, key: Key, refused: Token | None) -> Token:
        return self.get(key, newer_than=None if refused is None else refused.obtained_at)

    def _arrived(self, key: Key, token: Token) -> None:
        for on_token, _ in tuple(self._watchers):
            on_token(key, token)

    def _changed(self) -> None:
        for _, on_loss in tuple(self._watchers):
            if on_loss is not None:
                on_loss()
