"""Cache, single flight, two windows, invalidation; the clock is the test's, and nothing sleeps."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_tokens.clock import SystemClock, utc
from jupyter_tokens.errors import NetworkError, Throttled, Unauthorized
from jupyter_tokens.sources import cache as module
from jupyter_tokens.sources.cache import Ask, Key, TokenCache, windows
from jupyter_tokens.token import Token

from ..doubles import CANARY, Clock, told
from .conftest import warnings

KEY = Key("mine", (("TargetId", "dlc1"),))
PATIENCE = 30.0
"""Seconds after which a test that hangs fails."""


Spawn = Callable[[Callable[[], None]], None]


def inline(work: Callable[[], None]) -> None:
    work()


def numbered(number: int, clock: Clock, life: float | None) -> Token:
    """A token every part of which carries the number of its fetch."""
    return Token(
        f"value-{number}",
        profile=f"profile-{number}",
        provider="example",
        obtained_at=utc(clock.wall),
        expires_at=None if life is None else utc(clock.wall + life),
        metadata={"number": number},
    )


def number_of(token: Token) -> int:
    number = token.metadata["number"]
    assert (token.reveal(), token.profile) == (f"value-{number}", f"profile-{number}"), "a torn read"
    return int(number)


class Bench:
    """A cache over a vendor that counts."""

    def __init__(
        self, clock: Clock, *, life: float | None = 20.0, spawn: Spawn | None = inline, **options: Any
    ) -> None:
        self.clock = clock
        self.life = life
        self.calls: list[float] = []
        self.asks: list[Ask] = []
        self.failures: list[BaseException] = []
        self.before: Callable[[], object] = lambda: None
        self.claims = 0
        self.joined: dict[int, threading.Event] = {}
        self.cache = TokenCache(self.fetch, clock=clock, spawn=spawn, rng=lambda: 1.0, **options)
        claim = self.cache._token_or_flight

        def counted(*args: Any, **given: Any) -> Any:
            claimed = claim(*args, **given)
            self.claims += 1
            if self.claims in self.joined:
                self.joined[self.claims].set()
            return claimed

        self.cache._token_or_flight = counted  # type: ignore[method-assign]

    def fetch(self, key: Key, ask: Ask) -> Token:
        secret_in_a_frame = CANARY
        self.calls.append(self.clock.elapsed() - 1000.0)
        self.asks.append(ask)
        self.before()
        if self.failures:
            raise self.failures.pop(0)
        assert secret_in_a_frame
        return numbered(len(self.calls), self.clock, self.life)

    def wait_for(self, claims: int) -> None:
        """Makes the next fetch wait until so many callers have joined."""
        event = self.joined[claims] = threading.Event()
        self.before = lambda: self._joined(event)

    def _joined(self, event: threading.Event) -> None:
        self.before = lambda: None
        assert event.wait(PATIENCE)

    def get(self, **options: Any) -> int:
        return number_of(self.cache.get(KEY, **options))


@pytest.fixture
def bench(clock: Clock) -> Bench:
    return Bench(clock)


def in_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """What each of `count` threads returned or raised."""
    results: list[object] = [None] * count

    def run(place: int) -> None:
        try:
            results[place] = work(place)
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return results


# Single flight


def test_64_threads_and_64_tasks_cause_one_fetch_and_all_get_the_same_token(clock: Clock) -> None:
    bench = Bench(clock, spawn=None)
    bench.wait_for(128)
    tokens: list[Token] = []

    async def tasks() -> None:
        tokens.extend(await asyncio.gather(*(bench.cache.aget(KEY) for _ in range(64))))

    def thread(place: int) -> Token | None:
        if place:
            return bench.cache.get(KEY)
        asyncio.run(tasks())
        return None

    tokens += [token for token in in_threads(65, thread) if isinstance(token, Token)]
    assert len(bench.calls) == 1
    assert len(tokens) == 128
    assert {id(token) for token in tokens} == {id(tokens[0])}
    assert number_of(tokens[0]) == 1


def test_reads_under_constant_refreshing_are_never_torn(clock: Clock) -> None:
    bench = Bench(clock)

    def work(place: int) -> list[int]:
        return [number_of(bench.cache.get(KEY, refresh=place == 0)) for _ in range(200)]

    for seen in in_threads(8, work):
        assert isinstance(seen, list)
        assert seen == sorted(seen)


def test_different_keys_do_not_wait_for_each_other(clock: Clock) -> None:
    """The fetch of one key asks for another: with a lock held across it, this would never end."""
    other = Key("other")
    fetched: list[Key] = []

    def fetch(key: Key, ask: Ask) -> Token:
        fetched.append(key)
        if key == KEY:
            cache.get(other)
        return numbered(len(fetched), clock, 20)

    cache = TokenCache(fetch, clock=clock)
    cache.get(KEY)
    assert fetched == [KEY, other]


def test_a_key_is_profile_and_parameters(bench: Bench) -> None:
    keys = [Key("mine"), Key("mine", (("a", 1),)), Key("mine", (("a", 2),)), Key("other")]
    for _ in range(2):
        for key in keys:
            bench.cache.get(key)
    assert len(bench.calls) == 4


# Windows


@pytest.mark.parametrize(
    ("life", "expected"), [(20, (4, 1)), (900, (180, 45)), (1200, (240, 60)), (1500, (300, 60)), (86400, (300, 60))]
)
def test_windows_scale_with_the_life(life: float, expected: tuple[float, float]) -> None:
    assert windows(life) == pytest.approx(expected)


def test_a_20_second_token_asked_for_once_a_second_is_refreshed_as_the_windows_say(bench: Bench) -> None:
    seen = []
    for _ in range(60):
        seen.append(bench.get())
        bench.clock.advance(1)
    assert bench.calls == [0, 16, 32, 48]
    assert seen == [1] * 17 + [2] * 16 + [3] * 16 + [4] * 11


def test_an_advisory_refresh_hands_out_the_old_token_meanwhile(clock: Clock) -> None:
    waiting: list[Callable[[], None]] = []
    bench = Bench(clock, spawn=waiting.append)
    assert bench.get() == 1
    clock.advance(16)
    assert [bench.get() for _ in range(5)] == [1] * 5
    assert len(waiting) == 1
    waiting.pop()()
    assert bench.get() == 2
    assert bench.calls == [0, 16]


def test_in_the_mandatory_window_callers_wait(clock: Clock) -> None:
    waiting: list[Callable[[], None]] = []
    bench = Bench(clock, spawn=waiting.append)
    bench.get()
    clock.advance(19)
    assert bench.get() == 2
    assert waiting == []


def test_who_comes_in_the_mandatory_window_joins_the_advisory_flight(clock: Clock) -> None:
    waiting: list[Callable[[], None]] = []
    bench = Bench(clock, spawn=waiting.append)
    bench.get()
    clock.advance(16)
    bench.get()
    clock.advance(3)
    bench.joined[bench.claims + 1] = threading.Event()
    runner = threading.Thread(target=lambda: bench.joined[3].wait(PATIENCE) and waiting.pop()())
    runner.start()
    assert bench.get() == 2
    runner.join()
    assert len(bench.calls) == 2


def test_an_expired_token_is_never_handed_out(bench: Bench) -> None:
    bench.get()
    bench.clock.advance(20)
    assert bench.get() == 2


def test_a_token_of_unknown_end_is_never_refreshed(clock: Clock) -> None:
    bench = Bench(clock, life=None)
    for _ in range(100):
        assert bench.get() == 1
        clock.advance(86400)
    held = bench.cache.held(KEY)
    assert held is not None
    assert (held.refresh_at, held.ends_at) == (float("inf"), float("inf"))


def test_an_end_that_becomes_known_counts_from_then_on(clock: Clock) -> None:
    bench = Bench(clock, life=None)
    bench.get()
    bench.life = 20
    assert bench.get(refresh=True) == 2
    clock.advance(16)
    assert (bench.get(), bench.get()) == (2, 3)


def test_a_token_that_ended_on_arrival_is_handed_out_and_not_kept(clock: Clock) -> None:
    bench = Bench(clock, life=0)
    assert (bench.get(), bench.get()) == (1, 2)
    assert bench.cache.held(KEY) is None
    assert bench.cache._entries == {}


def test_a_token_that_ended_on_arrival_serves_all_who_waited(clock: Clock) -> None:
    bench = Bench(clock, life=0)
    bench.wait_for(8)
    assert in_threads(8, lambda place: number_of(bench.cache.get(KEY))) == [1] * 8


def test_the_life_begins_before_the_fetch(bench: Bench) -> None:
    token = numbered(1, bench.clock, 20)

    def fetch(key: Key, ask: Ask) -> Token:
        bench.clock.advance(5)
        return token

    cache = TokenCache(fetch, clock=bench.clock)
    cache.get(KEY)
    held = cache.held(KEY)
    assert held is not None
    assert held.ends_at - bench.clock.ticks == 15


def test_a_wall_clock_that_is_set_does_not_change_the_life_of_what_is_held(bench: Bench) -> None:
    bench.get()
    bench.clock.wall += 86400
    assert bench.get() == 1
    bench.clock.wall -= 2 * 86400
    assert bench.get() == 1
    bench.clock.advance(20)
    assert bench.get() == 2


def test_refresh_fetches_what_is_fresh(bench: Bench) -> None:
    assert [bench.get(refresh=True) for _ in range(3)] == [1, 2, 3]
    assert bench.get() == 3


# A vendor that hands out the same token again


def stalling(clock: Clock, life: float) -> tuple[TokenCache, list[float]]:
    """A vendor whose token is the same for all of its life."""
    calls: list[float] = []
    ends: list[float] = []

    def fetch(key: Key, ask: Ask) -> Token:
        calls.append(clock.elapsed() - 1000)
        if not ends or clock.wall >= ends[-1]:
            ends.append(clock.wall + life)
        return numbered(len(ends), clock, ends[-1] - clock.wall)

    return TokenCache(fetch, clock=clock, spawn=inline), calls


def test_an_expiry_that_does_not_advance_backs_off(clock: Clock) -> None:
    cache, calls = stalling(clock, 1800)
    for _ in range(1801):
        cache.get(KEY)
        clock.advance(1)
    assert calls == [0, 1500, 1560, 1620, 1680, 1740, 1770, 1785, 1793, 1797, 1799, 1800]


@pytest.mark.parametrize("life", [5, 20, 60, 300, 1719, 86400])
def test_a_stalled_expiry_costs_few_calls_whatever_the_life(clock: Clock, life: int) -> None:
    cache, calls = stalling(clock, life)
    for _ in range(0, life * 2, max(1, life // 3600)):
        cache.get(KEY)
        clock.advance(max(1, life // 3600))
    assert len(calls) <= 26


def test_a_stalled_token_is_not_refetched_for_each_caller_who_was_refused(clock: Clock) -> None:
    cache, calls = stalling(clock, 1800)
    first = cache.get(KEY)
    clock.advance(1)
    again = cache.get(KEY, newer_than=first.obtained_at)
    assert again.reveal() == first.reveal()
    for _ in range(10):
        cache.get(KEY, newer_than=again.obtained_at)
    assert len(calls) == 2


# Failures


def test_a_failed_refresh_keeps_the_live_token_and_backs_off(bench: Bench) -> None:
    bench.get()
    bench.failures = [NetworkError("down")] * 3
    times = []
    for second in range(20):
        calls = len(bench.calls)
        assert bench.get() == 1
        if len(bench.calls) > calls:
            times.append(second)
        bench.clock.advance(1)
    assert times == [16, 18]
    held = bench.cache.held(KEY)
    assert held is not None
    assert str(held.error) == "down"
    with pytest.raises(NetworkError):
        bench.get()
    assert bench.get() == 5


def test_a_refresh_that_succeeds_forgets_the_failures(bench: Bench) -> None:
    bench.get()
    bench.clock.advance(16)
    bench.failures = [NetworkError("down")]
    bench.get()
    bench.clock.advance(2)
    assert (bench.get(), bench.get()) == (1, 3)
    held = bench.cache.held(KEY)
    assert held is not None
    assert held.error is None


def test_a_failing_refresh_waits_as_long_as_the_vendor_asks(clock: Clock) -> None:
    bench = Bench(clock, life=1000)
    bench.get()
    clock.advance(800)
    bench.failures = [Throttled("slow", retry_after=120)]
    bench.get()
    for _ in range(119):
        clock.advance(1)
        bench.get()
    assert len(bench.calls) == 2
    clock.advance(1)
    bench.get()
    assert len(bench.calls) == 3


def test_the_backoff_of_failing_refreshes_has_a_longest(clock: Clock) -> None:
    bench = Bench(clock, life=100_000)
    bench.get()
    clock.advance(99_700)
    bench.failures = [NetworkError("down")] * 20
    for _ in range(300):
        bench.get()
        clock.advance(1)
    gaps = [round(later - earlier) for earlier, later in zip(bench.calls[1:], bench.calls[2:], strict=False)]
    assert gaps == [2, 4, 8, 16, 32, 60, 60, 60]


def test_the_backoff_of_failing_refreshes_has_jitter(bench: Bench) -> None:
    bench.cache._rng = lambda: 0.0
    bench.get()
    bench.clock.advance(16)
    bench.failures = [NetworkError("down")]
    bench.get()
    held = bench.cache.held(KEY)
    assert held is not None
    assert held.refresh_at == 1016 + 1


def test_each_decision_is_logged_at_debug_and_no_value_is(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "jupyter_tokens"):
        bench.get()
        bench.get()
        bench.clock.advance(16)
        bench.failures = [NetworkError("down", code="X")]
        bench.get()
        bench.cache.start_fetch(KEY)
    assert [message.removeprefix("mine: ").partition("; expiry")[0] for message in caplog.messages] == [
        "got a token",
        "from the cache",
        "from the cache; a refresh is due",
        "the refresh failed: down [code X]",
        "refresh begun",
        "got a token",
    ]
    assert "value-" not in caplog.text
    assert CANARY not in caplog.text


def test_a_token_that_is_no_newer_and_a_failure_beside_a_living_token_are_logged_at_debug(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.get()
    bench.clock.advance(19.5)
    bench.failures = [NetworkError("down")]
    with caplog.at_level(logging.DEBUG, "jupyter_tokens"):
        bench.get()
        bench.life = 0.4
        bench.clock.advance(0.1)
        bench.get(refresh=True)
    assert "mine: the refresh failed; the cached token is still valid" in caplog.messages
    assert "mine: the source returned a token that is no newer; backing off" in caplog.messages


def test_a_failed_refresh_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.get()
    bench.clock.advance(16)
    bench.failures = [NetworkError("down", code="X")]
    with caplog.at_level(logging.WARNING):
        bench.get()
    assert warnings(caplog) == ["mine: the refresh failed: down [code X]"]


def test_a_mandatory_refresh_that_fails_still_hands_out_what_lives(bench: Bench) -> None:
    bench.get()
    bench.clock.advance(19)
    bench.failures = [NetworkError("down")]
    assert bench.get() == 1
    assert len(bench.calls) == 2
    assert bench.get() == 1
    assert len(bench.calls) == 2


def test_an_explicit_refresh_that_fails_says_so(bench: Bench) -> None:
    bench.get()
    bench.failures = [NetworkError("down")]
    with pytest.raises(NetworkError):
        bench.get(refresh=True)
    assert bench.get() == 1


def test_errors_are_shared_by_those_who_waited_each_with_a_copy_of_its_own(bench: Bench) -> None:
    bench.wait_for(16)
    bench.failures = [Unauthorized("No.", code="X", request_id="rid", status=401)]
    errors = in_threads(16, lambda place: bench.cache.get(KEY))
    assert len(bench.calls) == 1
    assert len({id(error) for error in errors}) == 16
    for error in errors:
        assert isinstance(error, Unauthorized)
        assert (error.code, error.request_id, error.status) == ("X", "rid", 401)
        assert error.__context__ is error.__cause__ is None
        frames = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        assert "fetch" not in frames
        assert CANARY not in told(error)


def test_errors_are_not_cached(bench: Bench) -> None:
    bench.failures = [NetworkError("down")]
    with pytest.raises(NetworkError):
        bench.get()
    assert bench.cache.held(KEY) is None
    assert bench.get() == 2


def test_a_fault_in_a_source_reaches_the_caller_and_wedges_nothing(bench: Bench) -> None:
    bench.failures = [ZeroDivisionError("x")]
    with pytest.raises(ZeroDivisionError):
        bench.get()
    assert bench.get() == 2


def test_a_fault_in_a_source_backs_off_and_keeps_the_live_token(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.get()
    bench.clock.advance(16)
    bench.failures = [ZeroDivisionError(CANARY)]
    assert [bench.get() for _ in range(5)] == [1] * 5
    assert len(bench.calls) == 2
    assert warnings(caplog) == ["mine: the refresh failed: ZeroDivisionError"]


def test_a_source_that_returns_nonsense_wedges_nothing(clock: Clock) -> None:
    cache = TokenCache(lambda key, ask: None, clock=clock)  # type: ignore[arg-type, return-value]
    for _ in range(2):
        with pytest.raises(AttributeError):
            cache.get(KEY)


# Interruption and cancellation


def test_a_leader_who_is_interrupted_is_replaced_by_another(bench: Bench) -> None:
    bench.wait_for(4)
    bench.failures = [KeyboardInterrupt()]
    results = in_threads(4, lambda place: bench.cache.get(KEY))
    interrupted = [result for result in results if isinstance(result, KeyboardInterrupt)]
    tokens = [result for result in results if isinstance(result, Token)]
    assert (len(interrupted), len(tokens)) == (1, 3)
    assert {number_of(token) for token in tokens} == {2}


def test_an_interrupted_refresh_leaves_the_live_token(bench: Bench) -> None:
    bench.get()
    bench.failures = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        bench.get(refresh=True)
    assert bench.get() == 1
    bench.clock.advance(20)
    assert bench.get() == 3


def test_an_interruption_in_the_background_leaves_nothing_behind(bench: Bench) -> None:
    """The spawned work runs at once here, so the interruption comes back through the one who spawned it."""
    bench.get()
    bench.clock.advance(16)
    bench.failures = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        bench.get()
    assert (bench.get(), bench.get()) == (1, 3)


def test_cancelling_one_task_leaves_the_others(clock: Clock) -> None:
    bench = Bench(clock, spawn=None)
    gate, bench.joined[5] = threading.Event(), threading.Event()
    bench.before = lambda: gate.wait(PATIENCE)

    async def go() -> list[object]:
        tasks = [asyncio.create_task(bench.cache.aget(KEY)) for _ in range(5)]
        assert await asyncio.to_thread(bench.joined[5].wait, PATIENCE)
        tasks[0].cancel()
        tasks[3].cancel()
        await asyncio.wait([tasks[0], tasks[3]])
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(go())
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False, False, True, False]
    assert {number_of(token) for token in results if isinstance(token, Token)} == {1}
    assert len(bench.calls) == 1


def test_a_flight_that_fails_after_all_were_cancelled_is_nobodys_complaint(clock: Clock) -> None:
    landed, gate = threading.Event(), threading.Event()

    def spawn(work: Callable[[], None]) -> None:
        def run() -> None:
            work()
            landed.set()

        threading.Thread(target=run).start()

    bench = Bench(clock, spawn=spawn)
    bench.before = lambda: gate.wait(PATIENCE)
    bench.failures = [NetworkError("down")]
    bench.joined[1] = threading.Event()
    complaints: list[dict[str, object]] = []

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        task = asyncio.create_task(bench.cache.aget(KEY))
        assert await asyncio.to_thread(bench.joined[1].wait, PATIENCE)
        task.cancel()
        await asyncio.wait([task])
        gate.set()
        assert await asyncio.to_thread(landed.wait, PATIENCE)
        await asyncio.sleep(0)  # lets the loop run what the flight handed over
        del task
        gc.collect()

    asyncio.run(go())
    assert bench.get() == 2
    assert complaints == []


def test_aget_serves_from_the_cache_and_raises_like_get(bench: Bench) -> None:
    bench.failures = [NetworkError("down")]

    async def go() -> tuple[int, int]:
        with pytest.raises(NetworkError):
            await bench.cache.aget(KEY)
        return number_of(await bench.cache.aget(KEY)), number_of(await bench.cache.aget(KEY))

    assert asyncio.run(go()) == (2, 2)


def test_aget_takes_over_where_a_leader_was_interrupted(clock: Clock) -> None:
    bench = Bench(clock, spawn=None)
    bench.wait_for(2)
    bench.failures = [KeyboardInterrupt()]
    started = threading.Event()
    wait = bench.before

    def before() -> None:
        started.set()
        wait()

    bench.before = before

    def work(place: int) -> object:
        if place == 0:
            return bench.cache.get(KEY)
        assert started.wait(PATIENCE)
        return asyncio.run(bench.cache.aget(KEY))

    first, second = in_threads(2, work)
    assert isinstance(first, KeyboardInterrupt)
    assert isinstance(second, Token)


def no_thread(work: Callable[[], None]) -> None:
    raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_started_withholds_no_live_token_and_wedges_nothing(clock: Clock) -> None:
    bench = Bench(clock, spawn=no_thread)
    bench.get()
    clock.advance(16)
    assert (bench.get(), bench.get()) == (1, 1)
    clock.advance(3)
    assert bench.get() == 2


def test_a_task_whose_thread_cannot_be_started_is_told(clock: Clock) -> None:
    bench = Bench(clock, spawn=no_thread)
    with pytest.raises(RuntimeError):
        asyncio.run(bench.cache.aget(KEY))
    assert bench.get() == 1


# Invalidation


def test_100_callers_refused_with_the_same_token_cause_one_refresh(bench: Bench) -> None:
    refused = bench.cache.get(KEY)
    bench.clock.advance(1)
    bench.wait_for(101)
    tokens = in_threads(100, lambda place: bench.cache.get(KEY, newer_than=refused.obtained_at))
    assert len(bench.calls) == 2
    assert {number_of(token) for token in tokens if isinstance(token, Token)} == {2}


def test_who_was_refused_later_with_the_old_token_gets_the_newer_one(bench: Bench) -> None:
    refused = bench.cache.get(KEY)
    bench.clock.advance(1)
    assert [bench.get(newer_than=refused.obtained_at) for _ in range(5)] == [2] * 5


def test_after_a_refused_refresh_the_next_waits(bench: Bench) -> None:
    refused = bench.cache.get(KEY)
    bench.clock.advance(1)
    bench.failures = [NetworkError("down")]
    with pytest.raises(NetworkError):
        bench.get(newer_than=refused.obtained_at)
    assert bench.get(newer_than=refused.obtained_at) == 1
    assert len(bench.calls) == 2
    bench.clock.advance(2)
    assert bench.get(newer_than=refused.obtained_at) == 3


def test_the_source_is_told_how_the_fetch_is_meant(bench: Bench) -> None:
    first = bench.cache.get(KEY)
    bench.clock.advance(16)
    bench.get()
    bench.clock.advance(2)
    third = bench.cache.get(KEY, refresh=True)
    bench.clock.advance(2)
    bench.get(newer_than=third.obtained_at)
    assert bench.asks == [
        Ask(),
        Ask(newer_than=first.obtained_at),
        Ask(refresh=True),
        Ask(newer_than=third.obtained_at),
    ]


# Forgetting, and what is held


def test_forget(bench: Bench) -> None:
    bench.get()
    bench.cache.forget(KEY)
    assert bench.cache.held(KEY) is None
    bench.cache.forget(Key("never seen"))
    assert bench.get() == 2


def test_forget_profiles(bench: Bench) -> None:
    keys = [Key("a"), Key("a", (("x", 1),)), Key("b")]
    for key in keys:
        bench.cache.get(key)
    bench.cache.forget_profiles({"a", "c"})
    assert [bench.cache.held(key) is None for key in keys] == [True, True, False]


@pytest.mark.parametrize("outcome", [None, NetworkError("down"), KeyboardInterrupt()])
def test_what_is_forgotten_while_it_is_fetched_serves_who_waited_and_is_not_kept(
    bench: Bench, outcome: BaseException | None
) -> None:
    bench.before = lambda: bench.cache.forget(KEY)
    bench.failures = [outcome] if outcome else []
    if outcome is None:
        assert bench.get() == 1
    else:
        with pytest.raises(type(outcome)):
            bench.get()
    assert bench.cache.held(KEY) is None
    assert bench.cache._entries == {}


def test_what_came_after_the_forgetting_is_left_alone(bench: Bench) -> None:
    def forget_and_get() -> None:
        bench.before = lambda: None
        bench.cache.forget(KEY)
        bench.get()

    bench.before = forget_and_get
    bench.get()
    held = bench.cache.held(KEY)
    assert held is not None
    assert number_of(held.token) == 2
    assert bench.get() == 2


def test_held_tells_without_a_fetch(bench: Bench) -> None:
    assert bench.cache.held(KEY) is None
    token = bench.cache.get(KEY)
    assert bench.cache.held(KEY) == (token, 1016.0, 1020.0, None)
    assert len(bench.calls) == 1


def test_nothing_is_held_while_the_first_fetch_is_under_way(bench: Bench) -> None:
    seen = []
    bench.before = lambda: seen.append(bench.cache.held(KEY))
    bench.get()
    assert seen == [None]


def test_dead_tokens_do_not_pile_up(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MIN_SWEEP", 8)
    bench = Bench(clock)
    for number in range(200):
        bench.cache.get(Key("mine", (("n", number),)))
        clock.advance(5)
    assert len(bench.cache._entries) <= 8


def test_errors_do_not_pile_up(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MIN_SWEEP", 8)
    bench = Bench(clock)
    for number in range(200):
        bench.failures.append(Throttled("no"))
        with pytest.raises(Throttled):
            bench.cache.get(Key("mine", (("n", number),)))
    assert len(bench.cache.keys()) <= 8
    # The last error is always kept.
    assert bench.cache.keys()[-1].params == (("n", 199),)


def test_live_tokens_are_not_swept_away(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MIN_SWEEP", 8)
    bench = Bench(clock, life=10_000)
    for _ in range(2):
        for number in range(100):
            bench.cache.get(Key("mine", (("n", number),)))
    assert len(bench.calls) == 100


# Beginning, and being told


def test_begin_refreshes_in_the_background_and_joins_what_is_under_way(clock: Clock) -> None:
    waiting: list[Callable[[], None]] = []
    bench = Bench(clock, spawn=waiting.append)
    future = bench.cache.start_fetch(KEY)
    assert bench.cache.start_fetch(KEY) is future
    assert len(waiting) == 1
    waiting.pop()()
    assert number_of(future.result(0)) == 1
    assert bench.get() == 1
    second = bench.cache.start_fetch(KEY)
    waiting.pop()()
    assert number_of(second.result(0)) == 2
    assert bench.asks[0] == Ask()
    assert bench.asks[1].newer_than is not None


def test_begin_that_fails_tells_the_future(bench: Bench) -> None:
    bench.failures = [NetworkError("down")]
    assert isinstance(bench.cache.start_fetch(KEY).exception(0), NetworkError)


def test_each_token_that_is_held_is_told_of(clock: Clock) -> None:
    told_of: list[tuple[Key, int]] = []
    bench = Bench(clock, on_token=lambda key, token: told_of.append((key, number_of(token))))
    bench.get()
    bench.get()
    bench.get(refresh=True)
    bench.life = 0
    bench.get(refresh=True)
    assert told_of == [(KEY, 1), (KEY, 2)]


def test_one_who_fails_at_being_told_takes_nobodys_token(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def fail(key: Key, token: Token) -> None:
        raise ValueError(CANARY)

    bench = Bench(clock, on_token=fail)
    assert bench.get() == 1
    assert warnings(caplog) == ["mine: a watcher of new tokens failed: ValueError"]


def test_nothing_that_is_held_shows_a_value(bench: Bench) -> None:
    bench.get()
    shown = repr([bench.cache.held(KEY), vars(bench.cache)])
    assert "value-1" not in shown


def test_by_default_the_clock_is_the_machines() -> None:
    assert isinstance(TokenCache(lambda key, ask: numbered(1, Clock(), None)).clock, SystemClock)
