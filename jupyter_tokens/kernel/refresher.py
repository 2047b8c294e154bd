"""Keeps injected tokens fresh with one daemon thread that sleeps until the next token is due for a refresh.

The thread only starts fetches; the cache runs them on a limited number of other threads, so an API that hangs does not
delay other tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from ..clock import Clock, SystemClock
from ..errors import Busy, ConfigurationError, LoginNeeded, ParameterError, TokenError, Unauthorized

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..client import Client
    from ..sources.cache import Key
    from ..token import Token

__all__ = ["Refresher"]

_MAX_SLEEP_SECONDS = 30.0
"""The longest sleep. Timers stop while the machine is suspended, but tokens still expire."""
_MAX_PAUSE_SECONDS = 60.0
"""The longest pause between two attempts to fetch a token that is no longer held."""
_PAUSE_SECONDS = 1.0
"""The pause between two attempts to get a thread for a fetch."""


class Refresher:
    """Keeps the tokens of a set of keys fresh.

    Parameters
    ----------
    client : Client
        Fetches the tokens.
    on_failure : callable, optional
        Called with the key and the `TokenError` of each failed refresh, on any thread.
    clock : Clock, optional
        By default the system's clock.
    wait : callable
        Called with a condition and a number of seconds or None. Waits until the condition is notified, but at most
        that many seconds. Replaced in tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        on_failure: Callable[[Key, TokenError], None] | None = None,
        clock: Clock | None = None,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        self._client = client
        self._on_failure = on_failure
        self._clock = clock or SystemClock()
        self._wait = wait
        self._clear()

    def _clear(self) -> None:
        self._changed = threading.Condition()
        # For each key: when to check it. Its refresh may be due later, but never earlier.
        self._due_at: dict[Key, float] = {}
        # For keys without a token: how many attempts have failed, and when the next attempt is due.
        self._retries: dict[Key, tuple[int, float]] = {}
        # Not due, so that a fetch that fails counts once.
        self._fetching: set[Key] = set()
        self._thread: threading.Thread | None = None

    def keep(self, key: Key) -> None:
        """Keep a key's token fresh from now on."""
        with self._changed:
            self._due_at.setdefault(key, inf)
            if self._client.source.held(key) is None:
                # The token had expired when it arrived, and a new token would have, too.
                self._retries.setdefault(key, (0, inf))
            self._schedule(key)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jupyter_tokens refresher", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify()

    def drop(self, key: Key) -> None:
        """Stop keeping a key's token fresh."""
        with self._changed:
            self._due_at.pop(key, None)
            self._retries.pop(key, None)
            self._changed.notify()

    def keeps(self, key: Key) -> bool:
        """Whether a key's token is kept fresh."""
        return key in self._due_at

    def reschedule(self, key: Key) -> None:
        """Reschedule a key that has a new token."""
        with self._changed:
            if key in self._due_at and self._schedule(key):
                self._changed.notify()

    def reschedule_all(self) -> None:
        """Reschedule all keys, because the source has dropped tokens. Keys that lost their token are fetched again."""
        with self._changed:
            for key in self._due_at:
                self._schedule(key)
            self._changed.notify()

    def retry(self, profile: str) -> None:
        """Make the thread fetch a profile's tokens that are kept fresh but no longer held, even after a refusal."""
        with self._changed:
            for key in self._due_at:
                if key.profile == profile:
                    self._retries.pop(key, None)
                    self._schedule(key)
            self._changed.notify()

    def wake(self) -> None:
        """Make the thread check the clock now, because the machine may have been suspended."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Drop all keys, stop the thread, and wait until the thread has ended."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._due_at.clear()
            self._retries.clear()
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def after_fork(self) -> None:
        """Drop everything in a forked child: only the parent has the thread."""
        self._clear()

    def _run(self) -> None:
        while (started := self._start_next()) is not None:
            key, future = started
            # Outside the lock, because a future that is done already calls `_done` here.
            future.add_done_callback(partial(self._done, key))

    def _start_next(self) -> tuple[Key, Future[Token]] | None:
        """Sleep until a token is due, then start its fetch. Return key and fetch, or None if the thread has to end."""
        with self._changed:
            while self._thread is threading.current_thread():
                key = min(self._due_at, key=self._due_at.__getitem__, default=None)
                left = inf if key is None else self._due_at[key] - self._clock.elapsed()
                if key is None or left > 0:
                    self._wait(self._changed, None if left == inf else min(left, _MAX_SLEEP_SECONDS))
                elif (due := self._due(key)) > self._clock.elapsed():
                    # The token was refreshed by another call.
                    self._due_at[key] = due
                else:
                    try:
                        future = self._client.source.start_fetch(key)
                    except (RuntimeError, Busy):
                        # The process has too many threads, or too many calls of this profile are waiting for one.
                        self._due_at[key] = self._clock.elapsed() + _PAUSE_SECONDS
                        continue
                    self._due_at[key] = inf
                    self._fetching.add(key)
                    return key, future
        return None

    def _done(self, key: Key, future: Future[Token]) -> None:
        with self._changed:
            self._fetching.discard(key)
            is_kept = key in self._due_at
            error = future.exception()
            if is_kept:
                self._schedule_retry(key, error)
                self._schedule(key)
            self._changed.notify()
        if is_kept and self._on_failure is not None and isinstance(error, TokenError):
            self._on_failure(key, error)

    def _schedule_retry(self, key: Key, error: BaseException | None) -> None:
        """If a key has no token, set when to try again: the cache has no refresh time for such a key."""
        if self._client.source.held(key) is not None:
            self._retries.pop(key, None)
            return
        failures = self._retries.get(key, (0, 0.0))[0] + 1
        # No error but no token: the token had expired when it arrived, and a new token would have, too.
        permanent = error is None or isinstance(error, Unauthorized | LoginNeeded | ConfigurationError | ParameterError)
        pause = inf if permanent else min(2.0**failures, _MAX_PAUSE_SECONDS)
        self._retries[key] = failures, self._clock.elapsed() + pause

    def _schedule(self, key: Key) -> bool:
        """Set the time at which to check a key. Return whether it is earlier than before."""
        before = self._due_at[key]
        self._due_at[key] = due = self._due(key)
        return due < before

    def _due(self, key: Key) -> float:
        if key in self._fetching:
            return inf
        held = self._client.source.held(key)
        if held is None:
            return self._retries[key][1] if key in self._retries else self._clock.elapsed()
        # A refused credential is not retried automatically: vendors lock a key after a few refusals. As soon as any
        # fetch succeeds, the error is gone and `reschedule` schedules the key again.
        return inf if isinstance(held.error, Unauthorized | LoginNeeded) else held.refresh_at
