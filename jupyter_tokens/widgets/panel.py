"""The two widgets: `TokenPanel`, a list of all profiles of a session, and `TokenCard`, a single profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ipywidgets import Layout, Text, VBox

from .._util.hints import closest
from ..errors import UnknownProfile
from . import look
from .live import Live, feed_of
from .row import ProfileRow, best

if TYPE_CHECKING:
    from ..kernel.session import TokenSession
    from ..kernel.status import Status
    from ..protocol.messages import ProfileEntry
    from .live import Seen

__all__ = ["TokenCard", "TokenPanel"]

_MOST_ROWS = 25
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
        self._filter.observe(self._filtered, "value")
        self._list = VBox()
        super().__init__(feed_of(session))
        self.children = (self._filter, self._notes, self._list)

    def draw(self, seen: Seen, now: float) -> bool:
        word = self._filter.value.strip().lower()
        found = [entry for entry in seen.entries if word in entry.name.lower()]
        self._filter.layout.display = None if len(seen.entries) > _MOST_ROWS else "none"
        self._arrange(found[:_MOST_ROWS])
        notes = look.failure(seen.error) if seen.error is not None else ""
        if not seen.entries and not notes:
            notes = look.note([self.missing(seen)])
        elif len(found) > _MOST_ROWS:
            notes += look.note([f"{len(found) - _MOST_ROWS} more profiles: type part of a name above to find them."])
        self._say_notes(notes)
        counting = [row.draw(seen.statuses.get(name, []), now) for name, row in self._rows.items()]
        return any(counting)

    def rows(self, seen: Seen) -> Sequence[tuple[ProfileEntry, Status | None]]:
        return [(entry, best(seen.statuses.get(entry.name, []))) for entry in seen.entries]

    def missing(self, seen: Seen) -> str:
        return "No profile is configured: run `jupyter tokens add NAME` in a terminal."

    def _arrange(self, entries: Sequence[ProfileEntry]) -> None:
        """Create rows for new and changed profiles. Keep the other rows, with the values that were entered in them."""
        kept = self._rows
        rows = {
            entry.name: kept[entry.name]
            if entry.name in kept and kept[entry.name].shows(entry)
            else ProfileRow(self._feed, entry)
            for entry in entries
        }
        if list(rows.values()) == list(kept.values()):
            return
        self._rows = rows
        self._list.children = tuple(row.box for row in rows.values())
        for name, row in kept.items():
            if rows.get(name) is not row:
                row.close()

    def _filtered(self, _change: dict[str, Any]) -> None:
        self._feed.draw_now()


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
        super().__init__(feed_of(session))
        self._arrange()

    def draw(self, seen: Seen, now: float) -> bool:
        entry = self._entry(seen)
        if entry is None:
            self._say_notes(look.failure(seen.error or self._unknown(seen)))
            return False
        self._say_notes(look.failure(seen.error) if seen.error is not None else "")
        if self._row is None or not self._row.shows(entry):
            before, self._row = self._row, ProfileRow(self._feed, entry, self._given, opened=True)
            self._arrange()
            if before is not None:
                before.close()
        return self._row.draw(seen.statuses.get(self._profile, []), now)

    def rows(self, seen: Seen) -> Sequence[tuple[ProfileEntry, Status | None]]:
        entry = self._entry(seen)
        return [] if entry is None else [(entry, best(seen.statuses.get(self._profile, [])))]

    def missing(self, seen: Seen) -> str:
        return str(self._unknown(seen))

    def _arrange(self) -> None:
        self.children = (self._notes,) if self._row is None else (self._notes, self._row.box)

    def _entry(self, seen: Seen) -> ProfileEntry | None:
        return next((entry for entry in seen.entries if entry.name == self._profile), None)

    def _unknown(self, seen: Seen) -> UnknownProfile:
        hint = closest(self._profile, [entry.name for entry in seen.entries])
        return UnknownProfile(f"There is no profile {self._profile[:80]!r}.", hint=hint)
