"""One thread keeps what it is told to keep fresh: on the cache's word, never in a spin, never in another's way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import (
    Busy,
    NetworkError,
    ParameterError,
    SecretError,
    TokenError,
    Unauthorized,
    UnknownProfile,
)
from jupyter_tokens.kernel.refresher import Refresher
from jupyter_tokens.sources.cache import Ask, Key, TokenCache
from jupyter_tokens.token import Token

from ..doubles import Clock

SHORT, OTHER = Key("short"), Key("other")
ATTENTION = 10.0
"""Seconds after which a thread that should have moved is taken for stuck."""


class Bed:
    """Where the refresher sleeps: tells for how long, and wakes it only when a test says so."""

    def __init__(self) -> None:
        self.naps: queue.Queue[float | None] = queue.Queue()
        self._condition: threading.Condition | None = None

    def __call__(self, condition: threading.Condition, seconds: float | None) -> None:
        self._condition = condition
        self.naps.put(seconds)
        condition.wait(3 * ATTENTION)

    def nap(self) -> float | None:
        return self.naps.get(timeout=ATTENTION)

    def wake(self) -> float | None:
        """Wakes it; how long it sleeps next."""
        assert self._condition is not None
        with self._condition:
            self._condition.notify_all()
        return self.nap()


class Vendor:
    """Tokens that live as long as a test says, or errors."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lives: dict[str, float | None] = {}
        self.errors: dict[str, Exception] = {}
        self.calls: list[str] = []

    def __call__(self, key: Key, _ask: Ask) -> Token:
        self.calls.append(key.profile)
        if key.profile in self.errors:
            raise self.errors[key.profile]
        now, life = self.clock.now(), self.lives.get(key.profile, 20.0)
        return Token(
            f"{key.profile}-{len(self.calls)}",
            profile=key.profile,
            provider="oneaccess",
            obtained_at=utc(now),
            expires_at=None if life is None else utc(now + life),
        )


@pytest.fixture
def vendor(clock: Clock) -> Vendor:
    return Vendor(clock)


@pytest.fixture
def launched() -> list[Callable[[], None]]:
    """Flights that a test makes fly."""
    return []


@pytest.fixture
def cache(vendor: Vendor, clock: Clock) -> TokenCache:
    return TokenCache(vendor, clock=clock, spawn=lambda work: work(), rng=lambda: 1.0)


@pytest.fixture
def bed() -> Bed:
    return Bed()


def refresher_of(cache: Any, clock: Clock, wait: Any, **options: Any) -> Refresher:
    return Refresher(SimpleNamespace(source=cache), clock=clock, wait=wait, **options)  # type: ignore[arg-type]


@pytest.fixture
def refresher(cache: TokenCache, clock: Clock, bed: Bed) -> Iterator[Refresher]:
    made = refresher_of(cache, clock, bed)
    yield made
    made.stop()


@pytest.fixture
def kept(refresher: Refresher, cache: TokenCache, bed: Bed) -> Refresher:
    """A refresher that keeps a token of 20 s, and sleeps until a fifth of its life is left."""
    cache.get(SHORT)
    refresher.keep(SHORT)
    assert bed.nap() == 16.0
    return refresher


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "jupyter_tokens refresher"]


def test_it_sleeps_until_a_token_is_due_and_refreshes_it_then(
    refresher: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    first = cache.get(SHORT)
    refresher.keep(SHORT)
    assert refresher.keeps(SHORT)
    assert bed.nap() == 16.0  # a fifth of 20 s before the end
    clock.advance(15.0)
    assert bed.wake() == 1.0
    assert vendor.calls == ["short"]
    clock.advance(1.0)
    assert bed.wake() == 16.0
    assert vendor.calls == ["short", "short"]
    held = cache.held(SHORT)
    assert held is not None
    assert held.token.reveal() != first.reveal()


def test_one_thread_serves_all_and_is_woken_for_the_earliest(
    refresher: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    vendor.lives["other"] = 10.0
    for key in (SHORT, OTHER):
        cache.get(key)
        refresher.keep(key)
    assert len(threads()) == 1
    while (nap := bed.nap()) == 16.0:
        """The second key may come before or after the first nap."""
    assert nap == 8.0
    clock.advance(8.0)
    assert bed.wake() == 8.0
    assert vendor.calls == ["short", "other", "other"]


def test_what_is_dropped_is_left_to_run_out(kept: Refresher, vendor: Vendor, clock: Clock, bed: Bed) -> None:
    kept.drop(SHORT)
    assert bed.nap() is None
    clock.advance(100.0)
    assert bed.wake() is None
    assert not kept.keeps(SHORT)
    assert vendor.calls == ["short"]


def test_what_was_never_kept_can_be_dropped_and_starts_no_thread(refresher: Refresher) -> None:
    refresher.drop(SHORT)
    refresher.stop()
    assert not threads()


@pytest.mark.parametrize("life", [0.0, None])
def test_a_token_without_a_life_or_without_an_end_is_never_asked_for_again(
    refresher: Refresher, cache: TokenCache, vendor: Vendor, bed: Bed, life: float | None
) -> None:
    vendor.lives["short"] = life
    cache.get(SHORT)
    refresher.keep(SHORT)
    assert bed.nap() is None
    vendor.clock.advance(10.0**6)
    assert bed.wake() is None
    assert vendor.calls == ["short"]


def test_it_looks_at_the_clock_now_and_then_as_a_machine_that_slept_has_a_late_timer(
    refresher: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    vendor.lives["short"] = 3600.0
    cache.get(SHORT)
    refresher.keep(SHORT)
    assert bed.nap() == 30.0
    clock.advance(3500.0)
    assert bed.wake() == 30.0
    assert vendor.calls == ["short", "short"]


def test_an_end_in_eight_thousand_years_is_no_time_to_wait_for(cache: TokenCache, vendor: Vendor, clock: Clock) -> None:
    # EIAM's tokens may end in the year 9999; Condition.wait refuses to wait that long, and the thread would die of it.
    entered = threading.Event()

    def wait(condition: threading.Condition, seconds: float | None) -> None:
        entered.set()
        condition.wait(seconds)

    vendor.lives["short"] = 2.5e11
    cache.get(SHORT)
    refresher = refresher_of(cache, clock, wait)
    refresher.keep(SHORT)
    assert entered.wait(ATTENTION)
    with refresher._changed:
        assert threads()
    refresher.stop()


def test_a_failed_refresh_is_tried_again_when_the_cache_says(
    kept: Refresher, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    vendor.errors["short"] = NetworkError("The line is dead.")
    clock.advance(16.0)
    assert bed.wake() == 2.0
    clock.advance(2.0)
    assert bed.wake() == 4.0
    # Beyond its end it is still tried.
    clock.advance(4.0)
    assert bed.wake() == 8.0
    vendor.errors.clear()
    clock.advance(8.0)
    assert bed.wake() == 16.0
    assert vendor.calls == ["short"] * 5


def test_an_error_that_is_none_of_ours_is_borne_too(kept: Refresher, vendor: Vendor, clock: Clock, bed: Bed) -> None:
    vendor.errors["short"] = ZeroDivisionError()
    clock.advance(16.0)
    assert bed.wake() == 2.0


def test_a_refused_credential_is_not_shown_again_until_someone_else_had_success(
    kept: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    # Vendors lock an access key after a few refusals.
    vendor.errors["short"] = Unauthorized("The key was refused.")
    clock.advance(16.0)
    assert bed.wake() is None
    clock.advance(10_000.0)
    assert bed.wake() is None
    assert vendor.calls == ["short"] * 2
    vendor.errors.clear()
    cache.get(SHORT)
    kept.reschedule(SHORT)
    assert bed.nap() == 16.0
    assert vendor.calls == ["short"] * 3


def test_a_secret_that_cannot_be_read_now_is_read_again(
    kept: Refresher, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    vendor.errors["short"] = SecretError("The keyring is locked.")
    clock.advance(16.0)
    assert bed.wake() == 2.0


def test_an_api_that_hangs_holds_up_no_other_token(
    vendor: Vendor, clock: Clock, bed: Bed, launched: list[Callable[[], None]]
) -> None:
    cache = TokenCache(vendor, clock=clock, spawn=launched.append)
    refresher = refresher_of(cache, clock, bed)
    vendor.lives["other"] = 30.0
    cache.get(SHORT)
    cache.get(OTHER)
    refresher.keep(SHORT)
    bed.nap()
    refresher.keep(OTHER)
    assert bed.nap() == 16.0
    clock.advance(16.0)
    assert bed.wake() == 8.0  # "short" is under way, and hangs
    hanging = launched.pop()
    clock.advance(8.0)
    assert bed.wake() is None  # "other" is under way too
    launched.pop()()
    assert vendor.calls == ["short", "other", "other"]
    assert bed.nap() == 24.0
    hanging()
    assert vendor.calls == ["short", "other", "other", "short"]
    assert bed.nap() == 16.0
    refresher.stop()


def test_a_fetch_that_fails_counts_once_whatever_is_lost_meanwhile(
    vendor: Vendor, clock: Clock, bed: Bed, launched: list[Callable[[], None]]
) -> None:
    cache = TokenCache(vendor, clock=clock, spawn=launched.append)
    failed: list[Key] = []
    refresher = refresher_of(cache, clock, bed, on_failure=lambda key, _: failed.append(key))
    cache.get(SHORT)
    refresher.keep(SHORT)
    bed.nap()
    vendor.errors["short"] = NetworkError("gone")
    cache.forget(SHORT)
    refresher.reschedule_all()
    assert bed.nap() is None  # "short" is under way
    for _ in range(3):
        refresher.reschedule_all()
        assert bed.nap() is None
    launched.pop()()
    assert bed.nap() == 2.0
    assert failed == [SHORT]
    refresher.stop()


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), Busy("1000 calls are waiting.")])
def test_a_fetch_that_gets_no_thread_is_tried_again_and_holds_up_no_other(
    vendor: Vendor, clock: Clock, bed: Bed, error: Exception
) -> None:
    # "short" is tried first, and gets no thread at first.
    errors = [error]

    def spawn(work: Callable[[], None]) -> None:
        if errors:
            raise errors.pop()
        work()

    cache = TokenCache(vendor, clock=clock, spawn=spawn)
    refresher = refresher_of(cache, clock, bed)
    cache.get(SHORT)
    cache.get(OTHER)
    refresher.keep(SHORT)
    assert bed.nap() == 16.0
    refresher.keep(OTHER)
    assert bed.nap() == 16.0
    clock.advance(17.0)
    assert bed.wake() == 1.0
    assert vendor.calls == ["short", "other", "other"]
    clock.advance(1.0)
    assert bed.wake() == 15.0
    assert vendor.calls == ["short", "other", "other", "short"]
    refresher.stop()


def test_what_was_forgotten_is_not_asked_for(
    kept: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    kept.drop(SHORT)
    bed.nap()
    cache.forget(SHORT)
    kept.reschedule_all()
    clock.advance(100.0)
    assert bed.wake() is None
    assert vendor.calls == ["short"]


def test_what_a_changed_profile_has_lost_is_fetched_anew(
    kept: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    vendor.errors["short"] = NetworkError("gone")
    cache.forget(SHORT)
    kept.reschedule_all()
    # Tried again, less and less often, until it comes.
    assert bed.nap() == 2.0
    clock.advance(2.0)
    assert bed.wake() == 4.0
    assert vendor.calls == ["short"] * 3
    del vendor.errors["short"]
    clock.advance(4.0)
    bed.wake()
    assert vendor.calls == ["short"] * 4
    assert cache.held(SHORT) is not None


@pytest.mark.parametrize("error", [Unauthorized("no"), UnknownProfile("no"), ParameterError("no")])
def test_what_is_lost_and_cannot_be_had_is_not_asked_for_again(
    kept: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed, error: TokenError
) -> None:
    vendor.errors["short"] = error
    cache.forget(SHORT)
    kept.reschedule_all()
    bed.nap()
    for _ in range(3):
        clock.advance(1000.0)
        bed.wake()
    assert vendor.calls == ["short"] * 2


def test_stopping_ends_the_thread_and_it_can_be_started_again(
    refresher: Refresher, cache: TokenCache, clock: Clock, bed: Bed
) -> None:
    cache.get(SHORT)
    for _ in range(2):
        refresher.keep(SHORT)
        assert bed.nap() == 16.0
        assert [thread.daemon for thread in threads()] == [True]
        refresher.stop()
        assert not threads()
        assert not refresher.keeps(SHORT)
    refresher.stop()


def test_a_flight_that_lands_after_the_stop_disturbs_nobody(
    vendor: Vendor, clock: Clock, bed: Bed, launched: list[Callable[[], None]]
) -> None:
    cache = TokenCache(vendor, clock=clock, spawn=launched.append)
    refresher = refresher_of(cache, clock, bed)
    cache.get(SHORT)
    refresher.keep(SHORT)
    bed.nap()
    clock.advance(16.0)
    assert bed.wake() is None
    refresher.stop()
    launched.pop()()
    assert not threads()


def test_by_default_it_sleeps_on_the_machines_clock(clock: Clock) -> None:
    class Held:
        refresh_at = inf
        error: TokenError | None = None

    class Source:
        def held(self, key: Key) -> Held:
            return Held()

    refresher = Refresher(SimpleNamespace(source=Source()))  # type: ignore[arg-type]
    refresher.keep(SHORT)
    assert threads()
    refresher.stop()
    assert not threads()


def test_failures_of_what_is_kept_are_told(cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed) -> None:
    told: list[tuple[Key, TokenError]] = []
    refresher = refresher_of(cache, clock, bed, on_failure=lambda key, error: told.append((key, error)))
    cache.get(SHORT)
    refresher.keep(SHORT)
    bed.nap()
    vendor.errors["short"] = NetworkError("The line is dead.")
    clock.advance(16.0)
    bed.wake()
    ((key, error),) = told
    assert key == SHORT
    assert isinstance(error, NetworkError)
    vendor.errors["short"] = ZeroDivisionError()
    clock.advance(2.0)
    bed.wake()
    assert len(told) == 1
    refresher.stop()


def test_what_somebody_else_has_refreshed_is_not_refreshed_again(
    kept: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    clock.advance(10.0)
    cache.get(SHORT, refresh=True)
    kept.reschedule(SHORT)
    kept.reschedule(OTHER)
    clock.advance(6.0)
    assert bed.wake() == 10.0
    assert vendor.calls == ["short"] * 2


def test_a_successor_that_lives_shorter_is_refreshed_sooner(
    kept: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    vendor.lives["short"] = 5.0
    cache.get(SHORT, refresh=True)
    # It ends before the one that was held: the cache does not ask again at once.
    kept.reschedule(SHORT)
    nap = bed.nap()
    assert nap is not None
    assert nap < 16.0
    clock.advance(nap)
    bed.wake()
    assert vendor.calls == ["short"] * 3
    # The moment before means nothing any more.
    clock.advance(16.0 - nap)
    bed.wake()
    assert len(vendor.calls) <= 8


def test_it_looks_at_the_clock_when_it_is_told_to(
    refresher: Refresher, cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    vendor.lives["short"] = 3600.0
    cache.get(SHORT)
    refresher.keep(SHORT)
    bed.nap()
    clock.advance(3500.0)
    refresher.wake()
    assert bed.nap() == 30.0
    assert vendor.calls == ["short"] * 2


def test_at_rest_it_looks_at_the_clock_once_however_many_keys_there_are(
    cache: TokenCache, vendor: Vendor, clock: Clock, bed: Bed
) -> None:
    refresher = refresher_of(cache, clock, bed)
    for number in range(500):
        key = Key(f"profile-{number}")
        vendor.lives[key.profile] = 3600.0 + number
        cache.get(key)
        refresher.keep(key)
    while bed.naps.qsize():
        bed.nap()
    bed.wake()
    looks = clock.looks
    assert bed.wake() == 30.0
    assert clock.looks - looks == 1
    refresher.stop()


def test_a_thread_that_cannot_be_started_at_all_is_an_error_and_the_next_try_may_succeed(
    refresher: Refresher, cache: TokenCache, bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.get(SHORT)

    def full(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        with pytest.raises(RuntimeError):
            refresher.keep(SHORT)
    refresher.keep(SHORT)
    assert bed.nap() == 16.0


def test_in_a_forked_child_nothing_is_kept(kept: Refresher) -> None:
    # As a child sees it: the thread is not there. Here it is, and ends because it is not the refresher's any more.
    (thread,) = threads()
    condition = kept._changed
    kept.after_fork()
    assert not kept.keeps(SHORT)
    with condition:
        condition.notify_all()
    thread.join(ATTENTION)
    assert not thread.is_alive()
