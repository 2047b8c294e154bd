"""Keeps injected tokens fresh from one daemon thread, which sleeps until the next one is due; fetches nothing itself.

The fetches are the cache's flights, so that an API that hangs holds up no other token. At rest the thread looks at one
entry of a heap now and then, however many tokens there are.
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
from ..errors import ConfigurationError, LoginNeeded, ParameterError, TokenError, Unauthorized

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..client import Client
    from ..sources.cache import Key
    from ..token import Token

__all__ = ["Refresher"]

_LONGEST_NAP_SECONDS = 30.0
"""A timer stands still while the machine sleeps, a token's life does not: so the clock is looked at now and then."""
_LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries for a token of which nothing is held any more."""
_PAUSE_SECONDS = 1.0
"""Between two tries to start a thread."""
_MOST_FLIGHTS = 64
"""At a time, each a thread: after a machine's sleep all tokens are due at once."""


class Refresher:
    """The keys that are kept fresh.

    failed : told of each refresh that failed, on the thread of its flight.
    wait : sleeps on a condition for at most so many seconds (None: until woken); for tests.
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
        self._keys: dict[Key, float] = {}  # to the moment for which the key stands in the heap, or inf
        self._heap: list[tuple[float, int, Key]] = []
        self._under_way: set[Key] = set()
        # Of keys of which nothing is held: how often they have failed since, and when they are due again.
        self._lost: dict[Key, tuple[int, float]] = {}
        self._thread: threading.Thread | None = None

    def keep(self, key: Key) -> None:
        """Keeps a key's token fresh from now on."""
        with self._changed:
            self._keys.setdefault(key, inf)
            if self._client.source.held(key) is None:
                # It came without a life, and would come so again.
                self._lost.setdefault(key, (0, inf))
            self._schedule(key)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jupyter_tokens refresher", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify()

    def drop(self, key: Key) -> None:
        """Lets a key's token run out."""
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
        """A key has a new token, whoever asked for it."""
        with self._changed:
            if key in self._keys and self._schedule(key):
                self._changed.notify()

    def lost(self) -> None:
        """Some tokens are held no more, because a profile has changed: those that are kept fresh are fetched anew."""
        with self._changed:
            for key in self._keys:
                self._schedule(key)
            self._changed.notify()

    def look(self) -> None:
        """Has the thread look at the clock now: the machine may have slept."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Ends the thread and waits for its end."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._keys.clear()
            self._lost.clear()
            self._heap.clear()
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def after_fork(self) -> None:
        """In a forked child: the thread is the parent's, and so are its tokens' refreshes."""
        self._clear()

    def _run(self) -> None:
        while (begun := self._next_flight()) is not None:
            key, flight = begun
            # Without the lock, for a flight that has landed already calls it here.
            flight.add_done_callback(partial(self._done, key))

    def _next_flight(self) -> tuple[Key, Future[Token]] | None:
        """Sleeps until a token is due, and begins its flight; None when the thread is to end."""
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
                except RuntimeError:
                    # The process has too many threads.
                    self._schedule(key)
                    self._wait(self._changed, _PAUSE_SECONDS)
                    continue
                self._under_way.add(key)
                return key, flight
        return None

    def _top(self) -> Key | None:
        """Takes the first entry from the heap; its key, if that is due."""
        moment, _, key = heapq.heappop(self._heap)
        if self._keys.get(key) != moment:
            # It was dropped, or was due sooner and stood in the heap for that as well.
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
        """Where nothing is held of a key, the cache does not say when to try again."""
        if self._client.source.held(key) is not None:
            self._lost.pop(key, None)
            return
        failures = self._lost.get(key, (0, 0.0))[0] + 1
        # A token that comes without a life would come so again.
        hopeless = error is None or isinstance(error, Unauthorized | LoginNeeded | ConfigurationError | ParameterError)
        pause = inf if hopeless else min(2.0**failures, _LONGEST_PAUSE_SECONDS)
        self._lost[key] = failures, self._clock.elapsed() + pause

    def _schedule(self, key: Key) -> bool:
        """Puts a key into the heap for when it is due, unless it stands there for that moment or an earlier one."""
        due = self._due(key)
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
        # A credential that was refused is not shown again unasked: vendors lock a key after a few refusals. With the
        # next success of anybody the error is gone, and `arrived` tells of it.
        return inf if isinstance(held.error, Unauthorized | LoginNeeded) else held.refresh_at
