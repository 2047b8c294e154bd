"""The driver's leases: renewed in time, issued again to an issuer that was started anew, revoked at the end."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Iterator

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import HandleRefused, NotGranted, ServerGone, TokenError
from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.sources.leases import Leases
from jupyter_tokens.sources.local import LocalSource

from ..doubles import Clock

DEADLINE = 60


class Source(LocalSource):
    """Notes what it is asked, and refuses what a test wants."""

    def __init__(self) -> None:
        super().__init__(Profiles.from_settings({}))
        self.asked: list[str] = []
        self.errors: dict[str, Exception] = {}

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if what in self.errors:
            raise self.errors[what]

    def renew(self, handle: Handle) -> None:
        self._note("renew")

    def issue(self, handle: Handle, lease: float) -> Handle:
        self._note("issue")
        return handle

    def revoke(self, handle: Handle) -> None:
        self._note("revoke")


class Sleeper:
    """Stops the thread where it would sleep, until a test lets time pass."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.naps: list[float] = []
        self._asleep = threading.Semaphore(0)
        self._passed = threading.Semaphore(0)
        self._over = threading.Event()

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        self.naps.append(seconds)
        self._asleep.release()
        changed.release()
        try:
            assert self._over.wait(0.001) or self._passed.acquire(timeout=DEADLINE)
        finally:
            changed.acquire()

    def asleep(self) -> float:
        """Waits until the thread sleeps; for how long it wants to."""
        assert self._asleep.acquire(timeout=DEADLINE)
        return self.naps[-1]

    def end(self) -> None:
        """From now on nothing sleeps."""
        self._over.set()
        self._passed.release()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self._passed.release()


@pytest.fixture
def sleeper(clock: Clock) -> Sleeper:
    return Sleeper(clock)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def leases(clock: Clock, sleeper: Sleeper) -> Iterator[Leases]:
    leases = Leases(clock=clock, wait=sleeper.wait)
    yield leases
    sleeper.end()
    leases.close()


def test_renewed_after_a_third_of_its_time(leases: Leases, source: Source, sleeper: Sleeper) -> None:
    leases.add(Handle.new("p", {}), source, 60.0)
    for _ in range(3):
        assert sleeper.asleep() == pytest.approx(20.0)
        sleeper.advance(20.0)
    sleeper.asleep()
    assert source.asked == ["renew"] * 3


def test_looks_at_the_clock_now_and_then(leases: Leases, source: Source, sleeper: Sleeper) -> None:
    leases.add(Handle.new("p", {}), source, 900.0)
    assert sleeper.asleep() == 30.0
    # The machine has slept.
    sleeper.advance(3600.0)
    sleeper.asleep()
    assert source.asked == ["renew"]


def test_an_issuer_that_was_started_anew_is_told_again(leases: Leases, source: Source, sleeper: Sleeper) -> None:
    source.errors["renew"] = HandleRefused("There is no such handle.")
    leases.add(Handle.new("p", {}), source, 60.0)
    sleeper.asleep()
    sleeper.advance(20.0)
    assert sleeper.asleep() == pytest.approx(20.0)
    assert source.asked == ["renew", "issue"]


@pytest.mark.parametrize("error", [ServerGone("gone"), ZeroDivisionError()])
def test_an_issuer_that_is_away_is_asked_again_soon(
    leases: Leases, source: Source, sleeper: Sleeper, error: Exception
) -> None:
    source.errors["renew"] = error
    leases.add(Handle.new("p", {}), source, 60.0)
    sleeper.asleep()
    sleeper.advance(20.0)
    assert sleeper.asleep() == pytest.approx(5.0)
    del source.errors["renew"]
    sleeper.advance(5.0)
    assert sleeper.asleep() == pytest.approx(20.0)


@pytest.mark.parametrize("error", [HandleRefused("It was revoked."), NotGranted("The grant was revoked.")])
def test_one_that_was_revoked_elsewhere_is_given_up(
    leases: Leases, source: Source, sleeper: Sleeper, caplog: pytest.LogCaptureFixture, error: TokenError
) -> None:
    source.errors = dict.fromkeys(("renew", "issue"), error)
    handle = Handle.new("p", {})
    leases.add(handle, source, 60.0)
    sleeper.asleep()
    sleeper.advance(20.0)
    sleeper.asleep()
    assert not leases.has(handle)
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "revoked" in record.getMessage()
    leases.revoke(handle)
    assert "revoke" not in source.asked


def test_revoked_at_the_end_even_if_one_cannot_be(leases: Leases, source: Source, sleeper: Sleeper) -> None:
    away = Source()
    away.errors["revoke"] = ServerGone("gone")
    mine = Handle.new("p", {})
    leases.add(Handle.new("p", {}), away, 60.0)
    leases.add(mine, source, 60.0)
    assert leases.has(mine)
    sleeper.end()
    leases.close()
    assert (away.asked, source.asked) == (["revoke"], ["revoke"])
    assert not leases.has(mine)


def test_the_end_of_the_process_is_awaited_once(
    leases: Leases, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[object] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    for _ in range(3):
        handle = Handle.new("p", {})
        leases.add(handle, source, 60.0)
        leases.revoke(handle)
    assert registered == [leases.close]


def test_a_forked_child_renews_and_revokes_nothing(leases: Leases, source: Source, sleeper: Sleeper) -> None:
    handle = Handle.new("p", {})
    leases.add(handle, source, 60.0)
    sleeper.asleep()
    leases.after_fork()
    assert not leases.has(handle)
    leases.close()
    assert source.asked == []
