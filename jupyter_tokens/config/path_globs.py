"""Matches paths of notebooks against globs, segment by segment, without exponential backtracking."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["LONGEST", "matches", "normalised"]

LONGEST = 1000
"""Maximum length of a glob, in characters."""
_LONGEST_PATH = 4096
_ANY = "**"


def normalised(path: str) -> str | None:
    """Normalise a path below the server's root: resolve `.` and `..`, and remove superfluous slashes.

    Returns None for the root itself, for a path outside the root, and for a path of more than 4096 characters.
    """
    inside = posixpath.normpath(path.strip("/"))
    return None if inside in {".", ".."} or inside.startswith("../") or len(path) > _LONGEST_PATH else inside


def matches(glob: str, path: str) -> bool:
    """Whether a path matches a glob. `*` and `?` match within a segment, `**` matches any number of segments.

    At the end, `**` matches at least one segment: `team/**` matches everything in `team`, but not `team` itself.
    """
    inside = normalised(path)
    return inside is not None and _segments_match(_compiled(glob), inside.split("/"))


@lru_cache(maxsize=512)
def _compiled(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """Return a pattern for each segment; None for `**`."""
    inside = normalised(glob)
    if inside is None:
        # A glob that leads out of the root matches nothing.
        return (re.compile(r"(?!)"),)
    segments = inside.split("/")
    if segments[-1] == _ANY:
        segments.append("*")
    # Patterns from `fnmatch` use atomic groups, which do not backtrack. Brackets in a glob are ordinary characters.
    return tuple(None if s == _ANY else re.compile(fnmatch.translate(s.replace("[", "[[]"))) for s in segments)


def _segments_match(glob: Sequence[re.Pattern[str] | None], path: Sequence[str]) -> bool:
    at = behind = resume = 0
    for_any = False
    while behind < len(path):
        if at < len(glob) and (pattern := glob[at]) is None:
            at, resume, for_any = at + 1, behind, True
            last = at
        elif at < len(glob) and pattern is not None and pattern.match(path[behind]):
            at, behind = at + 1, behind + 1
        elif for_any:
            # Extend the last `**` by one segment; earlier ones never have to be extended again.
            resume += 1
            at, behind = last, resume
        else:
            return False
    return all(pattern is None for pattern in glob[at:])
