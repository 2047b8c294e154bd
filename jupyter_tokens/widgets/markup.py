"""Renders profiles, states and errors as HTML and as text: escaped, in JupyterLab's colours, without tokens' values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from .._util.html import as_html
from ..errors import LoginNeeded
from ..kernel.card import MUTED, login_button, text_table
from ..sources.cache import STATE_LABELS

if TYPE_CHECKING:
    from ..errors import TokenError
    from ..kernel.status import Status
    from ..protocol.messages import ProfileEntry
    from ..sources.cache import State

__all__ = ["RULE", "countdown", "failure", "head", "note", "places", "state", "static_html", "static_text"]

RULE = "1px solid var(--jp-border-color2,#9e9e9e)"
"""The CSS of a separating line."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_CUT = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
_BADGE = "border:1px solid currentColor;border-radius:3px;padding:0 .4em;font-size:.8em;line-height:1.5"
_COLORS = {
    "fresh": "var(--jp-success-color1,#388e3c)",
    "aging": "var(--jp-warn-color1,#f57c00)",
    "expired": "var(--jp-error-color1,#d32f2f)",
    "failed": "var(--jp-error-color1,#d32f2f)",
    "none": "var(--jp-border-color1,#9e9e9e)",
    "login": "var(--jp-warn-color1,#f57c00)",
}
_COLUMNS = ("profile", "provider", "state", "expires", "where")


def countdown(seconds: float) -> str:
    """Format the remaining time: "59:58", from an hour on "23 h 59 min", from two days on "7 days"."""
    left = max(int(seconds), 0)
    if left >= 2 * _DAY:
        return f"{seconds / _DAY:.0f} days"
    if left >= _HOUR:
        return f"{left // _HOUR} h {left % _HOUR // _MINUTE} min"
    return f"{left // _MINUTE}:{left % _MINUTE:02}"


def head(entry: ProfileEntry) -> str:
    """Render the name and the provider of a profile."""
    badge = f'<span style="{MUTED};{_BADGE}">sandbox</span>' if entry.sandbox else ""
    return (
        f'<div style="display:flex;gap:.6em;align-items:center;overflow:hidden"><strong>{escape(entry.name)}</strong>'
        f'<span style="{MUTED};{_CUT}" title="{escape(entry.title)}">{escape(entry.title)}</span>{badge}</div>'
    )


def state(status: Status | None, now: float, others: int = 0) -> str:
    """Render the state of a token and its countdown.

    Parameters
    ----------
    status : Status or None
        The token's status; None if there is no token.
    now : float
        The current time in seconds since the epoch.
    others : int
        Number of the profile's tokens with other parameters.
    """
    token_state, left = _state(status, now)
    word = escape(STATE_LABELS[token_state])
    remaining = "" if left is None else f' <span style="font-variant-numeric:tabular-nums">{countdown(left)}</span>'
    more = f' <span style="{MUTED}" title="tokens with other parameters">+{others}</span>' if others else ""
    until = f' title="until {_until(status)}"' if left is not None else ""
    # The word says the same as the colour, for people who do not see the colour.
    return (
        f'<div style="{_CUT}"{until}><span aria-hidden="true" style="color:{_COLORS[token_state]}">&#9679;</span>'
        f" {word}{remaining}{more}</div>"
    )


def places(status: Status | None) -> str:
    """Render the places into which a token was put."""
    if status is None or not status.places:
        return ""
    where = ", ".join(str(place) for place in status.places)
    kept = "kept fresh" if status.kept_fresh else "not kept fresh"
    return f'<div style="{MUTED};{_CUT}" title="{escape(where)}, {kept}">&#8594; {escape(where)}</div>'


def note(lines: Iterable[str]) -> str:
    """Render short notes, such as the outcome of an action."""
    return "".join(f'<div role="status" style="{MUTED};line-height:1.5">{escape(line)}</div>' for line in lines)


def failure(error: TokenError, *, offer_login: bool = False) -> str:
    """Render an error: the message, the vendor's code and request id, and the hint.

    With `offer_login`, an error that needs a login also gets a login button.
    """
    facts = [
        f"HTTP {error.status}" if error.status is not None else "",
        f"code {error.code}" if error.code else "",
        f"request id {error.request_id}" if error.request_id else "",
    ]
    details = " · ".join(fact for fact in facts if fact)
    lines = [
        f"<div>{escape(error.message)}</div>",
        f'<div style="{MUTED}">{escape(details)}</div>' if details else "",
        f"<div>{escape(error.hint)}</div>" if error.hint else "",
        login_button(error.profile) if offer_login and isinstance(error, LoginNeeded) and error.profile else "",
    ]
    return (
        f'<div role="alert" style="border-left:3px solid {_COLORS["failed"]};padding-left:.7em;line-height:1.5;'
        f'overflow-wrap:anywhere">{"".join(lines)}</div>'
    )


def static_text(rows: Sequence[tuple[ProfileEntry, Status | None]], now: float, notes: Sequence[str] = ()) -> str:
    """Render the rows as a plain-text table, for front ends without widgets."""
    table = [_COLUMNS, *(_cells(entry, status, now) for entry, status in rows)]
    return "\n".join([*(text_table(table) if rows else ()), *notes])


def static_html(rows: Sequence[tuple[ProfileEntry, Status | None]], now: float, notes: Sequence[str] = ()) -> str:
    """Render the rows as an HTML table, for front ends without widgets."""
    cell = '<{0} style="text-align:left;padding:0 1em 0 0;{1}">{2}</{0}>'
    lines = [
        "<tr>" + "".join(cell.format("td", "", as_html(text)) for text in _cells(entry, status, now)) + "</tr>"
        for entry, status in rows
    ]
    names = "".join(cell.format("th", MUTED, name) for name in _COLUMNS)
    table = f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(lines)}</tbody></table>" if rows else ""
    return table + "".join(f"<div>{as_html(text)}</div>" for text in notes)


def _state(status: Status | None, now: float) -> tuple[State, float | None]:
    """Return state and remaining seconds at `now`: a token may have expired since the session was read."""
    if status is None:
        return "none", None
    if status.expires_at is None or status.state not in {"fresh", "aging"}:
        return status.state, None
    left = status.expires_at.timestamp() - now
    return (status.state, left) if left > 0 else ("expired", None)


def _until(status: Status | None) -> str:
    return f"{status.expires_at.astimezone():%Y-%m-%d %H:%M:%S %Z}" if status is not None and status.expires_at else ""


def _cells(entry: ProfileEntry, status: Status | None, now: float) -> tuple[str, ...]:
    state, left = _state(status, now)
    where = ", ".join(str(place) for place in status.places) if status is not None else ""
    title = entry.title + (" (sandbox)" if entry.sandbox else "")
    error = entry.error or (status.error if status is not None else None)
    failed = STATE_LABELS["login" if state == "login" else "failed"]
    shown = STATE_LABELS[state] if error is None else f"{failed}: {error.message}"
    return entry.name, title, shown, _until(status) if left is not None else "", where
