"""Runs blocking calls on a limited number of threads, so that a slow API delays neither other APIs nor the process."""

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

__all__ = ["MAX_PER_OWNER", "THREADS", "Threads", "run_in_thread"]

MAX_PER_OWNER = 64
"""Maximum number of threads for one owner. If this owner's API hangs, the other threads still serve other owners."""
_RETRY_SECONDS = 5.0

Work = Callable[[], None]
_T = TypeVar("_T")


class Threads:
    """A pool of daemon threads. Owners take turns, and the calls of an owner start in order.

    A call fails with `Busy` if `max_waiting` calls of its owner are waiting already. Threads are started when they are
    needed, and end when they have been idle for a while. They are daemons because an interpreter that exits must not
    wait for an API that hangs.

    Parameters
    ----------
    max_threads : int
        Maximum number of threads for all owners together.
    max_per_owner : int
        Maximum number of threads for one owner.
    max_waiting : int
        Maximum number of calls of one owner that may wait for a thread.
    idle_seconds : float
        How long a thread without a call stays for the next one.
    """

    def __init__(
        self,
        max_threads: int = 128,
        max_per_owner: int = MAX_PER_OWNER,
        max_waiting: int = 1000,
        idle_seconds: float = 10.0,
    ) -> None:
        self._max_threads = max_threads
        self._max_per_owner = max_per_owner
        self._max_waiting = max_waiting
        self._idle_seconds = idle_seconds
        self.reset()

    def reset(self) -> None:
        """Start without threads and calls, as a forked child must: it has none of its parent's threads."""
        self._lock = threading.Lock()
        # Threads that wait for a call, without those for which a call is in `_ready`.
        self._idle = 0
        self._ready: SimpleQueue[tuple[str, Work]] = SimpleQueue()
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[Work]] = {}

    def start(self, owner: str, work: Work) -> None:
        """Run `work` on a thread, now or as soon as a thread is free.

        Parameters
        ----------
        owner : str
            The name under which the limits are counted, usually a profile.
        work : callable
            Has to handle its own errors: an error that it raises is only printed. Its result is ignored.

        Raises
        ------
        Busy
            Too many calls of this owner are waiting already.
        RuntimeError
            The system cannot start a thread.
        """
        with self._lock:
            waiting = self._waiting.setdefault(owner, deque())
            if len(waiting) >= self._max_waiting:
                raise Busy(
                    f"Too many calls at the same time: {self._max_waiting} calls are already waiting.",
                    hint=f"Try again in {_RETRY_SECONDS:g} s.",
                    unsent=True,
                    retry_after=_RETRY_SECONDS,
                )
            waiting.append(work)
            next_call = self._next_call()
            if next_call is None:
                return
            if self._idle:
                self._idle -= 1
            else:
                # Under the lock: if the thread cannot be started, no other call may be waiting for it.
                try:
                    threading.Thread(target=self._work, name="jupyter_tokens call", daemon=True).start()
                except RuntimeError:
                    self._release(owner)
                    raise
            self._ready.put(next_call)

    def _work(self) -> None:
        while True:
            try:
                owner, work = self._ready.get(timeout=self._idle_seconds)
            except Empty:
                with self._lock:
                    if self._ready.empty():
                        self._idle -= 1
                        return
                continue
            try:
                work()
            except BaseException as error:
                # Report the error as `threading` does, but keep the thread for other calls.
                facts = type(error), error, error.__traceback__, threading.current_thread()
                threading.excepthook(threading.ExceptHookArgs(facts))
                del facts
            with self._lock:
                self._release(owner)
                next_call = self._next_call()
                if next_call is None:
                    self._idle += 1
                else:
                    self._ready.put(next_call)
            # An idle thread must not keep its last call's result alive.
            del work, next_call

    def _release(self, owner: str) -> None:
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]

    def _next_call(self) -> tuple[str, Work] | None:
        """Return the owner and the next call that may run now, or None. The caller must hold the lock."""
        if self._running.total() >= self._max_threads:
            return None
        for owner, waiting in self._waiting.items():
            if self._running[owner] < self._max_per_owner:
                work = waiting.popleft()
                self._running[owner] += 1
                # The owner goes to the end, so that all owners take turns.
                del self._waiting[owner]
                if waiting:
                    self._waiting[owner] = waiting
                return owner, work
        return None


THREADS = Threads()
"""The threads of this process."""


async def run_in_thread(work: Callable[[], _T], owner: str = "") -> _T:
    """Run a blocking call on one of `THREADS` and return its result.

    Parameters
    ----------
    work : callable
        The call.
    owner : str
        The name under which the limits are counted, usually a profile.

    Raises
    ------
    Busy
        Too many calls of this owner are waiting already.
    RuntimeError
        The system cannot start a thread.
    Exception
        Whatever the call raises; RuntimeError if that is SystemExit or another error that is no `Exception`.
    """
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:
            outcome.set_exception(error)
        except BaseException as error:
            # As itself, a SystemExit would end the event loop.
            outcome.set_exception(RuntimeError(f"The call ended with {type(error).__name__}."))

    # From here on, the call cannot be cancelled: otherwise nobody would know whether the API has created a token.
    outcome.set_running_or_notify_cancel()
    THREADS.start(owner, run)
    return await asyncio.wrap_future(outcome)


if hasattr(os, "register_at_fork"):  # pragma: no branch (not on Windows)
    os.register_at_fork(after_in_child=THREADS.reset)
