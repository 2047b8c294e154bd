"""Escapes text for HTML, so that a notebook's output shows it unchanged."""

from __future__ import annotations

from html import escape

__all__ = ["as_html"]


def as_html(text: str) -> str:
    r"""Escape text for the content of an HTML element, not for an attribute.

    Jupyter's front ends show text between two `$`, or between `\(` and `\)`, as a formula if both are in the same
    element. So each `$` and each backslash is put into a separate element.
    """
    return escape(text).replace("$", "<span>$</span>").replace("\\", "<span>\\</span>")
