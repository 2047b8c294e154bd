"""Blocking calls on few threads: how many run at once, who waits, and who is refused."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from jupyter_tokens._util.threads import Threads
from jupyter_tokens.errors import Busy

PATIENCE = 30


class Calls:
    """Calls that run until they are let go; which run, and the most at once."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.gate = threading.Event()
        self.running: list[str] = []
        self.done: list[str] = []
        self.most = 0

    def of(self, name: str) -> None:
        with self.changed:
            self.running.append(name)
            self.most = max(self.most, len(self.running))
            self.changed.notify_all()
        assert self.gate.wait(PATIENCE)
        with self.changed:
            self.running.remove(name)
            self.done.append(name)
            self.changed.notify_all()

    def wait(self, *, running: int | None = None, done: int | None = None) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: running in (None, len(self.running)) and done in (None, len(self.done)), PATIENCE
            )


@pytest.fixture
def calls() -> Iterator[Calls]:
    calls = Calls()
    yield calls
    calls.gate.set()


def test_800_calls_share_few_threads_and_all_of_them_run(calls: Calls) -> None:
    threads = Threads(max_threads=8, max_per_owner=8)
    before = set(threading.enumerate())
    for number in range(800):
        threads.start("one", lambda number=number: calls.of(str(number)))  # type: ignore[misc]
    calls.wait(running=8)
    assert len(set(threading.enumerate()) - before) == 8
    calls.gate.set()
    calls.wait(done=800)
    assert calls.most == 8


def test_an_owner_whose_calls_hang_leaves_threads_to_the_others(calls: Calls) -> None:
    threads, others = Threads(max_threads=4, max_per_owner=2), Calls()
    others.gate.set()
    for _ in range(20):
        threads.start("hangs", lambda: calls.of("hangs"))
    calls.wait(running=2)
    for _ in range(5):
        threads.start("answers", lambda: others.of("answers"))
    others.wait(done=5)
    assert calls.running == ["hangs", "hangs"]


def test_owners_that_wait_take_turns(calls: Calls) -> None:
    threads, order = Threads(max_threads=1), Calls()
    order.gate.set()
    threads.start("first", lambda: calls.of("first"))
    calls.wait(running=1)
    for owner in ("many", "many", "many", "few"):
        threads.start(owner, lambda owner=owner: order.of(owner))  # type: ignore[misc]
    calls.gate.set()
    order.wait(done=4)
    assert order.done == ["many", "few", "many", "many"]


def test_a_call_too_many_is_refused_with_when_to_come_back_and_other_owners_are_not(calls: Calls) -> None:
    threads = Threads(max_threads=1, max_waiting=2)
    for _ in range(3):
        threads.start("one", lambda: calls.of("one"))
    with pytest.raises(Busy) as caught:
        threads.start("one", lambda: calls.of("one"))
    assert (caught.value.retryable, caught.value.unsent, caught.value.retry_after) == (True, True, 5.0)
    threads.start("other", lambda: calls.of("other"))
    calls.gate.set()
    calls.wait(done=4)


@pytest.mark.parametrize("fails", [False, True])
def test_a_thread_is_a_daemon_that_makes_later_calls_and_keeps_nothing_of_the_last(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda facts: None)
    threads, used, results = Threads(idle_seconds=PATIENCE), SimpleQueue[threading.Thread](), weakref.WeakSet[Calls]()

    def start() -> None:
        result = Calls()
        results.add(result)

        def work() -> None:
            used.put((result, threading.current_thread())[1])
            if fails:
                raise ZeroDivisionError(result)

        threads.start("one", work)

    start()
    thread = used.get(timeout=PATIENCE)
    assert thread.daemon
    until = time.monotonic() + PATIENCE
    while results and time.monotonic() < until:
        # The thread forgets the call a moment after the call has ended.
        gc.collect()
    assert not results
    start()
    assert used.get(timeout=PATIENCE) is thread


def test_an_idle_thread_ends_and_a_later_call_gets_another() -> None:
    threads, used = Threads(idle_seconds=0.0), SimpleQueue[threading.Thread]()
    for _ in range(100):
        threads.start("one", lambda: used.put(threading.current_thread()))
        used.get(timeout=PATIENCE).join(PATIENCE)


def test_a_call_that_fails_is_reported_and_leaves_its_thread_to_the_others(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda facts: reported.append(facts.exc_value))
    threads = Threads(max_threads=1)

    def broken() -> None:
        assert calls.gate.wait(PATIENCE)
        raise ZeroDivisionError

    threads.start("one", broken)
    threads.start("one", lambda: calls.of("after it"))
    calls.gate.set()
    calls.wait(done=1)
    assert [type(error) for error in reported] == [ZeroDivisionError]


def test_where_the_system_starts_no_thread_nothing_is_left_behind(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = Threads(max_threads=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        with pytest.raises(RuntimeError):
            threads.start("one", lambda: calls.of("lost"))
    calls.gate.set()
    threads.start("one", lambda: calls.of("one"))
    calls.wait(done=1)
    assert calls.done == ["one"]


def test_a_call_that_comes_while_the_system_starts_no_thread_is_not_lost(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(max_threads=1)
    other = threading.Thread(target=lambda: threads.start("other", lambda: calls.of("other")))
    start = threading.Thread.start

    def fails_at_first(thread: threading.Thread) -> None:
        if thread is other or other.ident is not None:
            start(thread)
            return
        other.start()
        # Until the other call waits for the thread that is not to be, or for the lock: that cannot be seen from here.
        other.join(0.5)
        raise RuntimeError("can't start new thread")

    calls.gate.set()
    monkeypatch.setattr(threading.Thread, "start", fails_at_first)
    with pytest.raises(RuntimeError):
        threads.start("one", lambda: calls.of("lost"))
    calls.wait(done=1)
    assert calls.done == ["other"]


def test_a_forked_child_starts_threads_of_its_own(calls: Calls) -> None:
    from jupyter_tokens._util.threads import THREADS

    for _ in range(80):
        THREADS.start("hangs", lambda: calls.of("hangs"))
    calls.wait(running=64)
    child = os.fork()
    if not child:
        ran = threading.Event()
        THREADS.start("hangs", ran.set)
        os._exit(0 if ran.wait(PATIENCE) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    calls.gate.set()
    calls.wait(done=80)
