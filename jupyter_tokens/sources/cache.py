"""The token cache: one fetch at a time for each key, two refresh windows, back-off, and a token's state.

The same code serves threads and asyncio tasks. A *flight* is one fetch, with a `concurrent.futures.Future` for its
result. The first thread that needs the token runs the flight. If the first caller is a task, or no caller waits for the
token, the flight runs on a background thread. The cache's lock is not held while a flight runs.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Container, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .._util.threads import THREADS
from ..clock import Clock, SystemClock
from ..errors import Busy, ConfigurationError, LoginNeeded, ParameterError, TokenError, Unauthorized

if TYPE_CHECKING:
    from datetime import datetime

    from ..token import Token

__all__ = ["STATE_LABELS", "Ask", "Held", "Key", "Standing", "State", "TokenCache", "windows"]

State = Literal["none", "fresh", "aging", "expired", "failed", "login"]
"""A token's state. aging: valid, but a refresh is due or has failed; failed: no valid token, and the last fetch failed;
login: no valid token, and a person has to log in."""
STATE_LABELS: Mapping[State, str] = {
    "none": "not fetched",
    "fresh": "fresh",
    "aging": "refreshing soon",
    "expired": "expired",
    "failed": "failed",
    "login": "login needed",
}
"""The name of each state, as all views show it."""

_log = logging.getLogger(__name__)
# Usual for a library: without a handler, Python would print warnings to standard error, and so into a cell's output.
logging.getLogger("jupyter_tokens").addHandler(logging.NullHandler())

_STEP_SECONDS = 1.0
"""A new token counts as no newer if it expires at most this many seconds after the old: APIs report whole seconds."""
_MAX_BACKOFF_SECONDS = 60.0
_MIN_SWEEP = 1024


class Key(NamedTuple):
    """The cache key of a token: the profile's name, and the parameters of the call in a fixed order.

    `user` is the token's user if each user of a hub's service has a separate secret, else "".
    """

    profile: str
    params: tuple[tuple[str, Any], ...] = ()
    user: str = ""

    def __str__(self) -> str:
        # As a person writes it in a magic.
        params = ((name, " ".join(value) if isinstance(value, tuple) else value) for name, value in self.params)
        return " ".join([self.profile, *(f"{name}={value}" for name, value in params)])


class Ask(NamedTuple):
    """How new a token must be, for a source that gets tokens from another process's cache or from a store.

    Attributes
    ----------
    refresh : bool
        Whether the token must be newly fetched.
    newer_than : datetime or None
        The token must have been obtained after this moment; None for no such condition.
    """

    refresh: bool = False
    newer_than: datetime | None = None


class Held(NamedTuple):
    """A cached token.

    Attributes
    ----------
    token : Token
    refresh_at, ends_at : float
        When a refresh is due (inf: never) and when the token expires, in seconds of `Clock.elapsed`.
    error : TokenError or None
        The error of the last refresh if it failed, else None.
    """

    token: Token
    refresh_at: float
    ends_at: float
    error: TokenError | None


class Standing(NamedTuple):
    """State and token (even an expired token) of a key, and the error of the last fetch if it failed."""

    state: State
    token: Token | None
    error: TokenError | None


def windows(life: float) -> tuple[float, float]:
    """Return the advisory and the mandatory refresh window, in seconds before expiry.

    In the advisory window, a token is refreshed in the background. In the mandatory window, callers wait for the
    refresh. Short-lived tokens have shorter windows: with a fixed margin of minutes, they would be refreshed at every
    use.
    """
    return min(300.0, 0.2 * life), min(60.0, 0.05 * life)


class _Abandoned(Exception):
    """A flight ended without a result: its thread was interrupted or could not start. A waiting caller tries again."""


@dataclass(slots=True)
class _Entry:
    token: Token | None = None
    life: float = inf
    ends_at: float = -inf
    not_before: float = -inf
    failures: int = 0
    error: TokenError | None = None
    flight: Future[Token] | None = None

    def obtained_at(self) -> datetime | None:
        return None if self.token is None else self.token.obtained_at

    def refresh_at(self) -> float:
        return max(self.ends_at - windows(self.life)[0], self.not_before)

    def mandatory_at(self) -> float:
        return max(self.ends_at - windows(self.life)[1], self.not_before)

    def state(self, now: float) -> State:
        if self.token is None or now >= self.ends_at:
            if self.error is not None:
                return "login" if isinstance(self.error, LoginNeeded) else "failed"
            return "none" if self.token is None else "expired"
        return "aging" if self.error is not None or now >= self.refresh_at() else "fresh"


@dataclass(slots=True)
class _Flight:
    """A flight, as one caller sees it: `leads` is true if this caller has to run the flight."""

    key: Key
    ask: Ask
    entry: _Entry
    future: Future[Token]
    leads: bool


class TokenCache:
    """Caches tokens by key. Thread-safe; `get` blocks, `aget` does not.

    Parameters
    ----------
    fetch : callable
        Called with a key and an `Ask`; fetches the token. Blocks; raises `TokenError`.
    clock : Clock, optional
        By default the machine's clock.
    on_token : callable, optional
        Called with key and token after a token was cached, on the thread that fetched the token.
    spawn : callable, optional
        Runs a function in the background; by default on `THREADS`.
    rng : callable, optional
        Returns a random number from 0 to 1, for the jitter of the back-off.
    """

    def __init__(
        self,
        fetch: Callable[[Key, Ask], Token],
        *,
        clock: Clock | None = None,
        on_token: Callable[[Key, Token], None] | None = None,
        spawn: Callable[[Callable[[], None]], None] | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._fetch = fetch
        self.clock = clock or SystemClock()
        self._on_token = on_token
        self._spawn = spawn
        self._rng = rng
        self._lock = threading.Lock()
        self._entries: dict[Key, _Entry] = {}
        self._sweep_at = _MIN_SWEEP

    def get(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """Return a token from the cache, or fetch it. All callers that need the same token share one fetch.

        Parameters
        ----------
        key : Key
            Profile and parameters.
        refresh : bool, default False
            Fetch even if the cached token is fresh.
        newer_than : datetime, optional
            `obtained_at` of a token that an API has refused. A token is fetched unless the cached token is newer, or
            the cache is still backing off after an earlier fetch.

        Raises
        ------
        TokenError
            The fetch failed. Without `refresh` and `newer_than`, this error is only raised if no valid token is cached.
            Each caller that waited for the fetch raises its own copy.
        """
        while True:
            flight = self._token_or_flight(key, refresh=refresh, newer_than=newer_than)
            if not isinstance(flight, _Flight):
                return flight
            if flight.leads:
                self._run(flight)
            else:
                _log.debug("%s: waiting for the fetch that is under way", key.profile)
            token = self._outcome(flight, flight.future.exception(), strict=refresh or newer_than is not None)
            if token is not None:
                return token

    async def aget(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """`get` for coroutines. Cancelling one caller affects neither the fetch nor the other callers."""
        while True:
            flight = self._token_or_flight(key, refresh=refresh, newer_than=newer_than)
            if not isinstance(flight, _Flight):
                return flight
            if flight.leads:
                self._run_in_background(flight)
            else:
                _log.debug("%s: waiting for the fetch that is under way", key.profile)
            waiter = asyncio.wrap_future(flight.future)
            try:
                await asyncio.wait([waiter])
            finally:
                # After a cancellation nobody reads the result of `waiter`. The flight itself cannot be cancelled.
                waiter.cancel()
            token = self._outcome(flight, waiter.exception(), strict=refresh or newer_than is not None)
            if token is not None:
                return token

    def start_fetch(self, key: Key) -> Future[Token]:
        """Start a fetch in the background, unless this key is being fetched already. Returns the fetch's future.

        Raises `Busy` if too many calls are waiting, or RuntimeError if the system cannot start a thread.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            flight = self._join(key, entry, Ask(newer_than=entry.obtained_at()))
        _log.debug("%s: refresh %s", key.profile, "begun" if flight.leads else "already under way")
        if flight.leads:
            self._run_in_background(flight)
        return flight.future

    def held(self, key: Key) -> Held | None:
        """Return the token that is cached under a key, even an expired token; None if there is no token."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.token is None:
                return None
            return Held(entry.token, entry.refresh_at(), entry.ends_at, entry.error)

    def standing(self, key: Key) -> Standing:
        """Return the state, the token and the last error of a key, without a fetch."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return Standing("none", None, None)
            return Standing(entry.state(self.clock.elapsed()), entry.token, entry.error)

    def keys(self) -> list[Key]:
        """Return the keys that have a token or an error. A key moves to the end with each new token."""
        with self._lock:
            return [key for key, entry in self._entries.items() if entry.token is not None or entry.error is not None]

    def forget(self, key: Key) -> None:
        """Remove what is cached under a key. A running fetch still serves its callers, but its token is not cached."""
        with self._lock:
            self._entries.pop(key, None)

    def forget_profiles(self, names: Container[str]) -> None:
        """Remove what is cached for these profiles, with any parameters."""
        with self._lock:
            for key in [key for key in self._entries if key.profile in names]:
                del self._entries[key]

    def _token_or_flight(self, key: Key, *, refresh: bool, newer_than: datetime | None) -> Token | _Flight:
        background: _Flight | None = None
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
            now = self.clock.elapsed()
            token = entry.token if now < entry.ends_at else None
            is_due = now >= entry.refresh_at()
            if token is None or refresh:
                is_usable = False
            elif newer_than is not None:
                is_usable = token.obtained_at > newer_than or now < entry.not_before
            else:
                is_usable = not is_due or now < entry.mandatory_at()
            if token is None or not is_usable:
                return self._join(key, entry, Ask(refresh, None if refresh else newer_than or entry.obtained_at()))
            if newer_than is None and is_due and entry.flight is None:
                background = self._join(key, entry, Ask(newer_than=token.obtained_at))
        if background is None:
            _log.debug("%s: from the cache", key.profile)
        else:
            _log.debug("%s: from the cache; a refresh is due", key.profile)
            # The valid token is returned even if no thread can be started for the refresh.
            with suppress(RuntimeError, Busy):
                self._run_in_background(background)
        return token

    @staticmethod
    def _join(key: Key, entry: _Entry, ask: Ask) -> _Flight:
        leads = entry.flight is None
        if entry.flight is None:
            entry.flight = Future()
            # A running future cannot be cancelled, so a cancelled task does not affect other callers.
            entry.flight.set_running_or_notify_cancel()
        return _Flight(key, ask, entry, entry.flight, leads)

    def _run_in_background(self, flight: _Flight) -> None:
        work = partial(self._run, flight)
        try:
            if self._spawn is not None:
                self._spawn(work)
            else:
                THREADS.start(flight.key.profile, work)
        except BaseException:
            if not flight.future.done():
                self._abandon(flight)
            raise

    def _run(self, flight: _Flight) -> None:
        try:
            offset = self.clock.elapsed() - self.clock.now()
            self._succeeded(flight, self._fetch(flight.key, flight.ask), offset)
        except Exception as error:
            self._failed(flight, error)
        except BaseException:
            self._abandon(flight)
            raise

    def _succeeded(self, flight: _Flight, token: Token, offset: float) -> None:
        with self._lock:
            entry = flight.entry
            entry.flight = None
            now = self.clock.elapsed()
            life = ends_at = inf
            if token.expires_at is not None:
                # The whole life, not the rest of it: a token from another cache may have used up a part of its life.
                life = (token.expires_at - token.obtained_at).total_seconds()
                ends_at = token.expires_at.timestamp() + offset
            stalled = now < entry.ends_at < inf and ends_at <= entry.ends_at + _STEP_SECONDS
            if stalled:
                # The API returned the same token again. Its windows are still computed from its whole life, and the
                # next attempt comes after half of the remaining time, at least a second and at most a minute from now.
                entry.not_before = now + min(max((ends_at - now) / 2, _STEP_SECONDS), _MAX_BACKOFF_SECONDS)
                life = max(life, entry.life)
            else:
                entry.not_before = -inf
            entry.token, entry.life, entry.ends_at = token, life, ends_at
            entry.failures, entry.error = 0, None
            self._sweep(now)
            cached = ends_at > now and self._entries.get(flight.key) is entry
            if cached:
                self._entries[flight.key] = self._entries.pop(flight.key)
            else:
                # A token that has already expired (ExpireTime=0 is legal) or whose key was forgotten meanwhile is only
                # returned to the callers that waited for it.
                self._discard(flight)
        if stalled:
            _log.debug("%s: the source returned a token that is no newer; backing off", flight.key.profile)
        else:
            _log.debug("%s: got a token; expiry: %s", flight.key.profile, token.expires_at or "unknown")
        if cached and self._on_token is not None:
            try:
                self._on_token(flight.key, token)
            except Exception as error:
                # A failing watcher must not keep the token from the callers.
                _log.warning("%s: a watcher of new tokens failed: %s", flight.key.profile, type(error).__name__)
        flight.future.set_result(token)

    def _sweep(self, now: float) -> None:
        """Remove keys without a valid token or a running fetch, each time the number of keys has doubled.

        Otherwise the cache could grow without end, because parameters may vary without end.
        """
        if len(self._entries) >= self._sweep_at:
            self._entries = {key: e for key, e in self._entries.items() if e.flight is not None or e.ends_at > now}
            self._sweep_at = max(_MIN_SWEEP, 2 * len(self._entries))

    def _failed(self, flight: _Flight, error: Exception) -> None:
        failure = error.copy() if isinstance(error, TokenError) else None
        with self._lock:
            self._sweep(self.clock.elapsed())
            entry = flight.entry
            entry.flight = None
            entry.error = failure
            if entry.token is None:
                if failure is None or isinstance(failure, ConfigurationError | ParameterError):
                    # The error of an invalid call, or an unexpected error, says nothing about the token: not kept.
                    self._discard(flight)
            else:
                entry.failures += 1
                wait = min(2.0 ** min(entry.failures, 6), _MAX_BACKOFF_SECONDS) * (1 + self._rng()) / 2
                retry_after = failure.retry_after if failure is not None and failure.retry_after is not None else 0.0
                entry.not_before = self.clock.elapsed() + max(wait, retry_after)
                if isinstance(error, Unauthorized | LoginNeeded):
                    # Vendors lock an access key after a few refusals, so no further refresh is due while the cached
                    # token is valid. After a new login there is no wait, because a login removes what is cached.
                    entry.not_before = max(entry.not_before, entry.ends_at)
        if entry.token is not None:
            _log.warning("%s: the refresh failed: %s", flight.key.profile, failure or type(error).__name__)
        flight.future.set_exception(failure or error)

    def _abandon(self, flight: _Flight) -> None:
        with self._lock:
            flight.entry.flight = None
            if flight.entry.token is None:
                self._discard(flight)
        flight.future.set_exception(_Abandoned())

    def _discard(self, flight: _Flight) -> None:
        if self._entries.get(flight.key) is flight.entry:
            del self._entries[flight.key]

    def _outcome(self, flight: _Flight, error: BaseException | None, *, strict: bool) -> Token | None:
        """Return the token for a caller of a flight, or raise the flight's error.

        Returns None if the caller must start a new flight.
        """
        if error is None:
            return flight.future.result()
        if isinstance(error, _Abandoned):
            return None
        entry = flight.entry
        if not strict and entry.token is not None and self.clock.elapsed() < entry.ends_at:
            _log.debug("%s: the refresh failed; the cached token is still valid", flight.key.profile)
            return entry.token
        raise error.copy() if isinstance(error, TokenError) else error
