"""The two widgets: `TokenPanel`, a list of all profiles of a session, and `TokenCard`, a single profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ipywidgets import Layout, Text, VBox

from .._util.hints import closest
from ..errors import UnknownProfile
from . import markup
from .live import Live, get_feed
from .row import ProfileRow, best

if TYPE_CHECKING:
    from ..kernel.session import TokenSession
    from ..kernel.status import Status
    from ..protocol.messages import ProfileEntry
    from .live import Snapshot

__all__ = ["TokenCard", "TokenPanel"]

_MAX_ROWS = 25
"""Maximum number of rows shown. The filter finds the other profiles. A row has about twenty models in the browser."""


class TokenPanel(Live):
    """Lists the configured profiles with the states of their tokens, and buttons for actions.

    The widget's models never contain a token. `close()` removes the widget from the page.

    Parameters
    ----------
    session : TokenSession, optional
        By default this kernel's session.
    """

    def __init__(self, *, session: TokenSession | None = None) -> None:
        self._rows: dict[str, ProfileRow] = {}
        self._filter = Text(
            placeholder="Filter profiles",
            tooltip="Show profiles whose names contain this text",
            layout=Layout(width="auto", margin="4px 8px"),
        )
        self._filter.observe(self._on_filter, "value")
        self._list = VBox()
        super().__init__(get_feed(session))
        self.children = (self._filter, self._notes, self._list)

    def render(self, snapshot: Snapshot, now: float) -> bool:
        word = self._filter.value.strip().lower()
        found = [entry for entry in snapshot.entries if word in entry.name.lower()]
        self._filter.layout.display = None if len(snapshot.entries) > _MAX_ROWS else "none"
        self._arrange(found[:_MAX_ROWS])
        notes = markup.failure(snapshot.error) if snapshot.error is not None else ""
        if not snapshot.entries and not notes:
            notes = markup.note([self.empty_text(snapshot)])
        elif len(found) > _MAX_ROWS:
            notes += markup.note([f"{len(found) - _MAX_ROWS} more profiles: type part of a name above to find them."])
        self._show_notes(notes)
        counting = [row.render(snapshot.statuses.get(name, []), now) for name, row in self._rows.items()]
        return any(counting)

    def rows(self, snapshot: Snapshot) -> Sequence[tuple[ProfileEntry, Status | None]]:
        return [(entry, best(snapshot.statuses.get(entry.name, []))) for entry in snapshot.entries]

    def empty_text(self, snapshot: Snapshot) -> str:
        return "No profile is configured: run `jupyter tokens add NAME` in a terminal."

    def _arrange(self, entries: Sequence[ProfileEntry]) -> None:
        """Create rows for new and changed profiles. Keep the other rows, with the values that were entered in them."""
        before = self._rows
        rows = {
            entry.name: before[entry.name]
            if entry.name in before and before[entry.name].shows(entry)
            else ProfileRow(self._feed, entry)
            for entry in entries
        }
        if list(rows.values()) == list(before.values()):
            return
        self._rows = rows
        self._list.children = tuple(row.box for row in rows.values())
        for name, row in before.items():
            if rows.get(name) is not row:
                row.close()

    def _on_filter(self, _change: dict[str, Any]) -> None:
        self._feed.render_now()


class TokenCard(Live):
    """Shows one profile: the state of its token, its parameters, and buttons for actions.

    The widget's models never contain a token. `close()` removes the widget from the page.

    Parameters
    ----------
    profile : str
        Name of the profile.
    session : TokenSession, optional
        By default this kernel's session.
    **params
        Initial request parameters, by the vendor's names.
    """

    def __init__(self, profile: str, /, *, session: TokenSession | None = None, **params: Any) -> None:
        self._profile = profile
        self._given = params
        self._row: ProfileRow | None = None
        super().__init__(get_feed(session))
        self._arrange()

    def render(self, snapshot: Snapshot, now: float) -> bool:
        entry = self._entry(snapshot)
        if entry is None:
            self._show_notes(markup.failure(snapshot.error or self._unknown(snapshot)))
            return False
        self._show_notes(markup.failure(snapshot.error) if snapshot.error is not None else "")
        if self._row is None or not self._row.shows(entry):
            before, self._row = self._row, ProfileRow(self._feed, entry, self._given, opened=True)
            self._arrange()
            if before is not None:
                before.close()
        return self._row.render(snapshot.statuses.get(self._profile, []), now)

    def rows(self, snapshot: Snapshot) -> Sequence[tuple[ProfileEntry, Status | None]]:
        entry = self._entry(snapshot)
        return [] if entry is None else [(entry, best(snapshot.statuses.get(self._profile, [])))]

    def empty_text(self, snapshot: Snapshot) -> str:
        return str(self._unknown(snapshot))

    def _arrange(self) -> None:
        self.children = (self._notes,) if self._row is None else (self._notes, self._row.box)

    def _entry(self, snapshot: Snapshot) -> ProfileEntry | None:
        return next((entry for entry in snapshot.entries if entry.name == self._profile), None)

    def _unknown(self, snapshot: Snapshot) -> UnknownProfile:
        hint = closest(self._profile, [entry.name for entry in snapshot.entries])
        return UnknownProfile(f"There is no profile {self._profile[:80]!r}.", hint=hint)
