"""Puts something in the place of an object's own attribute, so that exactly what was there can come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["replace"]

_ABSENT = object()


def replace(owner: Any, name: str, replacement: object) -> Callable[[], None]:
    """Sets an attribute of one object; returns what takes it back.

    If somebody has put theirs over ours by then, it stays, and goes on calling ours.
    """
    attributes = vars(owner)
    before = attributes.get(name, _ABSENT)
    setattr(owner, name, replacement)

    def restore() -> None:
        if attributes.get(name) is replacement:
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    return restore
