"""What the widgets of a session look at, and the one thread that draws them; knows no widget.

Reading may ask the server, so it has a thread of its own, which ends with the answer: a server that hangs stops no
countdown. Only the drawing thread draws, so that no two threads write to one widget.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..clock import Clock, SystemClock
from ..errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..kernel.session import Status, TokenSession
    from ..protocol.messages import ProfileEntry

__all__ = ["Feed", "Seen", "Viewer"]

_TICK_SECONDS = 1.0
"""Between two drawings of a countdown."""
_READ_SECONDS = 10.0
"""After which the session is looked at again though it told of nothing: configuration and server change silently."""
_log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """One look at a session. error : why the profiles could not be listed."""

    entries: Sequence[ProfileEntry]
    statuses: dict[str, list[Status]]
    error: TokenError | None


class Viewer(Protocol):
    """What is drawn while it is shown."""

    def draw(self, seen: Seen, now: float) -> bool:
        """Draws what was seen; returns whether something counts down. Called by one thread at a time."""


class Feed:
    """The looks at one session, for those who are shown; without any it has no thread and watches nothing."""

    def __init__(self, session: TokenSession, clock: Clock | None = None) -> None:
        self.session = session
        self.clock = clock or SystemClock()
        self._changed = threading.Condition()
        # Held while the session is called, which meanwhile may be telling us of something, and wait for the other lock.
        self._joining = threading.Lock()
        self._viewers: list[Viewer] = []
        self._seen: Seen | None = None
        self._thread: threading.Thread | None = None
        self._unwatch: Callable[[], None] | None = None
        self._reading = self._stale = self._news = False
        self._draw_at = self._read_at = self._looked_at = 0.0
        self._drawing = threading.Lock()

    def look(self, patience: float) -> Seen | None:
        """How it is now, or how it last was if that takes longer than so many seconds; None if that was never."""
        with self._changed:
            self._read()
            self._changed.wait_for(lambda: not self._reading, patience)
            return self._seen

    def add(self, viewer: Viewer) -> None:
        """Draws this one too from now on."""
        with self._joining:
            with self._changed:
                if viewer in self._viewers:
                    return
                self._viewers.append(viewer)
                self._read()
                self.draw_now()
            if self._unwatch is None:
                self._unwatch = self.session.watch(self._touched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jupyter_tokens widgets", daemon=True)
                self._thread.start()

    def remove(self, viewer: Viewer) -> None:
        """Draws it no more; with the last one the thread ends."""
        with self._joining:
            with self._changed:
                if viewer in self._viewers:
                    self._viewers.remove(viewer)
                if self._viewers:
                    return
                self._thread = None
                self._changed.notify_all()
            if self._unwatch is not None:
                self._unwatch()
                self._unwatch = None

    def draw_now(self) -> None:
        """Has everything drawn at once: somebody has clicked."""
        with self._changed:
            self._draw_at = 0.0
            self._changed.notify_all()

    def read_now(self) -> None:
        """Looks at the session again, because an action has changed something."""
        with self._changed:
            self._read()

    def _touched(self) -> None:
        # Told by the session, on any thread. A burst of news is one look.
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (seen_by := self._until_due()) is not None:
            # A thread that ends may still be drawing when the next one begins.
            with self._drawing:
                now, seen = self.clock.elapsed(), self._seen
                counting = [_drawn(viewer, seen, self.clock.now()) for viewer in seen_by] if seen is not None else []
            if any(counting):
                with self._changed:
                    self._draw_at = min(self._draw_at, now + _TICK_SECONDS)

    def _until_due(self) -> tuple[Viewer, ...] | None:
        """Waits until there is something to draw; for whom, or None for the end."""
        me = threading.current_thread()
        with self._changed:
            while self._thread is me:
                now = self.clock.elapsed()
                if now >= self._due_to_read():
                    self._read()
                if now >= self._draw_at:
                    self._draw_at = inf
                    return tuple(self._viewers)
                due = min(self._draw_at, self._due_to_read())
                self._changed.wait(None if due == inf else due - now)
            return None

    def _due_to_read(self) -> float:
        if self._reading:
            return inf
        return self._looked_at + _TICK_SECONDS if self._news else self._read_at

    def _read(self) -> None:
        self._stale = True
        if not self._reading:
            self._reading = True
            try:
                threading.Thread(target=self._read_all, name="jupyter_tokens widgets: look", daemon=True).start()
            except RuntimeError:
                # The process has too many threads; the next look is due as always.
                self._read_ends()

    def _read_all(self) -> None:
        while self._take_stale():
            seen = self._look()
            with self._changed:
                self._seen, self._draw_at = seen, 0.0
                self._changed.notify_all()

    def _take_stale(self) -> bool:
        with self._changed:
            stale, self._stale = self._stale, False
            if stale:
                self._news = False
            else:
                self._read_ends()
            return stale

    def _read_ends(self) -> None:
        self._reading = False
        self._looked_at = self.clock.elapsed()
        self._read_at = self._looked_at + _READ_SECONDS
        self._changed.notify_all()

    def _look(self) -> Seen:
        try:
            entries = self.session.entries()
            statuses: dict[str, list[Status]] = {}
            for status in self.session.statuses():
                statuses.setdefault(status.profile, []).append(status)
            return Seen(entries, statuses, None)
        except TokenError as error:
            problem = error.copy()
        except Exception as error:
            # Our own mistake, or a provider's: told without its text, of which nobody knows what it holds.
            _log.warning("The profiles could not be listed: %s", type(error).__name__)
            problem = TokenError(f"The profiles could not be listed ({type(error).__name__}).")
        before = self._seen
        return Seen(before.entries if before else (), before.statuses if before else {}, problem)


def _drawn(viewer: Viewer, seen: Seen, now: float) -> bool:
    try:
        return viewer.draw(seen, now)
    except Exception as error:
        # A widget that is being closed at this moment does not stop the others.
        _log.warning("A widget could not be drawn: %s", type(error).__name__)
        return False
