"""Hints for misspelt names in error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest"]


def closest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: the most similar known name, or else all known names."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Known: {', '.join(names)}." if names else "There are no names to choose from."
