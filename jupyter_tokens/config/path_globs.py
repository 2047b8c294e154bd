"""Matches paths of notebooks against globs, segment by segment, without exponential backtracking."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["MAX_GLOB_LENGTH", "matches", "normalised"]

MAX_GLOB_LENGTH = 1000
"""Maximum length of a glob, in characters."""
_MAX_PATH_LENGTH = 4096
_ANY = "**"


def normalised(path: str) -> str | None:
    """Normalise a path below the server's root: resolve `.` and `..`, and remove superfluous slashes.

    Returns None for the root itself, for a path outside the root, and for a path of more than 4096 characters.
    """
    normal = posixpath.normpath(path.strip("/"))
    return None if normal in {".", ".."} or normal.startswith("../") or len(path) > _MAX_PATH_LENGTH else normal


def matches(glob: str, path: str) -> bool:
    """Whether a path matches a glob. `*` and `?` match within a segment, `**` matches any number of segments.

    At the end, `**` matches at least one segment: `team/**` matches everything in `team`, but not `team` itself.
    """
    normal = normalised(path)
    return normal is not None and _segments_match(_compiled(glob), normal.split("/"))


@lru_cache(maxsize=512)
def _compiled(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """Return a pattern for each segment; None for `**`."""
    normal = normalised(glob)
    if normal is None:
        # A glob that leads out of the root matches nothing.
        return (re.compile(r"(?!)"),)
    segments = normal.split("/")
    if segments[-1] == _ANY:
        segments.append("*")
    # Patterns from `fnmatch` use atomic groups, which do not backtrack. Brackets in a glob are ordinary characters.
    return tuple(None if s == _ANY else re.compile(fnmatch.translate(s.replace("[", "[[]"))) for s in segments)


def _segments_match(glob: Sequence[re.Pattern[str] | None], path: Sequence[str]) -> bool:
    glob_index = path_index = resume = 0
    has_any = False
    while path_index < len(path):
        if glob_index < len(glob) and (pattern := glob[glob_index]) is None:
            glob_index, resume, has_any = glob_index + 1, path_index, True
            last = glob_index
        elif glob_index < len(glob) and pattern is not None and pattern.match(path[path_index]):
            glob_index, path_index = glob_index + 1, path_index + 1
        elif has_any:
            # Extend the last `**` by one segment; earlier ones never have to be extended again.
            resume += 1
            glob_index, path_index = last, resume
        else:
            return False
    return all(pattern is None for pattern in glob[glob_index:])
