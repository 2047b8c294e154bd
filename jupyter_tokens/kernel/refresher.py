"""Keeps injected tokens fresh with one daemon thread that sleeps until the next token is due for a refresh.

The thread only starts fetches; the cache runs them on other threads, so an API that hangs does not delay other tokens.
While nothing is due, the thread checks one entry of a heap from time to time, however many tokens there are.
"""

from __future__ import annotations

import heapq
import itertools
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

_LONGEST_NAP_SECONDS = 30.0
"""The longest sleep. Timers stop while the machine is suspended, but tokens still expire."""
_LONGEST_PAUSE_SECONDS = 60.0
"""The longest pause between two attempts to fetch a token that is no longer held."""
_PAUSE_SECONDS = 1.0
"""The pause between two attempts to get a thread for a fetch."""
_MOST_FLIGHTS = 64
"""The most concurrent fetches. Each takes a thread, and after a suspension of the machine all tokens may be due."""


class Refresher:
    """Keeps the tokens of a set of keys fresh.

    Parameters
    ----------
    client : Client
        Fetches the tokens.
    failed : callable, optional
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
        failed: Callable[[Key, TokenError], None] | None = None,
        clock: Clock | None = None,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        self._client = client
        self._failed = failed
        self._clock = clock or SystemClock()
        self._wait = wait
        self._numbers = itertools.count()
        self._clear()

    def _clear(self) -> None:
        self._changed = threading.Condition()
        self._keys: dict[Key, float] = {}  # each key's time in the heap, or inf if it is not there
        self._heap: list[tuple[float, int, Key]] = []
        self._under_way: set[Key] = set()
        # For keys without a token: how many attempts have failed, and when the next attempt is due.
        self._lost: dict[Key, tuple[int, float]] = {}
        self._thread: threading.Thread | None = None

    def keep(self, key: Key) -> None:
        """Keep a key's token fresh from now on."""
        with self._changed:
            self._keys.setdefault(key, inf)
            if self._client.source.held(key) is None:
                # The token had expired when it arrived, and a new token would have, too.
                self._lost.setdefault(key, (0, inf))
            self._schedule(key)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jupyter_tokens refresher", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify()

    def drop(self, key: Key) -> None:
        """Stop keeping a key's token fresh."""
        with self._changed:
            self._keys.pop(key, None)
            self._lost.pop(key, None)
            if not self._keys:
                self._heap.clear()
            self._changed.notify()

    def keeps(self, key: Key) -> bool:
        """Whether a key's token is kept fresh."""
        return key in self._keys

    def arrived(self, key: Key) -> None:
        """Reschedule a key that has a new token."""
        with self._changed:
            if key in self._keys and self._schedule(key):
                self._changed.notify()

    def lost(self) -> None:
        """Reschedule all keys, because the source has dropped tokens. Keys that lost their token are fetched again."""
        with self._changed:
            for key in self._keys:
                self._schedule(key)
            self._changed.notify()

    def retry(self, profile: str) -> None:
        """Make the thread fetch a profile's tokens that are kept fresh but no longer held, even after a refusal."""
        with self._changed:
            for key in self._keys:
                if key.profile == profile:
                    self._lost.pop(key, None)
                    self._schedule(key)
            self._changed.notify()

    def look(self) -> None:
        """Make the thread check the clock now, because the machine may have been suspended."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Drop all keys, stop the thread, and wait until the thread has ended."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._keys.clear()
            self._lost.clear()
            self._heap.clear()
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def after_fork(self) -> None:
        """Drop everything in a forked child: only the parent has the thread."""
        self._clear()

    def _run(self) -> None:
        while (begun := self._next_flight()) is not None:
            key, flight = begun
            # Outside the lock, because a future that is done already calls `_done` here.
            flight.add_done_callback(partial(self._done, key))

    def _next_flight(self) -> tuple[Key, Future[Token]] | None:
        """Sleep until a token is due, then start its fetch. Return key and fetch, or None if the thread has to end."""
        with self._changed:
            while self._thread is threading.current_thread():
                left = self._heap[0][0] - self._clock.elapsed() if self._heap else None
                if left is None or left > 0:
                    self._wait(self._changed, left if left is None else min(left, _LONGEST_NAP_SECONDS))
                    continue
                if len(self._under_way) >= _MOST_FLIGHTS:
                    self._wait(self._changed, None)
                    continue
                key = self._top()
                if key is None:
                    continue
                try:
                    flight = self._client.source.begin(key)
                except (RuntimeError, Busy):
                    # The process has too many threads, or too many calls of this profile are waiting for one.
                    self._schedule(key, self._clock.elapsed() + _PAUSE_SECONDS)
                    continue
                self._under_way.add(key)
                return key, flight
        return None

    def _top(self) -> Key | None:
        """Pop the first entry of the heap. Return its key if a fetch is due, else None."""
        moment, _, key = heapq.heappop(self._heap)
        if self._keys.get(key) != moment:
            # The key was dropped, or was rescheduled to an earlier time and has been handled.
            return None
        self._keys[key] = inf
        if self._due(key) <= self._clock.elapsed():
            return key
        self._schedule(key)
        return None

    def _done(self, key: Key, flight: Future[Token]) -> None:
        with self._changed:
            self._under_way.discard(key)
            kept = key in self._keys
            error = flight.exception()
            if kept:
                self._note_loss(key, error)
                self._schedule(key)
            self._changed.notify()
        if kept and self._failed is not None and isinstance(error, TokenError):
            self._failed(key, error)

    def _note_loss(self, key: Key, error: BaseException | None) -> None:
        """Note when to try again if the key has no token: the cache then has no refresh time for it."""
        if self._client.source.held(key) is not None:
            self._lost.pop(key, None)
            return
        failures = self._lost.get(key, (0, 0.0))[0] + 1
        # No error but no token: the token had expired when it arrived, and a new token would have, too.
        hopeless = error is None or isinstance(error, Unauthorized | LoginNeeded | ConfigurationError | ParameterError)
        pause = inf if hopeless else min(2.0**failures, _LONGEST_PAUSE_SECONDS)
        self._lost[key] = failures, self._clock.elapsed() + pause

    def _schedule(self, key: Key, due: float | None = None) -> bool:
        """Push a key onto the heap, unless it is there already with the same or an earlier time.

        `due` is by default the time of the next refresh. Return whether the key was pushed.
        """
        due = self._due(key) if due is None else due
        sooner = due < self._keys[key]
        if sooner:
            self._keys[key] = due
            heapq.heappush(self._heap, (due, next(self._numbers), key))
        return sooner

    def _due(self, key: Key) -> float:
        if key in self._under_way:
            return inf
        held = self._client.source.held(key)
        if held is None:
            return self._lost[key][1] if key in self._lost else self._clock.elapsed()
        # A refused credential is not retried automatically: vendors lock a key after a few refusals. As soon as any
        # fetch succeeds, the error is gone and `arrived` schedules the key again.
        return inf if isinstance(held.error, Unauthorized | LoginNeeded) else held.refresh_at
