"""Replaces strings in the text of JSON, and leaves every other line as it was, so that a diff shows nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .notebook import Edits, Target

__all__ = ["rewritten"]

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]')
_LONE = re.compile("[\ud800-\udfff]")


def rewritten(text: str, edits: Edits) -> str:
    """The text of a JSON document with these replacements. text : has been parsed, so that it is known to be JSON."""
    pieces: list[str] = []
    done = 0
    for target, start, end in _strings(text):
        if target in edits:
            literal = text[start:end]
            pieces += text[done:start], _encoded(edits[target][1], as_ascii=literal.isascii())
            done = end
    return "".join([*pieces, text[done:]])


def _encoded(value: str, *, as_ascii: bool) -> str:
    # Half of a pair can be written in JSON, but not in UTF-8.
    return _LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(value, ensure_ascii=as_ascii))


def _strings(text: str) -> Iterator[tuple[Target, int, int]]:
    """Every string literal with what it is and where it begins and ends."""
    # Of each open object the name that is current, of each open list the index.
    path: list[str | int] = []
    after_colon = False
    for token in _TOKEN.finditer(text):
        mark = token[0][0]
        if mark == '"':
            is_name = bool(path) and isinstance(path[-1], str) and not after_colon
            if is_name:
                path[-1] = json.loads(token[0], strict=False)
            yield Target(tuple(path), is_name), token.start(), token.end()
        elif mark in "{[":
            path.append("" if mark == "{" else 0)
        elif mark in "}]":
            path.pop()
        elif mark == "," and isinstance(path[-1], int):
            path[-1] += 1
        after_colon = mark == ":"
