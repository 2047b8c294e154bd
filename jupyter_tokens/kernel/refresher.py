"""Keeps injected tokens fresh from one daemon thread, which sleeps until the next one is due; fetches nothing itself.

The fetches are the broker's flights, so that an API that hangs holds up no other token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from ..clock import Clock, SystemClock
from ..errors import Unauthorized

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..broker import Key
    from ..token import Token
    from .client import Client

__all__ = ["Refresher"]

_LONGEST_NAP_SECONDS = 30.0
"""A timer stands still while the machine sleeps, a token's life does not: so the clock is looked at now and then."""
_PAUSE_SECONDS = 1.0
"""Between two tries to start a thread."""


class Refresher:
    """The keys that are kept fresh.

    wait : sleeps on a condition for at most so many seconds (None: until woken); for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock | None = None,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        self._client = client
        self._clock = clock or SystemClock()
        self._wait = wait
        self._changed = threading.Condition()
        self._keys: set[Key] = set()
        self._under_way: set[Key] = set()
        self._thread: threading.Thread | None = None

    def keep(self, key: Key) -> None:
        """Keeps a key's token fresh from now on."""
        with self._changed:
            self._keys.add(key)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jupyter_tokens refresher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def drop(self, key: Key) -> None:
        """Lets a key's token run out."""
        with self._changed:
            self._keys.discard(key)
            self._changed.notify()

    def keeps(self, key: Key) -> bool:
        """Whether a key's token is kept fresh."""
        return key in self._keys

    def stop(self) -> None:
        """Ends the thread and waits for its end."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._keys.clear()
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while self._thread is threading.current_thread():
                due = self._next_due()
                left = None if due is None else due - self._clock.elapsed()
                if left is None or left > 0:
                    self._wait(self._changed, left if left is None else min(left, _LONGEST_NAP_SECONDS))
                    continue
                try:
                    for key in self._due_now():
                        flight = self._client.source.begin(key)
                        self._under_way.add(key)
                        flight.add_done_callback(partial(self._done, key))
                except RuntimeError:
                    # No thread could be started for a flight: the process has too many.
                    self._wait(self._changed, _PAUSE_SECONDS)

    def _done(self, key: Key, _: Future[Token]) -> None:
        # A failure needs nothing here: the broker holds the error, and says when to try again.
        with self._changed:
            self._under_way.discard(key)
            self._changed.notify()

    def _due(self, key: Key) -> float | None:
        held = None if key in self._under_way else self._client.source.held(key)
        if held is None or held.refresh_at == inf:
            return None
        # A credential that was refused is not shown again unasked: vendors lock a key after a few refusals. With the
        # next success of anybody the error is gone; until then it is looked for at the end of each nap.
        return inf if isinstance(held.error, Unauthorized) else held.refresh_at

    def _next_due(self) -> float | None:
        return min((due for due in map(self._due, self._keys) if due is not None), default=None)

    def _due_now(self) -> list[Key]:
        now = self._clock.elapsed()
        return [key for key in self._keys if (due := self._due(key)) is not None and due <= now]
