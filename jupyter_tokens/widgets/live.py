"""The base of both widgets: a box that is updated while it is shown, and a static table for pages without widgets.

Each session has one feed. A single thread of the feed renders all boxes that are shown, so that no two threads write to
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
from ..kernel.session import get_session
from . import markup

if TYPE_CHECKING:
    from ..kernel.session import TokenSession
    from ..kernel.status import Status
    from ..protocol.messages import ProfileEntry

__all__ = ["Feed", "Live", "Snapshot", "Viewer", "close_all", "get_feed"]

_TICK_SECONDS = 1.0
"""Time between two updates of a countdown, in seconds."""
_READ_SECONDS = 10.0
"""Time between two reads of a session, in seconds. A change that the session reports causes a read sooner, but the
session does not report changes in the configuration or on the server."""
_log = logging.getLogger(__name__)
READ_TIMEOUT_SECONDS = 2.0
"""Seconds that a cell waits for the profiles before it shows the widget without them."""
_feeds: WeakValueDictionary[int, Feed] = WeakValueDictionary()
_shown: WeakSet[Live] = WeakSet()


class Snapshot(NamedTuple):
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

    def render(self, snapshot: Snapshot, now: float) -> bool:
        """Render the result of a read; return whether a countdown is running. Called by one thread at a time."""


class Feed:
    """Reads one session, and renders the viewers of this session.

    Without viewers, the rendering thread does not run, and the session is not watched.

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
        self._snapshot: Snapshot | None = None
        self._thread: threading.Thread | None = None
        self._unwatch: Callable[[], None] | None = None
        self._reading = self._stale = False
        self._render_at = self._read_at = self._last_read_at = 0.0

    def read(self, timeout: float) -> Snapshot | None:
        """Read the session.

        Parameters
        ----------
        timeout : float
            The longest wait in seconds.

        Returns
        -------
        Snapshot or None
            The result. If reading takes longer, the previous result, or None if there is no previous result.
        """
        with self._changed:
            self._start_read()
            self._changed.wait_for(lambda: not self._reading, timeout)
            return self._snapshot

    def add(self, viewer: Viewer) -> None:
        """Render this viewer from now on."""
        with self._changed:
            if viewer in self._viewers:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jupyter_tokens widgets", daemon=True)
                # Before anything is recorded: with too many threads, `start` raises, and the next call tries again.
                thread.start()
                self._thread = thread
            if self._unwatch is None:
                self._unwatch = self.session.watch(self._on_change)
            self._viewers.append(viewer)
            self._start_read()
            self.render_now()

    def remove(self, viewer: Viewer) -> None:
        """Stop rendering this viewer. The thread ends when no viewer is left."""
        with self._changed:
            if viewer in self._viewers:
                self._viewers.remove(viewer)
            if not self._viewers and self._unwatch is not None:
                self._unwatch()
                self._unwatch = None
                self._changed.notify_all()

    def render_now(self) -> None:
        """Make the thread render all viewers now, for example after a click."""
        with self._changed:
            self._render_at = 0.0
            self._changed.notify_all()

    def read_now(self) -> None:
        """Start to read the session again, for example after an action. Does not block."""
        with self._changed:
            self._start_read()

    def _on_change(self) -> None:
        # Called by the session, on any thread. A burst of events causes one read.
        with self._changed:
            self._read_at = min(self._read_at, self._last_read_at + _TICK_SECONDS)
            self._changed.notify_all()

    def _run(self) -> None:
        while (viewers := self._until_due()) is not None:
            now, snapshot = self.clock.elapsed(), self._snapshot
            counting = [] if snapshot is None else [_render(each, snapshot, self.clock.now()) for each in viewers]
            if any(counting):
                with self._changed:
                    self._render_at = min(self._render_at, now + _TICK_SECONDS)

    def _until_due(self) -> tuple[Viewer, ...] | None:
        """Wait until it is time to render, and return the viewers; None if this thread has to end."""
        with self._changed:
            while self._viewers:
                now = self.clock.elapsed()
                if now >= self._read_at and not self._reading:
                    self._start_read()
                if now >= self._render_at:
                    self._render_at = inf
                    return tuple(self._viewers)
                due = self._render_at if self._reading else min(self._render_at, self._read_at)
                self._changed.wait(None if due == inf else due - now)
            self._thread = None
            return None

    def _start_read(self) -> None:
        self._stale = True
        if not self._reading:
            self._reading = True
            try:
                threading.Thread(target=self._read_all, name="jupyter_tokens widgets: read", daemon=True).start()
            except RuntimeError:
                # The process has too many threads; the next read is due as usual.
                self._begin_read()
                self._reading = False

    def _read_all(self) -> None:
        while self._begin_read():
            snapshot = self._read_session()
            with self._changed:
                self._snapshot, self._render_at = snapshot, 0.0
                self._changed.notify_all()

    def _begin_read(self) -> bool:
        """Note that a read begins, or that there is nothing more to read. Return whether a read begins."""
        with self._changed:
            self._reading, self._stale = self._stale, False
            if self._reading:
                self._last_read_at = self.clock.elapsed()
                self._read_at = self._last_read_at + _READ_SECONDS
            self._changed.notify_all()
            return self._reading

    def _read_session(self) -> Snapshot:
        try:
            entries = self.session.entries()
            statuses: dict[str, list[Status]] = {}
            for status in self.session.statuses():
                statuses.setdefault(status.profile, []).append(status)
            return Snapshot(entries, statuses, None)
        except TokenError as error:
            problem = error.copy()
        except Exception as error:
            # A bug in this package or in a provider. The error's text is left out, because it may contain a secret.
            _log.warning("The profiles could not be listed: %s", type(error).__name__)
            problem = TokenError(f"The profiles could not be listed: an unexpected error ({type(error).__name__}).")
        before = self._snapshot
        return Snapshot(before.entries if before else (), before.statuses if before else {}, problem)


def _render(viewer: Viewer, snapshot: Snapshot, now: float) -> bool:
    try:
        return viewer.render(snapshot, now)
    except Exception as error:
        # The error may be due to a widget that is being closed. The other widgets must still be rendered.
        _log.warning("A widget could not be drawn: %s", type(error).__name__)
        return False


def get_feed(session: TokenSession | None, clock: Clock | None = None) -> Feed:
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
        session = get_session(shell)
    feed = _feeds.get(id(session))
    if feed is None:
        feed = _feeds[id(session)] = Feed(session, clock)
    return feed


class Live(VBox):
    """A box that the session's feed renders while the box is shown: until its last view is gone, or until `close()`.

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
        self._notes = HTML(layout=Layout(display="none", margin="0", padding="0 8px", border_top=markup.RULE))
        super().__init__(**{VIEW_COUNT: 0})
        self._ended = False
        self.layout.width = "100%"
        self.layout.max_width = "72em"
        # No border at the top: the notes and each row have their own.
        self.layout.border_left = self.layout.border_right = self.layout.border_bottom = markup.RULE
        self.layout.margin = "2px 0"
        self.observe(self._on_view_count, VIEW_COUNT)
        snapshot = feed.read(READ_TIMEOUT_SECONDS)
        if snapshot is None:
            self._show_notes("<div>Reading the profiles …</div>")
        else:
            self.render(snapshot, feed.clock.now())

    def render(self, snapshot: Snapshot, now: float) -> bool:
        raise NotImplementedError

    def rows(self, snapshot: Snapshot) -> Sequence[tuple[ProfileEntry, Status | None]]:
        """Return the rows of the static table."""
        raise NotImplementedError

    def empty_text(self, snapshot: Snapshot) -> str:
        """Return the text to show instead of a static table without rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove the widget from the page. Running fetches go on; tokens and variables stay."""
        if self._ended:
            return
        self._ended = True
        self._feed.remove(self)
        _shown.discard(self)
        close_all(self, children_only=True)
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{' closed' if self._ended else ''}>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        self._record_cell()
        self._feed.add(self)
        snapshot, now = self._feed.read(READ_TIMEOUT_SECONDS), self._feed.clock.now()
        rows, notes = (
            ((), ["The profiles could not be listed in time. Run the cell again."])
            if snapshot is None
            else self._static(snapshot)
        )
        # For pages without widgets: nbconvert, e-mail, an editor without the renderer.
        return {
            **bundle,
            "text/plain": markup.static_text(rows, now, notes),
            "text/html": markup.static_html(rows, now, notes),
        }

    def _record_cell(self) -> None:
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

    def _static(self, snapshot: Snapshot) -> tuple[Sequence[tuple[ProfileEntry, Status | None]], list[str]]:
        rows = self.rows(snapshot)
        if snapshot.error is not None:
            return rows, [str(snapshot.error)]
        return rows, [] if rows else [self.empty_text(snapshot)]

    def _show_notes(self, html: str) -> None:
        self._notes.value = html
        self._notes.layout.display = None if html else "none"

    def _on_view_count(self, change: dict[str, Any]) -> None:
        if self._ended:
            return
        (self._feed.add if change["new"] else self._feed.remove)(self)


def _running_cell() -> tuple[str, str]:
    """Return the ids of the running cell and of this run. The cell's id is "" if the front end does not send it."""
    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent() if kernel is not None else {}
    return str(parent.get("metadata", {}).get("cellId") or ""), str(parent.get("header", {}).get("msg_id") or "")


def close_all(box: Box, *, children_only: bool = False) -> None:
    """Close everything in a box and, unless `children_only`, the box itself.

    `Widget.close` leaves children, layouts and styles behind.
    """
    for widget in list(_within(box)):
        widget.close()
    if not children_only:
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
