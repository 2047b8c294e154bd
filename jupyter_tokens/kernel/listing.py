"""Renders the table of `%tokens`: tokens, places, states and errors, but never a value."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .._util.html import as_html
from ..errors import ServerGone, ServerUntrusted, TokenError
from ..protocol.proof import START_VARIABLE
from ..sources.cache import STATE_LABELS, Key
from .at_start import OK, filled_variables, outcomes
from .card import MUTED, as_of, box, local_time, remaining, source_name, text_table

if TYPE_CHECKING:
    from .session import TokenSession
    from .status import Status

__all__ = ["Listing", "make_listing"]

_HEADS = ("profile", "state", "expires", "where", "kept fresh")


@dataclass(frozen=True)
class Listing:
    """The tokens of a session.

    Attributes
    ----------
    statuses : sequence of Status
        A status for each row of the table.
    footer : sequence of str
        Sentences below the table.
    now : datetime
        The current time, to compute the time left.
    """

    statuses: Sequence[Status]
    footer: Sequence[str]
    now: datetime

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(Key(status.profile, tuple(status.params.items()))) + (" (sandbox)" if status.sandbox else ""),
                STATE_LABELS[status.state],
                self._expiry(status),
                ", ".join([*map(str, status.places), *(f"{place} (no longer there)" for place in status.changed)]),
                "yes" if status.kept_fresh else "no" if status.places else "",
            )
            for status in self.statuses
        ]

    def _expiry(self, status: Status) -> str:
        if status.expires_at is None:
            return ""
        left = (status.expires_at - self.now).total_seconds()
        return local_time(status.expires_at, self.now) + (f" (in {remaining(left)})" if left > 0 else "")

    def _problems(self) -> list[str]:
        return [str(status.error) for status in self.statuses if status.error is not None]

    def __repr__(self) -> str:
        rows = [_HEADS, *self._rows()] if self.statuses else []
        return "\n".join([*text_table(rows), *self._problems(), *self.footer])

    def _repr_html_(self) -> str:
        style = "text-align:left;padding:0 1.2em 0 0;background:none;vertical-align:top"
        heads = "".join(
            f'<th scope="col" style="{style};{MUTED};font-weight:normal;white-space:nowrap">{name}</th>'
            for name in _HEADS
        )
        rows = "".join(
            '<tr style="background:none">'
            + "".join(
                f'<td style="{style}{"" if head == "where" else ";white-space:nowrap"}">{as_html(cell)}</td>'
                for head, cell in zip(_HEADS, row, strict=True)
            )
            + "</tr>"
            for row in self._rows()
        )
        table = (
            f'<table style="margin:0;border:none"><thead style="border:none"><tr style="background:none">{heads}</tr>'
            f"</thead><tbody>{rows}</tbody></table>"
            if self.statuses
            else ""
        )
        problems = "".join(f'<div style="max-width:60em">{as_html(text)}</div>' for text in self._problems())
        notes = "".join(f'<div style="{MUTED};max-width:60em">{as_html(text)}</div>' for text in self.footer)
        return box("info", table + problems + notes)


def make_listing(session: TokenSession, now: datetime) -> Listing:
    """Return the table of a session's tokens. May request the profiles from the Jupyter server. Raises `TokenError`."""
    notes = []
    origins: dict[str, str] = {}
    try:
        origins = {entry.name: entry.origin for entry in session.entries() if entry.origin}
    except TokenError as error:
        if session.connection_error is None:
            notes.append(f"The profiles cannot be listed: {error}")
    statuses = session.statuses()
    unavailable = session.connection_error
    if unavailable is not None:
        is_unreachable = isinstance(unavailable, ServerGone) and not isinstance(unavailable, ServerUntrusted)
        what = f"The Jupyter server is not available: {unavailable.message}" if is_unreachable else unavailable.message
        alive = " Valid tokens are still used." if any(row.expires_at for row in statuses) else ""
        notes.append(f"{what}{alive} The next fetch tries again.")
    if not statuses and not notes:
        notes.append(
            "No profile is configured for this kernel: run `jupyter tokens add NAME` in a terminal, or try "
            "`jupyter tokens demo`."
        )
    for origin in dict.fromkeys(origins.values()):
        names = dict.fromkeys(row.profile for row in statuses if origins.get(row.profile) == origin)
        notes += [f"Fetched by {origin}: {', '.join(names)}."] if names else []
    held = {row.profile for row in statuses if row.places or row.expires_at is not None}
    handles = dict.fromkeys(str(Key(handle.profile, handle.params)) for handle in session.handles())
    notes += [f"Handles for workers, valid while this kernel runs: {', '.join(handles)}."] if handles else []
    notes += [*session.notices(), *_start_notes(held), f"source: {source_name(session.mode)}", as_of(now)]
    return Listing(statuses, notes, now)


def _start_notes(held: set[str]) -> list[str]:
    """Describe what the Jupyter server injected at the kernel's start, for profiles without a token in this session."""
    try:
        facts = outcomes(os.environ)
    except ValueError:
        problem = "does not hold what a Jupyter server writes there"
        return [f"${START_VARIABLE} {problem}, so it is unknown what was injected when the kernel started."]
    present = {filled.profile for filled in filled_variables(os.environ).values()}
    kept_fresh = "the Jupyter server keeps it fresh unless the notebook changes the variable"
    removed = "its variable no longer contains it"
    return [
        f"{name} was injected when the kernel started; {kept_fresh if name in present else removed}."
        if fact == OK
        else f"{f'{name} was not' if name else 'Nothing was'} injected when the kernel started: {fact}"
        for name, fact in facts.items()
        if name not in held
    ]
