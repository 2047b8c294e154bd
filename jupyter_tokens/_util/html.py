"""Text as HTML that shows just that text in a notebook's output."""

from __future__ import annotations

from html import escape

__all__ = ["as_html"]


def as_html(text: str) -> str:
    r"""Escape a text for an element, not for an attribute.

    Front ends of Jupyter typeset what stands between two `$`, or `\(` and `\)`, as a formula, but not across elements.
    """
    return escape(text).replace("$", "<span>$</span>").replace("\\", "<span>\\</span>")
