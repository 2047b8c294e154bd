"""A piece of text that should not be there; its value is never part of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Span", "matches", "merged"]


class Span(NamedTuple):
    """From `start` to `end` of a text. kind : what is there. doubt : 0 for a held value; the higher, the less sure."""

    start: int
    end: int
    kind: str
    doubt: int

    @property
    def mark(self) -> str:
        """What takes its place."""
        return f"[{self.kind}]"


def merged(spans: Iterable[Span]) -> list[Span]:
    """In their order, those that overlap as one, under the kind that is surest."""
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
    """Where an expression matches that begins with this literal: twice as fast as `finditer`, where it is rare."""
    at = text.find(mark)
    while at >= 0:
        found = pattern.match(text, at)
        if found:
            yield found
        at = text.find(mark, at + 1)
