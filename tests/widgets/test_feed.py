"""The feed: one thread that draws, reads that cannot stop it, and nothing left when nobody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.widgets import live as feeds
from jupyter_tokens.widgets.live import Feed, Snapshot, get_feed

from .conftest import Viewer, threads, until


@pytest.fixture
def feed(session: TokenSession) -> Feed:
    return Feed(session)


def test_a_session_has_one_feed_for_as_long_as_somebody_holds_it(session: TokenSession) -> None:
    held = get_feed(session)
    assert get_feed(session) is held


def test_only_its_own_thread_draws_and_only_while_somebody_looks(feed: Feed) -> None:
    viewers = [Viewer(), Viewer()]
    for viewer in (*viewers, viewers[0]):
        feed.add(viewer)
    until(lambda: all(viewer.drawn for viewer in viewers))
    for viewer in viewers:
        assert set(viewer.drawn) == {"jupyter_tokens widgets"}
    feed.remove(viewers[0])
    assert "jupyter_tokens widgets" in threads()
    feed.remove(viewers[1])
    feed.remove(viewers[1])
    until(lambda: not threads())


def test_what_counts_down_is_drawn_again_and_what_does_not_is_left_alone(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_TICK_SECONDS", 0.02)
    still = Viewer()
    feed.add(still)
    seen = feed.read(30)
    until(lambda: still.seen is seen)
    count = len(still.drawn)
    time.sleep(0.2)
    # One may have been due already; ten ticks have passed.
    assert len(still.drawn) <= count + 1
    counting = Viewer(counts=True)
    feed.add(counting)
    until(lambda: len(counting.drawn) > 5)
    feed.remove(counting)
    feed.remove(still)


def test_a_read_that_hangs_stops_no_countdown(
    feed: Feed, session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_TICK_SECONDS", 0.02)
    counting = Viewer(counts=True)
    feed.add(counting)
    feed.read(30)
    until(lambda: counting.drawn)
    go_on, real = threading.Event(), session.entries

    def hang() -> Any:
        assert go_on.wait(30)
        return real()

    with monkeypatch.context() as patch:
        patch.setattr(session, "entries", hang)
        feed.read_now()
        before = len(counting.drawn)
        until(lambda: len(counting.drawn) > before + 3)
        go_on.set()
        feed.read(30)
    feed.remove(counting)


def test_a_burst_of_news_is_one_read_and_news_during_a_read_is_not_lost(
    feed: Feed, session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_TICK_SECONDS", 0.05)
    viewer, reads, real = Viewer(), [], session.statuses
    watchers: list[Callable[[], None]] = []

    def watch(on_change: Callable[[], None]) -> Callable[[], None]:
        watchers.append(on_change)
        return watchers.clear

    monkeypatch.setattr(session, "watch", watch)
    feed.add(viewer)
    (news,) = watchers
    feed.read(30)

    def told() -> Any:
        reads.append(1)
        if len(reads) == 1:
            news()
        return real()

    monkeypatch.setattr(session, "statuses", told)
    for _ in range(50):
        news()
    until(lambda: len(reads) == 2)
    time.sleep(0.3)
    assert len(reads) == 2
    feed.remove(viewer)


def test_a_viewer_that_fails_stops_no_other_and_is_told_by_name_only(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Viewer):
        def render(self, seen: Snapshot, now: float) -> bool:
            raise ZeroDivisionError("s3cret")

    broken, other = Broken(), Viewer()
    feed.add(broken)
    feed.add(other)
    until(lambda: other.drawn)
    assert "A widget could not be drawn: ZeroDivisionError" in caplog.text
    assert "s3cret" not in caplog.text
    feed.remove(broken)
    feed.remove(other)


def test_a_read_that_fails_by_mistake_is_an_error_to_show(
    feed: Feed, session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken() -> Any:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(session, "entries", mistaken)
    seen = feed.read(30)
    assert seen is not None
    assert "ZeroDivisionError" in str(seen.error)
    assert "s3cret" not in str(seen.error)


def test_without_a_thread_for_it_the_read_is_put_off(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        assert feed.read(30) is None
    assert feed.read(30) is not None


def test_a_thread_that_cannot_be_started_is_tried_again_by_the_next_call(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    viewer = Viewer()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="can't start"):
            feed.add(viewer)
    feed.add(viewer)
    until(lambda: viewer.drawn)
    feed.remove(viewer)
