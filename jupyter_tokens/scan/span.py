"""`Span`: the position and kind of a finding in a text, without its value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Span", "matches", "merged"]


class Span(NamedTuple):
    """A finding from `start` to `end` of a text. `doubt` is 0 for a known value; the higher, the less certain."""

    start: int
    end: int
    kind: str
    doubt: int

    @property
    def mark(self) -> str:
        """The text that replaces it."""
        return f"[{self.kind}]"


def merged(spans: Iterable[Span]) -> list[Span]:
    """Sort spans, and merge overlapping ones into one with the most certain kind."""
    result: list[Span] = []
    for span in sorted(spans):
        last = result[-1] if result else None
        if last is None or span.start >= last.end:
            result.append(span)
        else:
            surest = min(last, span, key=lambda each: each.doubt)
            result[-1] = surest._replace(start=last.start, end=max(last.end, span.end))
    return result


def matches(mark: str, pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of an expression that begins with this literal: twice as fast as `finditer` if it is rare."""
    at = text.find(mark)
    while at >= 0:
        found = pattern.match(text, at)
        if found:
            yield found
        at = text.find(mark, at + 1)
