"""The base of both widgets: a box that is updated while it is shown, and a static table for pages without widgets.

Each session has one feed. A single thread of the feed draws all boxes that are shown, so that no two threads write to
the same widget. The session is read on another thread, because reading may wait for the server, and a server that hangs
must not stop the countdowns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import WeakSet, WeakValueDictionary

from IPython.core.getipython import get_ipython
from ipywidgets import HTML, Box, Layout, VBox, Widget

from ..clock import Clock, SystemClock
from ..errors import TokenError
from ..kernel._compat import VIEW_COUNT
from ..kernel.session import session_of
from . import look

if TYPE_CHECKING:
    from ..kernel.session import TokenSession
    from ..kernel.status import Status
    from ..protocol.messages import ProfileEntry

__all__ = ["Feed", "Live", "Seen", "Viewer", "close_all", "feed_of"]

_TICK_SECONDS = 1.0
"""Time between two updates of a countdown, in seconds."""
_READ_SECONDS = 10.0
"""Time between two reads of a session, in seconds. A change that the session reports causes a read sooner, but the
session does not report changes in the configuration or on the server."""
_log = logging.getLogger(__name__)
PATIENCE_SECONDS = 2.0
"""Seconds that a cell waits for the profiles before it shows the widget without them."""
_feeds: WeakValueDictionary[int, Feed] = WeakValueDictionary()
_shown: WeakSet[Live] = WeakSet()


class Seen(NamedTuple):
    """The result of one read of a session.

    Attributes
    ----------
    entries : sequence of ProfileEntry
        The profiles.
    statuses : dict
        The states of the tokens, by profile.
    error : TokenError or None
        Why the profiles could not be listed; `entries` and `statuses` are then from the previous read. None if the
        profiles could be listed.
    """

    entries: Sequence[ProfileEntry]
    statuses: dict[str, list[Status]]
    error: TokenError | None


class Viewer(Protocol):
    """An object on the page that a feed keeps up to date."""

    def draw(self, seen: Seen, now: float) -> bool:
        """Draw the result of a read; return whether a countdown is running. Called by one thread at a time."""


class Feed:
    """Reads one session, and draws the viewers of this session.

    Without viewers, the drawing thread does not run, and the session is not watched.

    Parameters
    ----------
    session : TokenSession
        The session.
    clock : Clock, optional
        By default the system's clock.
    """

    def __init__(self, session: TokenSession, clock: Clock | None = None) -> None:
        self.session = session
        self.clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._viewers: list[Viewer] = []
        self._seen: Seen | None = None
        self._thread: threading.Thread | None = None
        self._unwatch: Callable[[], None] | None = None
        self._reading = self._stale = False
        self._draw_at = self._read_at = self._looked_at = 0.0

    def look(self, patience: float) -> Seen | None:
        """Read the session.

        Parameters
        ----------
        patience : float
            The longest wait in seconds.

        Returns
        -------
        Seen or None
            The result. If reading takes longer, the previous result, or None if there is no previous result.
        """
        with self._changed:
            self._read()
            self._changed.wait_for(lambda: not self._reading, patience)
            return self._seen

    def add(self, viewer: Viewer) -> None:
        """Draw this viewer from now on."""
        with self._changed:
            if viewer in self._viewers:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jupyter_tokens widgets", daemon=True)
                # Before anything is recorded: with too many threads, `start` raises, and the next call tries again.
                thread.start()
                self._thread = thread
            if self._unwatch is None:
                self._unwatch = self.session.watch(self._touched)
            self._viewers.append(viewer)
            self._read()
            self.draw_now()

    def remove(self, viewer: Viewer) -> None:
        """Stop drawing this viewer. The thread ends when no viewer is left."""
        with self._changed:
            if viewer in self._viewers:
                self._viewers.remove(viewer)
            if not self._viewers and self._unwatch is not None:
                self._unwatch()
                self._unwatch = None
                self._changed.notify_all()

    def draw_now(self) -> None:
        """Make the thread draw all viewers now, for example after a click."""
        with self._changed:
            self._draw_at = 0.0
            self._changed.notify_all()

    def read_now(self) -> None:
        """Start to read the session again, for example after an action. Does not block."""
        with self._changed:
            self._read()

    def _touched(self) -> None:
        # Called by the session, on any thread. A burst of events causes one read.
        with self._changed:
            self._read_at = min(self._read_at, self._looked_at + _TICK_SECONDS)
            self._changed.notify_all()

    def _run(self) -> None:
        while (seen_by := self._until_due()) is not None:
            now, seen = self.clock.elapsed(), self._seen
            counting = [_drawn(viewer, seen, self.clock.now()) for viewer in seen_by] if seen is not None else []
            if any(counting):
                with self._changed:
                    self._draw_at = min(self._draw_at, now + _TICK_SECONDS)

    def _until_due(self) -> tuple[Viewer, ...] | None:
        """Wait until it is time to draw, and return the viewers; None if this thread has to end."""
        with self._changed:
            while self._viewers:
                now = self.clock.elapsed()
                if now >= self._read_at and not self._reading:
                    self._read()
                if now >= self._draw_at:
                    self._draw_at = inf
                    return tuple(self._viewers)
                due = self._draw_at if self._reading else min(self._draw_at, self._read_at)
                self._changed.wait(None if due == inf else due - now)
            self._thread = None
            return None

    def _read(self) -> None:
        self._stale = True
        if not self._reading:
            self._reading = True
            try:
                threading.Thread(target=self._read_all, name="jupyter_tokens widgets: look", daemon=True).start()
            except RuntimeError:
                # The process has too many threads; the next read is due as usual.
                self._take_stale()
                self._reading = False

    def _read_all(self) -> None:
        while self._take_stale():
            seen = self._look()
            with self._changed:
                self._seen, self._draw_at = seen, 0.0
                self._changed.notify_all()

    def _take_stale(self) -> bool:
        """Note that a read begins, or that there is nothing more to read."""
        with self._changed:
            self._reading, self._stale = self._stale, False
            if self._reading:
                self._looked_at = self.clock.elapsed()
                self._read_at = self._looked_at + _READ_SECONDS
            self._changed.notify_all()
            return self._reading

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
            # A bug in this package or in a provider. The error's text is left out, because it may contain a secret.
            _log.warning("The profiles could not be listed: %s", type(error).__name__)
            problem = TokenError(f"The profiles could not be listed: an unexpected error ({type(error).__name__}).")
        before = self._seen
        return Seen(before.entries if before else (), before.statuses if before else {}, problem)


def _drawn(viewer: Viewer, seen: Seen, now: float) -> bool:
    try:
        return viewer.draw(seen, now)
    except Exception as error:
        # The error may be due to a widget that is being closed. The other widgets must still be drawn.
        _log.warning("A widget could not be drawn: %s", type(error).__name__)
        return False


def feed_of(session: TokenSession | None, clock: Clock | None = None) -> Feed:
    """Return the feed of a session. The default is the session of this process's IPython shell.

    Raises
    ------
    RuntimeError
        No session is given, and this process does not run IPython.
    """
    if session is None:
        shell = get_ipython()
        if shell is None:
            raise RuntimeError("The widgets need IPython: in a plain Python process, use get_token().")
        session = session_of(shell)
    feed = _feeds.get(id(session))
    if feed is None:
        feed = _feeds[id(session)] = Feed(session, clock)
    return feed


class Live(VBox):
    """A box that the session's feed draws while the box is shown: until its last view is gone, or until `close()`.

    The front end reports the number of views on the shell channel, where the report waits for the running cell. So a
    widget counts as shown as soon as a cell displays it.

    Parameters
    ----------
    feed : Feed
        The session's feed.
    """

    _feed: Feed
    _ended = True
    """True after `close()`, and until `__init__` has run: Python also closes an object whose `__init__` failed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        # The cells that show this widget, each with the id of its run.
        self._cells: dict[str, str] = {}
        self._notes = HTML(layout=Layout(display="none", margin="0", padding="0 8px", border_top=look.RULE))
        super().__init__(**{VIEW_COUNT: 0})
        self._ended = False
        self.layout.width = "100%"
        self.layout.max_width = "72em"
        # No border at the top: the notes and each row have their own.
        self.layout.border_left = self.layout.border_right = self.layout.border_bottom = look.RULE
        self.layout.margin = "2px 0"
        self.observe(self._views_counted, VIEW_COUNT)
        seen = feed.look(PATIENCE_SECONDS)
        if seen is None:
            self._say_notes("<div>Reading the profiles …</div>")
        else:
            self.draw(seen, feed.clock.now())

    def draw(self, seen: Seen, now: float) -> bool:
        raise NotImplementedError

    def rows(self, seen: Seen) -> Sequence[tuple[ProfileEntry, Status | None]]:
        """Return the rows of the static table."""
        raise NotImplementedError

    def missing(self, seen: Seen) -> str:
        """Return the text to show instead of a static table without rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove the widget from the page. Running fetches go on; tokens and variables stay."""
        if self._ended:
            return
        self._ended = True
        self._feed.remove(self)
        _shown.discard(self)
        close_all(self, but_itself=True)
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{' closed' if self._ended else ''}>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        self._shown_here()
        self._feed.add(self)
        seen, now = self._feed.look(PATIENCE_SECONDS), self._feed.clock.now()
        rows, notes = (
            ((), ["The profiles could not be listed in time. Run the cell again."])
            if seen is None
            else self._static(seen)
        )
        # For pages without widgets: nbconvert, e-mail, an editor without the renderer.
        return {
            **bundle,
            "text/plain": look.static_text(rows, now, notes),
            "text/html": look.static_html(rows, now, notes),
        }

    def _shown_here(self) -> None:
        """Record the running cell. Close the widgets that only its earlier runs showed: the page has dropped them."""
        cell, run = _running_cell()
        if cell:
            self._cells[cell] = run
            for other in list(_shown):
                other.run_again(cell, run)
            _shown.add(self)

    def run_again(self, cell: str, run: str) -> None:
        """Forget `cell` if it showed this widget in an earlier run than `run`. Close the widget if no cell is left."""
        if self._cells.get(cell, run) != run:
            del self._cells[cell]
            if not self._cells:
                self.close()

    def _static(self, seen: Seen) -> tuple[Sequence[tuple[ProfileEntry, Status | None]], list[str]]:
        rows = self.rows(seen)
        if seen.error is not None:
            return rows, [str(seen.error)]
        return rows, [] if rows else [self.missing(seen)]

    def _say_notes(self, html: str) -> None:
        self._notes.value = html
        self._notes.layout.display = None if html else "none"

    def _views_counted(self, change: dict[str, Any]) -> None:
        if self._ended:
            return
        (self._feed.add if change["new"] else self._feed.remove)(self)


def _running_cell() -> tuple[str, str]:
    """Return the ids of the running cell and of this run. The cell's id is "" if the front end does not send it."""
    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent() if kernel is not None else {}
    return str(parent.get("metadata", {}).get("cellId") or ""), str(parent.get("header", {}).get("msg_id") or "")


def close_all(box: Box, *, but_itself: bool = False) -> None:
    """Close everything in a box and, unless `but_itself`, the box itself.

    `Widget.close` leaves children, layouts and styles behind.
    """
    for widget in list(_within(box)):
        widget.close()
    if not but_itself:
        box.close()


def _within(box: Box) -> Iterator[Widget]:
    for child in box.children:
        if isinstance(child, Box):
            yield from _within(child)
        else:
            yield from _parts(child)
        yield child
    yield from _parts(box)


def _parts(widget: Widget) -> Iterator[Widget]:
    for name in ("layout", "style"):
        part = getattr(widget, name, None)
        if isinstance(part, Widget):
            yield part
