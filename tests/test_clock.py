"""The machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_tokens import clock
from jupyter_tokens.clock import SystemClock, utc

from .doubles import NOW


def test_now_is_the_wall_clock() -> None:
    before = time.time()
    assert before <= SystemClock().now() <= time.time()


def test_elapsed_only_goes_forward() -> None:
    looks = [SystemClock().elapsed() for _ in range(100)]
    assert looks == sorted(looks)


def test_elapsed_counts_sleep_where_the_platform_can(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def elapsed(which: object) -> float:
        asked.append(which)
        return 7.0

    monkeypatch.setattr(time, "CLOCK_BOOTTIME", "boot", raising=False)
    monkeypatch.setattr(time, "clock_gettime", elapsed)
    assert clock._platform_elapsed()() == 7.0
    assert asked == ["boot"]


def test_elapsed_without_boottime_is_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "CLOCK_MONOTONIC", 7.0, raising=False)
    monkeypatch.setattr(time, "clock_gettime", lambda which: which)
    assert clock._platform_elapsed()() == 7.0


def test_elapsed_on_windows_is_pythons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.delattr(time, "CLOCK_MONOTONIC", raising=False)
    assert clock._platform_elapsed() is time.monotonic


def test_utc_is_aware() -> None:
    assert utc(NOW) == datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
    assert utc(NOW).utcoffset() == timedelta(0)
