"""Renders tokens, notices and errors in a notebook: a token's state, expiry and places, but never its value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from .._util.html import as_html

if TYPE_CHECKING:
    from ..errors import TokenError
    from .status import Outcome

__all__ = [
    "MUTED",
    "Card",
    "Notice",
    "as_of",
    "box",
    "error_lines",
    "local_time",
    "login_button",
    "remaining",
    "source_name",
    "text_table",
]

# JupyterLab's CSS variables. The fallbacks, for front ends without them, are readable on light and dark backgrounds.
_BOX = (
    "display:inline-block;min-width:22em;padding:.6em .9em;border:1px solid var(--jp-border-color1,#9e9e9e);"
    "border-left:4px solid var(--jp-{accent}-color1,{fallback});border-radius:3px;"
    "font-family:var(--jp-ui-font-family,sans-serif);font-size:var(--jp-ui-font-size1,13px);line-height:1.5"
)
MUTED = "color:var(--jp-ui-font-color2,#757575)"
_ACCENTS = {"success": "#388e3c", "info": "#1976d2", "warn": "#f57c00"}
_BADGE = "border:1px solid currentColor;border-radius:3px;padding:0 .4em;margin-left:.6em;font-size:.85em"

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def remaining(seconds: float) -> str:
    """Format a time span: "42 s", "29 min", "23 h", "7 days"."""
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def local_time(moment: datetime, now: datetime) -> str:
    """Format a time in this machine's time zone: "15:02:11 CET", with the date unless it is today."""
    local = moment.astimezone()
    return f"{local:%H:%M:%S %Z}" if local.date() == now.astimezone().date() else f"{local:%Y-%m-%d %H:%M:%S %Z}"


def as_of(now: datetime) -> str:
    """Format the time of an output that is not updated later: "as of 14:03"."""
    return f"as of {now.astimezone():%H:%M}"


def source_name(mode: str) -> str:
    """Return a `TokenSource.mode` as it is shown to users: "server" as "Jupyter server", other modes unchanged."""
    return "Jupyter server" if mode == "server" else mode


def box(accent: str, html: str) -> str:
    """Put HTML into a box. The accent, "success", "info" or "warn", selects the colour of the border."""
    return f'<div style="{_BOX.format(accent=accent, fallback=_ACCENTS[accent])}">{html}</div>'


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows of equal length as lines, in columns as wide as their widest cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


@dataclass(frozen=True)
class Card:
    """A card with the result of a fetch.

    The plain text contains no absolute time, so that it is the same on each run: nbval and git compare outputs.

    Attributes
    ----------
    outcome : Outcome
        The result; the token's value is not shown.
    mode : str
        Where the token came from, see `TokenSource.mode`.
    now : datetime
        The current time, for the state and the time left.
    """

    outcome: Outcome
    mode: str
    now: datetime

    def _rows(self, *, plain: bool) -> list[tuple[str, str]]:
        token = self.outcome.token
        expired = False
        if token.expires_at is None:
            expiry = "not reported by the API" if token.has_value else "does not expire"
        else:
            left = (token.expires_at - self.now).total_seconds()
            expired = left <= 0
            if plain:
                life = (token.expires_at - token.obtained_at).total_seconds()
                # Rounded, because network delays change it by a second.
                expiry = f"{remaining(round(life, -1 if life >= _MINUTE else 0))} after it was fetched"
            else:
                expiry = local_time(token.expires_at, self.now) + ("" if expired else f" (in {remaining(left)})")
        state = "expired" if expired else "fresh"
        rows = [("state", state if plain else f"{state} {as_of(self.now)}"), ("expires", expiry)]
        if token.fields:
            rows.append(("values", ", ".join(token.fields)))
        if self.outcome.places:
            rows.append(("injected", ", ".join(map(str, self.outcome.places))))
            if token.expires_at is not None:
                rows.append(("kept fresh", "until the kernel ends" if self.outcome.kept_fresh else "no"))
        rows.append(("source", source_name(self.mode)))
        return rows

    def __repr__(self) -> str:
        about = self.outcome.about
        head = f"{self.outcome.token.profile} · {about.title}" + (" · sandbox" if about.sandbox else "")
        lines = [head, *(f"  {name}: {value}" for name, value in self._rows(plain=True))]
        return "\n".join([*lines, *(f"  {note}" for note in self.outcome.notes)])

    def _repr_html_(self) -> str:
        about = self.outcome.about
        badge = f'<span style="{_BADGE}">sandbox</span>' if about.sandbox else ""
        rows = "".join(
            f'<tr style="background:none"><td style="{MUTED};text-align:left;padding:0 1em 0 0">{as_html(name)}</td>'
            f'<td style="text-align:left;padding:0">{as_html(value)}</td></tr>'
            for name, value in self._rows(plain=False)
        )
        notes = "".join(f'<div style="{MUTED};max-width:44em">{as_html(note)}</div>' for note in self.outcome.notes)
        return box(
            "success",
            f"<div><strong>{as_html(self.outcome.token.profile)}</strong> "
            f'<span style="{MUTED}">{as_html(about.title)}</span>{badge}</div>'
            f'<table style="margin:.2em 0 0;border:none">{rows}</table>{notes}',
        )


def login_button(profile: str) -> str:
    """Render a button that starts a login in the panel. It stays hidden on pages without the panel's style sheet."""
    args = escape(json.dumps({"profile": profile}))
    return (
        '<button type="button" class="jp-Tokens-loginHere" style="display:none" '
        f'data-commandlinker-command="jupyter-tokens:log-in" data-commandlinker-args="{args}">Log in</button>'
    )


@dataclass(frozen=True)
class Notice:
    """A short message.

    Attributes
    ----------
    title : str
        The first line.
    lines : sequence of str
        Further lines.
    accent : {"info", "warn"}
        Selects the colour of the border.
    login : str
        Name of a profile, for a login button; "" for no button. Only pages that can log in show the button.
    """

    title: str
    lines: Sequence[str] = field(default=())
    accent: str = "info"
    login: str = ""

    def __repr__(self) -> str:
        return "\n".join([self.title, *(f"  {line}" for line in self.lines)])

    def _repr_html_(self) -> str:
        lines = "".join(f'<div style="max-width:60em">{as_html(line)}</div>' for line in self.lines)
        button = login_button(self.login) if self.login else ""
        return box(self.accent, f"<div><strong>{as_html(self.title)}</strong></div>{lines}{button}")


def error_lines(error: TokenError) -> list[str]:
    """Format an error to be shown instead of a traceback: message, HTTP status, vendor's code, request id and hint."""
    provider = error.provider if error.provider != error.profile else None
    subject = " ".join(part for part in (error.profile, f"({provider})" if provider else "") if part)
    lines = [f"TokenError: {subject + ': ' if subject else ''}{error.message}"]
    facts = [
        ("HTTP status", error.status),
        ("vendor's code", error.code),
        ("request id", error.request_id),
        ("what to do", error.hint),
    ]
    width = max(len(name) for name, _ in facts)
    return lines + [f"  {name:<{width}}  {fact}" for name, fact in facts if fact]
