"""Closes widgets with all that belongs to them: `Widget.close` leaves children, layouts and styles behind."""

from __future__ import annotations

from collections.abc import Iterator

from ipywidgets import Box, Widget

__all__ = ["close_all"]


def close_all(box: Box, *, but_itself: bool = False) -> None:
    """Closes everything in a box, and the box."""
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
