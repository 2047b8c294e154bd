"""Walks a notebook of format 4, finds what should not be in it, and takes that out of its outputs; reads no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .known import Known
from .names import is_named, named_kind
from .shapes import shapes_in
from .span import Span, merged

__all__ = ["Edits", "Finding", "Place", "Scan", "Target", "redact", "scan"]

Path = tuple[str | int, ...]
_NOTHING = Known({})
_PASSES = 3
_HOLDS = (str, dict, list)


class Target(NamedTuple):
    """A string of the notebook: a value, or the name (`is_name`) under which `path` leads to one."""

    path: Path
    is_name: bool = False


Edits = Mapping[Target, tuple[str, str]]
"""What is to be replaced: each string, with what it was and what it becomes."""


@dataclass(frozen=True)
class Place:
    """Where in a notebook, for people. cell, output : counted from 1."""

    part: str
    cell: int | None = None
    cell_id: str | None = None
    output: int | None = None

    @property
    def may_change(self) -> bool:
        """Whether redaction may touch it: what a kernel wrote, never what a person did."""
        return self.part in {"output", "widget state"}

    def __str__(self) -> str:
        part = self.part if self.output is None else f"{self.part} {self.output}"
        return part if self.cell is None else f"cell {self.cell} {part}"


@dataclass(frozen=True)
class Finding:
    """What was found where. line : of that part's text, counted from 1. length : in characters. No value in it."""

    place: Place
    line: int
    kind: str
    length: int

    def __str__(self) -> str:
        return f"{self.place}, line {self.line}: {self.kind} ({self.length} characters)"


class _Text(NamedTuple):
    """Text of one place. targets : the strings that it is made of; more than one for a list of lines."""

    path: Path
    content: str
    targets: Sequence[tuple[Target, str]]
    name: str | None


class Scan(NamedTuple):
    """What was found, and what has to be replaced so that outputs and widget state are free of it."""

    findings: list[Finding]
    edits: Edits


def scan(notebook: Mapping[str, Any], known: Known = _NOTHING, *, everywhere: bool = False) -> Scan:
    """What stands in a notebook that should not: held values, and the five APIs' shapes.

    everywhere : edits for sources, metadata and attachments too.
    """
    ids = _cell_ids(notebook, known)
    findings: list[Finding] = []
    edits: dict[Target, tuple[str, str]] = {}
    taken: dict[Path, set[str]] = {}
    for text in _texts(notebook):
        spans = _spans(text, known)
        if spans:
            place = _place(text.path, ids)
            line, at = 1, 0
            for start, end, kind, _ in spans:
                line, at = line + text.content.count("\n", at, start), start
                findings.append(Finding(place, line, kind, end - start))
            if everywhere or place.may_change:
                for (target, before), after in zip(text.targets, _without(text, spans, known), strict=True):
                    if before != after and target.is_name:
                        parent = target.path[:-1]
                        names = taken.setdefault(parent, set(_at(notebook, parent)))
                        edits[target] = before, _added(names, after)
                    elif before != after:
                        edits[target] = before, after
    return Scan(findings, edits)


def redact(notebook: MutableMapping[str, Any], edits: Edits) -> None:
    """Makes the replacements in the notebook itself."""
    names = []
    for target, (before, after) in edits.items():
        parent = _at(notebook, target.path[:-1])
        if target.is_name:
            names.append((parent, before, after))
        else:
            parent[target.path[-1]] = after
    # Names last: until then every path leads to where it led.
    for parent, before, after in names:
        renamed = {after if name == before else name: value for name, value in parent.items()}
        parent.clear()
        parent.update(renamed)


def _added(names: set[str], name: str) -> str:
    """A name as the next of these: two tokens may stand under one mark, but two things under one name are one lost."""
    number, free = 1, name
    while free in names:
        number += 1
        free = f"{name} {number}"
    names.add(free)
    return free


def _at(node: Any, path: Path) -> Any:
    for step in path:
        node = node[step]
    return node


def _without(text: _Text, spans: list[Span], known: Known) -> list[str]:
    parts = [part for _, part in text.targets]
    for _ in range(_PASSES):
        parts = _replaced(parts, spans)
        # What was taken out can have hidden what stands beside it.
        spans = _spans(text._replace(content="".join(parts)), known)
        if not spans:
            break
    return parts


def _replaced(parts: Sequence[str], spans: Sequence[Span]) -> list[str]:
    """The parts of a text with a mark in each span's place; a span over several parts is marked in its first."""
    result = []
    begin = first = 0
    for part in parts:
        end = begin + len(part)
        pieces, at = [], begin
        while first < len(spans) and spans[first].start < end:
            span = spans[first]
            pieces.append(part[at - begin : max(span.start, begin) - begin])
            if span.start >= begin:
                pieces.append(span.mark)
            at = min(span.end, end)
            if span.end > end:
                break
            first += 1
        result.append("".join([*pieces, part[at - begin :]]))
        begin = end
    return result


def _spans(text: _Text, known: Known) -> list[Span]:
    content = text.content
    spans = [*known.spans(content), *shapes_in(content)]
    kind = named_kind(text.name) if text.name else None
    if kind and text.name and is_named(text.name, content):
        spans.append(Span(0, len(content), kind, 2))
    return merged(spans) if spans else spans


def _texts(notebook: Mapping[str, Any]) -> Iterator[_Text]:
    """Every string, in the order of the notebook; a list of lines as one text, as the front ends read it."""
    stack: list[tuple[Path, Any]] = [((), notebook)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, str):
            name = path[-1] if path else None
            yield _Text(path, node, ((Target(path), node),), name if isinstance(name, str) else None)
        elif isinstance(node, dict):
            for name in node:
                yield _Text((*path, name), name, ((Target((*path, name), is_name=True), name),), None)
            stack.extend([((*path, name), node[name]) for name in reversed(node) if isinstance(node[name], _HOLDS)])
        elif _is_lines(node):
            yield _Text(path, "".join(node), [(Target((*path, i)), line) for i, line in enumerate(node)], None)
        else:
            # Lists of numbers are long.
            stack.extend([((*path, i), node[i]) for i in reversed(range(len(node))) if isinstance(node[i], _HOLDS)])


def _is_lines(node: Sequence[Any]) -> bool:
    return bool(node) and isinstance(node[-1], str) and all(isinstance(n, str) and n.endswith("\n") for n in node[:-1])


_PARTS = {"source": "source", "outputs": "output", "attachments": "attachment"}


def _place(path: Path, ids: Mapping[int, str]) -> Place:
    match path:
        case ("cells", int(cell), "outputs", int(output), *_):
            return Place("output", cell + 1, ids.get(cell), output + 1)
        case ("cells", int(cell), part, *_):
            return Place(_PARTS.get(str(part), "metadata"), cell + 1, ids.get(cell))
        case ("metadata", "widgets", _, *_):
            return Place("widget state")
    return Place("metadata")


def _cell_ids(notebook: Mapping[str, Any], known: Known) -> dict[int, str]:
    """Ids of cells by their index, without those in which something was found themselves."""
    ids = {}
    cells = notebook.get("cells")
    for index, cell in enumerate(cells if isinstance(cells, list) else ()):
        cell_id = cell.get("id") if isinstance(cell, dict) else None
        if isinstance(cell_id, str) and not _spans(_Text((), cell_id, (), None), known):
            ids[index] = cell_id
    return ids
