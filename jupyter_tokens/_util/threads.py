"""Runs blocking calls on a bounded number of threads: a slow API holds up neither the others nor the process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

from ..errors import Busy

__all__ = ["MOST_OF_ONE", "MOST_THREADS", "MOST_WAITING", "THREADS", "Threads", "on_a_thread"]

MOST_THREADS = 128
"""The most threads of all owners together."""
MOST_OF_ONE = 64
"""The most threads of one owner: calls to an API that hangs leave the rest to the other APIs."""
MOST_WAITING = 1000
"""The most calls of one owner that wait for a thread. Any further call fails at once."""
_RETRY_SECONDS = 5.0

Work = Callable[[], None]
_T = TypeVar("_T")


class Threads:
    """Daemon threads that run calls in the order they came, in turn for each owner.

    A call beyond the limits waits. It fails with `Busy` only if `most_waiting` calls of its owner wait
    already. The threads are daemons because an interpreter that exits must not wait for an API that hangs. An idle
    thread ends after `idle_seconds`.

    Parameters
    ----------
    most
        Threads of all owners together.
    most_of_one
        Threads of one owner.
    most_waiting
        Calls of one owner that may wait for a thread.
    idle_seconds
        How long a thread waits for its next call. To start one takes longer than most of a call's own work.
    """

    def __init__(
        self,
        most: int = MOST_THREADS,
        most_of_one: int = MOST_OF_ONE,
        most_waiting: int = MOST_WAITING,
        idle_seconds: float = 10.0,
    ) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._most_waiting = most_waiting
        self._idle_seconds = idle_seconds
        self.reset()

    def reset(self) -> None:
        """Forgets everything: a forked child has none of its parent's threads."""
        self._lock = threading.Lock()
        self._threads = 0
        self._idle: list[SimpleQueue[tuple[str, Work]]] = []
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[Work]] = {}

    def start(self, owner: str, work: Work) -> None:
        """Runs `work` on a thread, now or when one is free.

        Parameters
        ----------
        owner
            What the limits count by: the name of a profile.
        work
            Handles its own errors: nobody waits for its outcome here.

        Raises
        ------
        Busy
            If too many calls of this owner wait already.
        RuntimeError
            If the system starts no thread.
        """
        with self._lock:
            waiting = self._waiting.setdefault(owner, deque())
            if len(waiting) >= self._most_waiting:
                raise Busy(
                    f"{self._most_waiting} calls wait for a thread already.",
                    hint=f"Try again in {_RETRY_SECONDS:g} s.",
                    unsent=True,
                    retry_after=_RETRY_SECONDS,
                )
            waiting.append(work)
            taken = self._take() if self._idle or self._threads < self._most else None
            if taken is None:
                return
            if self._idle:
                self._idle.pop().put(taken)
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, args=taken, name="jupyter_tokens call", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                self._free(owner)
            raise

    def _work(self, owner: str, work: Work) -> None:
        following: tuple[str, Work] | None = (owner, work)
        while following is not None:
            owner, work = following
            try:
                work()
            except BaseException as error:
                # What a thread of its own would do with it; the calls that wait still need this one.
                facts = (type(error), error, error.__traceback__, threading.current_thread())
                threading.excepthook(threading.ExceptHookArgs(facts))
            # An idle thread must not keep the results of its last call alive.
            del work, following
            following = self._next(owner)

    def _next(self, done: str) -> tuple[str, Work] | None:
        """The thread's next call; waits for one, but not for ever. done : the owner of its last one."""
        with self._lock:
            self._free(done)
            following = self._take()
            if following is not None:
                return following
            mine: SimpleQueue[tuple[str, Work]] = SimpleQueue()
            self._idle.append(mine)
        try:
            return mine.get(timeout=self._idle_seconds)
        except Empty:
            with self._lock:
                if mine in self._idle:
                    self._idle.remove(mine)
                    self._threads -= 1
                    return None
            # Just now `start` has put one there.
            return mine.get()

    def _free(self, owner: str) -> None:
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]

    def _take(self) -> tuple[str, Work] | None:
        """The next call that may run now, if there is one. Call it with the lock held."""
        for owner, waiting in self._waiting.items():
            if self._running[owner] < self._most_of_one:
                work = waiting.popleft()
                self._running[owner] += 1
                # To the end of the queue of owners, so that each has its turn.
                del self._waiting[owner]
                if waiting:
                    self._waiting[owner] = waiting
                return owner, work
        return None


THREADS = Threads()
"""Those of this process."""


async def on_a_thread(work: Callable[[], _T], owner: str = "") -> _T:
    """The outcome of a blocking call, which runs on one of `THREADS`. owner : see `Threads.start`.

    Raises `Busy`, and what the call raises.
    """
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    # It cannot be cancelled: nobody would ever know whether the API made a token.
    outcome.set_running_or_notify_cancel()
    THREADS.start(owner, run)
    return await asyncio.wrap_future(outcome)


if hasattr(os, "register_at_fork"):  # pragma: no branch (not on Windows)
    os.register_at_fork(after_in_child=THREADS.reset)
