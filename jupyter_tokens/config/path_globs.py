"""Matches paths of notebooks with globs, segment by segment and in linear time; reads no file."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["LONGEST", "matches", "normalised"]

LONGEST = 1000
"""Characters that a glob may have at most."""
_LONGEST_PATH = 4096
_ANY = "**"


def normalised(path: str) -> str | None:
    """A path below the server's root in its one form: without `.`, `..`, empty segments and slashes around it.

    None for a path that leads out of the root, or to the root itself.
    """
    inside = posixpath.normpath(path.strip("/"))
    return None if inside in {".", ".."} or inside.startswith("../") or len(path) > _LONGEST_PATH else inside


def matches(glob: str, path: str) -> bool:
    """Whether a path matches, as in a shell: `*` and `?` stay within a segment, a segment `**` is any number of them.

    At the end `**` is at least one segment, so that `team/**` is what is in `team`, and not `team` itself.
    """
    inside = normalised(path)
    return inside is not None and _segments_match(_compiled(glob), inside.split("/"))


@lru_cache(maxsize=512)
def _compiled(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """One pattern a segment; None for `**`."""
    inside = normalised(glob)
    if inside is None:
        # Of a glob that leads out of the root, nothing is inside.
        return (re.compile(r"(?!)"),)
    segments = inside.split("/")
    if segments[-1] == _ANY:
        segments.append("*")
    # `fnmatch` makes atomic groups, which never try again. Brackets are parts of names here.
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
            # The last `**` takes one segment more; the ones before it need never be looked at again.
            resume += 1
            at, behind = last, resume
        else:
            return False
    return all(pattern is None for pattern in glob[at:])
