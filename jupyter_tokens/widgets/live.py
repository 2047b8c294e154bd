"""A box that looks at a session while it is shown, and is a static table where no widget can be; knows no profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, WeakValueDictionary

from IPython.core.getipython import get_ipython
from ipywidgets import HTML, Box, Layout, VBox, Widget

from ..kernel._compat import VIEW_COUNT
from ..kernel.session import session_of
from . import look
from .feed import Feed, Seen

if TYPE_CHECKING:
    from ..clock import Clock
    from ..kernel.session import Status, TokenSession
    from ..protocol.messages import ProfileEntry

__all__ = ["Live", "close_all", "feed_of"]

_PATIENCE_SECONDS = 2.0
"""How long a cell waits for the profiles before it shows the widget without them."""
_feeds: WeakValueDictionary[int, Feed] = WeakValueDictionary()
_shown: WeakSet[Live] = WeakSet()


def feed_of(session: TokenSession | None, clock: Clock | None = None) -> Feed:
    """The one feed of a session; by default of this kernel's."""
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
    """Drawn by its session's feed from when it is shown until no view of it is left, or until `close()`.

    The front end counts the views. It does so on the shell's channel, on which a cell that runs holds it up: so a
    widget counts as shown from the moment in which a cell shows it.
    """

    _feed: Feed
    _ended = True
    """Until it is made: Python collects, and so closes, also what could not be made."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._cells: dict[str, str] = {}
        self._notes = HTML(layout=Layout(display="none", margin="0", padding="0 8px", border_top=look.RULE))
        super().__init__(**{VIEW_COUNT: 0})
        self._ended = False
        self.layout.width = "100%"
        self.layout.max_width = "72em"
        # Its top is the first row's.
        self.layout.border_left = self.layout.border_right = self.layout.border_bottom = look.RULE
        self.layout.margin = "2px 0"
        self.observe(self._views_counted, VIEW_COUNT)
        seen = feed.look(_PATIENCE_SECONDS)
        if seen is None:
            self._say_notes("<div>The profiles are being asked for …</div>")
        else:
            self.draw(seen, feed.clock.now())

    def draw(self, seen: Seen, now: float) -> bool:
        """See `Viewer.draw`."""
        raise NotImplementedError

    def rows(self, seen: Seen) -> Sequence[tuple[ProfileEntry, Status | None]]:
        """What the static table lists."""
        raise NotImplementedError

    def missing(self, seen: Seen) -> str:
        """What it says where there are no rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends it, and takes it out of the page. What is being fetched goes on; tokens and variables stay."""
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
        seen, now = self._feed.look(_PATIENCE_SECONDS), self._feed.clock.now()
        rows, notes = ((), ["The profiles could not be listed in time."]) if seen is None else self._static(seen)
        # For whoever has no widgets: nbconvert, a mail, an editor without the renderer.
        return {
            **bundle,
            "text/plain": look.static_text(rows, now, notes),
            "text/html": look.static_html(rows, now, notes),
        }

    def _shown_here(self) -> None:
        """Closes what an earlier run of this cell showed, and no other cell: the page has dropped it."""
        cell, run = _running_cell()
        if cell:
            self._cells[cell] = run
            for other in list(_shown):
                other.run_again(cell, run)
            _shown.add(self)

    def run_again(self, cell: str, run: str) -> None:
        """Forgets a cell that showed this in another run; closes it if that was the last one."""
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
    """Id of the notebook's cell that runs, "" where the front end does not tell it, and of this run of it."""
    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent() if kernel is not None else {}
    return str(parent.get("metadata", {}).get("cellId") or ""), str(parent.get("header", {}).get("msg_id") or "")


def close_all(box: Box, *, but_itself: bool = False) -> None:
    """Close everything in a box, and the box: `Widget.close` leaves children, layouts and styles behind."""
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
