"""What libraries make of a token that they hold, of a herd that finds it expired, and of tokens that live shortly."""

from __future__ import annotations

import json
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from unittest.mock import patch
from urllib.request import urlopen

import httpx

from jupyter_tokens.clock import SystemClock
from jupyter_tokens.sources import cache
from jupyter_tokens.sources.cache import windows

from .answers import answering
from .beside import LIBRARIES, OURS, Get, Simulated, Wire, opened, wired
from .measure import Row, medians

HERD = 32
LIVES = (60, 900)
"""Seconds."""

_HOUR = 3600
_ASKED_EACH = 10
"""Seconds between two questions for a token that lives shortly."""
_ABSENT = "not installed: pip install '.[bench]'"


def _beside(
    group: str, found: dict[str, Get], row: Callable[[str], Iterator[Row]], *, missing: str = ""
) -> Iterator[Row]:
    """Each library's rows; of one that is not here a row that says so."""
    for name in LIBRARIES:
        if name in found:
            yield from row(name)
        else:
            yield Row(group, f"{name}{missing}", 0.0, 0.0, note=_ABSENT, absent=True)


def held() -> Iterator[Row]:
    """A token that is held: how long each takes to see that it is good and to hand it out."""
    clock = SystemClock()
    with answering() as url, ExitStack() as closing:
        with wired(clock):
            found = closing.enter_context(opened(f"{url}/life-{_HOUR}-delay-0", clock))
        # By the true clock: the simulated one costs those who ask it often.
        taken = medians(found, rounds=200, warm=20, inner=50)
    yield from _beside("held", found, lambda name: iter([Row("held", name, taken[name], taken[name] / taken[OURS])]))


def herd(rounds: int) -> Iterator[Row]:
    """So many threads ask at once for a token that has just expired; the endpoint takes 20 ms."""
    clock = Simulated()
    with answering() as url, wired(clock), opened(f"{url}/life-{_HOUR}-delay-20", clock) as found:
        taken: dict[str, list[float]] = {name: [] for name in found}
        calls = dict.fromkeys(found, 0)
        with httpx.Client() as client:
            bare = [_seconds(lambda: client.post(f"{url}/life-{_HOUR}-delay-20/token")) for _ in range(rounds + 1)]
            for _ in range(rounds):
                for name, get in found.items():
                    clock.advance(2 * _HOUR)
                    before = _made(url)
                    taken[name].append(_stampede(get))
                    calls[name] = max(calls[name], _made(url) - before)
    base = statistics.median(bare[1:])  # the first one connects

    def rows(name: str) -> Iterator[Row]:
        seconds = statistics.median(taken[name])
        limit = 1.0 if name == OURS else None
        yield Row("herd of 32", f"{name}: upstream calls", 0.0, calls[name], limit, count=calls[name])
        yield Row("herd of 32", f"{name}: until all have it", seconds, seconds / base)

    yield from _beside("herd of 32", found, rows, missing=": upstream calls")


def _made(url: str) -> int:
    with urlopen(f"{url}/calls") as answer:
        made: int = json.load(answer)["calls"]
        return made


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _stampede(get: Get) -> float:
    """Seconds from when the first of the threads may go until the last one has a token."""
    barrier = threading.Barrier(HERD + 1)
    values: list[str] = []

    def one() -> None:
        barrier.wait()
        values.append(get())

    threads = [threading.Thread(target=one) for _ in range(HERD)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(values) < HERD:
        raise RuntimeError(f"Only {len(values)} of {HERD} threads got a token.")
    return seconds


def short() -> Iterator[Row]:
    """Tokens that live for a minute and for a quarter of an hour, asked for every 10 seconds of a simulated hour."""
    for life in LIVES:
        clock = Simulated()
        with (
            # `_settle` waits for threads that end, which those of a pool do not.
            patch.object(cache.THREADS, "start", lambda _owner, work: threading.Thread(target=work).start()),
            answering() as url,
            wired(clock) as wire,
            opened(f"{url}/life-{life}-delay-0", clock) as found,
        ):
            seen = {name: _hours_course(get, clock, wire, life) for name, get in found.items()}
        yield from _beside(f"life of {life} s", found, lambda name, life=life, seen=seen: _told(name, life, seen[name]))


class _Course:
    """What became of the questions. least : the shortest life that was left in a token that was handed out, seconds."""

    def __init__(self) -> None:
        self.calls = self.waits = self.dead = 0
        self.least = math.inf


def _hours_course(get: Get, clock: Simulated, wire: Wire, life: int) -> _Course:
    clock.advance(2 * life)
    get()
    course = _Course()
    me, others = threading.get_ident(), set(threading.enumerate())
    wire.senders.clear()
    for _ in range(_HOUR // _ASKED_EACH):
        clock.advance(_ASKED_EACH)
        before = wire.senders.count(me)
        left = float(get().rpartition("-")[2]) - clock.now()
        course.waits += wire.senders.count(me) > before
        course.dead += left <= 0
        course.least = min(course.least, left)
        _settle(others)
    course.calls = len(wire.senders)
    return course


def _settle(others: set[threading.Thread]) -> None:
    """Lets refreshes in the background end, as they would in 10 seconds of real time."""
    for thread in set(threading.enumerate()) - others:
        thread.join(timeout=10)


def _told(name: str, life: int, course: _Course) -> Iterator[Row]:
    group = f"life of {life} s"
    # A fifth of the life before the end, or 5 minutes, at the next question.
    period = math.ceil((life - windows(life)[0]) / _ASKED_EACH) * _ASKED_EACH
    due = _HOUR // period
    waited = "" if name == OURS else f"{course.waits} askers waited; "
    note = f"{waited}least life left {course.least:.0f} s" + (f"; {course.dead} × none" if course.dead else "")
    ours = name == OURS
    yield Row(
        group, f"{name}: upstream calls", 0.0, course.calls / due, 1.0 if ours else None, count=course.calls, note=note
    )
    if ours:
        yield Row(group, f"{name}: askers that waited", 0.0, course.waits, 0.0, count=course.waits)
        yield Row(group, f"{name}: tokens without life", 0.0, course.dead, 0.0, count=course.dead)
