"""`TokenCard`: one profile, with its parameters open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UnknownProfile
from ..providers.params import closest
from . import look
from .live import Live, feed_of
from .row import ProfileRow, best

if TYPE_CHECKING:
    from ..kernel.session import Status, TokenSession
    from ..protocol.messages import ProfileEntry
    from .feed import Seen

__all__ = ["TokenCard"]


class TokenCard(Live):
    """One profile with the state of its token, its parameters, and what can be done with it.

    profile : its name. params : the vendor's parameters by the vendor's names, entered at first.
    session : by default that of this kernel.

    Holds no token, shown or not. `close()` ends it.
    """

    def __init__(self, profile: str, /, *, session: TokenSession | None = None, **params: Any) -> None:
        self._profile = profile
        self._given = params
        self._row: ProfileRow | None = None
        super().__init__(feed_of(session))
        self._arrange()

    def draw(self, seen: Seen, now: float) -> bool:
        """See `Viewer.draw`."""
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
        """See `Live.rows`."""
        entry = self._entry(seen)
        return [] if entry is None else [(entry, best(seen.statuses.get(self._profile, [])))]

    def missing(self, seen: Seen) -> str:
        """See `Live.missing`."""
        return str(self._unknown(seen))

    def _arrange(self) -> None:
        self.children = (self._notes,) if self._row is None else (self._notes, self._row.box)

    def _entry(self, seen: Seen) -> ProfileEntry | None:
        return next((entry for entry in seen.entries if entry.name == self._profile), None)

    def _unknown(self, seen: Seen) -> UnknownProfile:
        hint = closest(self._profile, [entry.name for entry in seen.entries])
        return UnknownProfile(f"There is no profile {self._profile[:80]!r}.", hint=hint)
