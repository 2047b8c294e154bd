"""A value is known for as long as it may live, and longer while there is room; what is known is told to nobody."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_tokens.kernel.redaction import known_values, search
from jupyter_tokens.kernel.redaction.known_values import MAX_VALUES, KnownValues

from ...doubles import Clock
from ...sampling import long

LIFE = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> KnownValues:
    return KnownValues(clock)


def value_of(number: int) -> str:
    return f"value-{number:08}"


def knows(known: KnownValues, number: int) -> bool:
    return value_of(number) not in known.search().redacted(f"<{value_of(number)}>")


def test_a_label_can_stand_in_any_text(known: KnownValues) -> None:
    known.add("12345678", 'token "a<b>\\')
    assert known.search().redacted("12345678") == "[token _a_b__]"


def test_a_value_becomes_known_and_is_forgotten(known: KnownValues) -> None:
    known.add("12345678", "token x")
    assert known.search().redacted("12345678") == "[token x]"
    known.add("12345678", "token y")
    assert known.search().redacted("12345678") == "[token y]"
    known.discard("12345678")
    known.discard("12345678")
    assert known.search().redacted("12345678") == "12345678"


def test_neither_tells_what_it_knows(known: KnownValues) -> None:
    known.add("12345678", "token x")
    assert "12345678" not in repr(known) + repr(known.search())


def test_a_value_that_has_ended_is_known_as_long_as_there_is_room(known: KnownValues, clock: Clock) -> None:
    for number in range(MAX_VALUES):
        known.add(value_of(number), "token x", clock.now() + LIFE + number)
    clock.advance(10 * LIFE + MAX_VALUES)
    assert all(knows(known, number) for number in range(MAX_VALUES))
    known.add(value_of(MAX_VALUES), "token x", clock.now() + LIFE)
    assert [number for number in range(MAX_VALUES + 1) if not knows(known, number)] == [0]


@long
def test_a_living_value_is_known_however_many_come_after_it(known: KnownValues, clock: Clock) -> None:
    known.add(value_of(0), "secret x")
    known.add(value_of(1), "token x", clock.now() + LIFE)
    for number in range(2, 3 * MAX_VALUES):
        known.add(value_of(number), "token y", clock.now() + 1)
        clock.advance(LIFE / 10 / MAX_VALUES)
    assert knows(known, 0)
    assert knows(known, 1)
    clock.advance(LIFE)
    # They go as others come, for nobody is to wait until hundreds are forgotten.
    for number in range(3 * MAX_VALUES, 6 * MAX_VALUES):
        known.add(value_of(number), "token y", clock.now() + 1)
        clock.advance(2)
    assert knows(known, 0)
    assert not knows(known, 1)
    assert repr(known) == f"<KnownValues {MAX_VALUES}>"


def test_a_life_that_is_prolonged_counts_and_so_does_one_that_is_cut_short(known: KnownValues, clock: Clock) -> None:
    known.add(value_of(0), "token x", clock.now() + LIFE)
    known.add(value_of(1), "token x", clock.now() + 3 * LIFE)
    known.add(value_of(0), "token x", clock.now() + 3 * LIFE)
    known.add(value_of(1), "token x", clock.now() + LIFE)
    clock.advance(2 * LIFE)
    for number in range(2, MAX_VALUES + 1):
        known.add(value_of(number), "token x")
    assert knows(known, 0)
    assert not knows(known, 1)


def test_at_the_last_limit_the_value_that_ends_first_is_forgotten(
    known: KnownValues, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_values, "MAX_VALUES", 2)
    monkeypatch.setattr(known_values, "MAX_VALID_VALUES", 3)
    for number, life in enumerate([None, 3 * LIFE, LIFE, None]):
        known.add(value_of(number), "token x", *([] if life is None else [clock.now() + life]))
    assert [knows(known, number) for number in range(4)] == [True, True, False, True]
    known.add(value_of(4), "token x")
    known.add(value_of(5), "token x")
    assert [knows(known, number) for number in range(6)] == [False, False, False, True, True, True]


def test_a_value_that_is_told_again_and_again_takes_no_more_room(known: KnownValues, clock: Clock) -> None:
    for number in range(5 * MAX_VALUES):
        known.add(value_of(0), "token x", clock.now() + 10 * MAX_VALUES - number)
        known.add(value_of(1), "secret x")
    assert repr(known) == "<KnownValues 2>"


@long
def test_a_value_more_costs_the_forms_of_one_or_two_however_many_are_known(
    known: KnownValues, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    needles_of = search._make_needles

    def counted(value: str, label: str) -> Any:
        asked.append(value)
        return needles_of(value, label)

    monkeypatch.setattr(search, "_make_needles", counted)
    for number in range(3 * MAX_VALUES):
        known.add(value_of(number), "token x", clock.now() + LIFE)
    assert len(asked) == 3 * MAX_VALUES
    clock.advance(2 * LIFE)
    for number in range(3 * MAX_VALUES, 5 * MAX_VALUES):
        asked.clear()
        known.add(value_of(number), "token x", clock.now() + LIFE)
        assert asked[0] == value_of(number)
        assert len(asked) <= 3
    asked.clear()
    known.add(value_of(number), "token x", clock.now() + LIFE)
    known.search().redacted(value_of(number))
    assert not asked


def test_threads_that_learn_the_same_values_at_once_agree(known: KnownValues) -> None:
    begin = threading.Barrier(4)

    def learn() -> None:
        begin.wait()
        for number in range(100):
            known.add(value_of(number), "token x")

    threads = [threading.Thread(target=learn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(knows(known, number) for number in range(100))
    for number in range(100):
        known.discard(value_of(number))
    assert not any(knows(known, number) for number in range(100))


@pytest.fixture
def in_child() -> Callable[[Callable[[], bool]], bool]:
    def run(check: Callable[[], bool]) -> bool:
        child = os.fork()
        if not child:
            # Nothing of pytest's may run in the child.
            os._exit(0 if check() else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    return run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_learns_and_forgets_though_a_thread_was_doing_so_when_it_was_forked(
    known: KnownValues, in_child: Callable[[Callable[[], bool]], bool]
) -> None:
    known.add(value_of(0), "token x")
    within, over = threading.Event(), threading.Event()

    def hold() -> None:
        with known._lock():
            within.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    within.wait()

    def learn_and_forget() -> bool:
        known.add(value_of(1), "token x")
        known.discard(value_of(0))
        return knows(known, 1) and not knows(known, 0)

    try:
        assert in_child(learn_and_forget)
    finally:
        over.set()
        thread.join()
    assert knows(known, 0)
    assert not knows(known, 1)
