"""Finds tokens in a notebook of format 4, and redacts them.

The strings of a notebook are joined and searched as one text, because most are short and each search has a fixed cost.
Only images and other binary data are searched separately.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .names import is_named, named_kind
from .shapes import find_shapes
from .values import Known, Span, merged

__all__ = ["Edits", "Finding", "Location", "Scan", "Target", "redact", "scan", "scan_text"]

Path = tuple[str | int, ...]
_NOTHING = Known({})
_PASSES = 3
_HOLDS = (str, dict, list)
_SHORTEST = 8
_SMALLEST_PICTURE = 256
# Separates two strings: no finding crosses it, and it ends a line.
_BREAK = "\n\0\n"


class Target(NamedTuple):
    """A string of the notebook: the value at `path`, or the field name at the end of `path` if `is_name`."""

    path: Path
    is_name: bool = False


Edits = Mapping[Target, tuple[str, str]]
"""The replacements: the old and the new text of each string."""


@dataclass(frozen=True)
class Location:
    """A place in a notebook, as messages name it. `cell` and `output` count from 1."""

    part: str
    cell: int | None = None
    cell_id: str | None = None
    output: int | None = None

    @property
    def may_change(self) -> bool:
        """Whether redaction may change this place by default: outputs and widget state, written by the kernel."""
        return self.part in {"output", "widget state"}

    def __str__(self) -> str:
        part = self.part if self.output is None else f"{self.part} {self.output}"
        return part if self.cell is None else f"cell {self.cell} {part}"


@dataclass(frozen=True)
class Finding:
    """A secret that was found, without its value. `line` counts from 1 within `place`; `length` is in characters."""

    place: Location
    line: int
    kind: str
    length: int

    def __str__(self) -> str:
        return f"{self.place}, line {self.line}: {self.kind} ({self.length} characters)"


class _Text(NamedTuple):
    """The text of one place.

    `lines` are the text's strings if `path` leads to a list of lines. `is_name`: the text is the name of a field.
    `is_picture`: the text is an image, a sound or the like in base64, which is only searched for known values.
    """

    path: Path
    content: str
    lines: list[str] | None = None
    is_name: bool = False
    is_picture: bool = False

    def targets(self) -> list[tuple[Target, str]]:
        """Return the strings of the notebook that make up this text, each with its target."""
        if self.lines is None:
            return [(Target(self.path, self.is_name), self.content)]
        return [(Target((*self.path, i)), line) for i, line in enumerate(self.lines)]


class Scan(NamedTuple):
    """The findings, and the replacements that remove them from the places that may change (see `scan`)."""

    findings: list[Finding]
    edits: Edits


def scan(notebook: Mapping[str, Any], known: Known = _NOTHING, *, everywhere: bool = False) -> Scan:
    """Find known values in a notebook, and keys and tokens by their format, context or name.

    The replacements change outputs and widget state. With `everywhere`, they also change sources, metadata and
    attachments.
    """
    ids = _cell_ids(notebook, known)
    findings: list[Finding] = []
    edits: dict[Target, tuple[str, str]] = {}
    used_names: dict[Path, set[str]] = {}
    texts = list(_texts(notebook))
    for text, spans in zip(texts, _spans(texts, known), strict=True):
        if spans:
            place = _place(text.path, ids)
            findings += _findings(place, text.content, spans)
            if everywhere or place.may_change:
                for (target, before), after in zip(text.targets(), _redacted_parts(text, spans, known), strict=True):
                    if before != after and target.is_name:
                        parent = target.path[:-1]
                        names = used_names.setdefault(parent, set(_node_at(notebook, parent)))
                        edits[target] = before, _unique_name(names, after)
                    elif before != after:
                        edits[target] = before, after
    return Scan(findings, edits)


def scan_text(text: str, known: Known = _NOTHING) -> list[Finding]:
    """Find tokens in a text that is not a notebook."""
    return list(_findings(Location("raw text"), text, merged([*known.spans(text), *find_shapes(text)])))


def _findings(place: Location, content: str, spans: Iterable[Span]) -> Iterator[Finding]:
    line, at = 1, 0
    for start, end, kind, _ in spans:
        line, at = line + content.count("\n", at, start), start
        yield Finding(place, line, kind, end - start)


def redact(notebook: MutableMapping[str, Any], edits: Edits) -> None:
    """Apply the replacements to the notebook, in place."""
    names = []
    for target, (before, after) in edits.items():
        parent = _node_at(notebook, target.path[:-1])
        if target.is_name:
            names.append((parent, before, after))
        else:
            parent[target.path[-1]] = after
    # Field names are changed last, because the paths of the other strings contain the old names.
    for parent, before, after in names:
        renamed = {after if name == before else name: value for name, value in parent.items()}
        parent.clear()
        parent.update(renamed)


def _unique_name(names: set[str], name: str) -> str:
    """Return `name`, with a number if it is in `names`, and add the result to `names`.

    Two redacted names may have the same label. Of two fields with the same name, one would be lost.
    """
    number, free = 1, name
    while free in names:
        number += 1
        free = f"{name} {number}"
    names.add(free)
    return free


def _node_at(node: Any, path: Path) -> Any:
    for step in path:
        node = node[step]
    return node


def _redacted_parts(text: _Text, spans: list[Span], known: Known) -> list[str]:
    parts = [text.content] if text.lines is None else text.lines
    for _ in range(_PASSES):
        parts = _replaced(parts, spans)
        # Next to the text that was removed, a further token may be recognisable now.
        (spans,) = _spans([text._replace(content="".join(parts))], known)
        if not spans:
            break
    return parts


def _replaced(parts: Sequence[str], spans: Sequence[Span]) -> list[str]:
    """Replace each span in a text by its label. The text is given and returned in parts.

    If a span crosses several parts, its label is put into the first part, and the rest of the span is removed.
    """
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


def _spans(texts: Sequence[_Text], known: Known) -> Iterator[list[Span]]:
    """Yield the findings of each text, in the order of the texts."""
    whole = _BREAK.join(text.content for text in texts if not text.is_picture)
    found = deque(sorted([*known.spans(whole), *find_shapes(whole)]))
    begin = 0
    for text in texts:
        if text.is_picture:
            yield merged(known.spans(text.content))
            continue
        end = begin + len(text.content)
        spans = []
        while found and found[0].start < end:
            span = found.popleft()
            if begin <= span.start and span.end <= end:
                spans.append(span._replace(start=span.start - begin, end=span.end - begin))
        spans += _field_span(text)
        begin = end + len(_BREAK)
        yield merged(spans)


def _field_span(text: _Text) -> Iterator[Span]:
    """Yield a span for the whole text if the name of its field, or of its column in a JSON table, suggests a secret."""
    if text.is_name or (text.lines and len(text.lines) > 1) or len(text.content) < _SHORTEST:
        return
    name = next((step for step in reversed(text.path) if isinstance(step, str) and not step.isdigit()), None)
    kind = named_kind(name) if name else None
    if name and kind and is_named(name, text.content):
        yield Span(0, len(text.content), kind, 2)


def _texts(notebook: Mapping[str, Any]) -> Iterator[_Text]:
    """Yield every string and every field name. A list of lines is one text, as front ends read it."""
    stack: list[tuple[Path, Any]] = [((), notebook)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, str):
            yield _Text(path, node, is_picture=len(node) > _SMALLEST_PICTURE and _is_picture(path))
        elif isinstance(node, dict):
            for name in node:
                yield _Text((*path, name), name, is_name=True)
            stack.extend([((*path, name), node[name]) for name in reversed(node) if isinstance(node[name], _HOLDS)])
        elif _is_lines(path, node):
            yield _Text(path, "".join(node), node, is_picture=_is_picture(path))
        else:
            # Numbers are left out, because a list of numbers may be long.
            stack.extend([((*path, i), node[i]) for i in reversed(range(len(node))) if isinstance(node[i], _HOLDS)])


def _is_lines(path: Path, node: Sequence[Any]) -> bool:
    """Whether a list is the lines of one text, by nbformat's schema (multiline_string) or by the line ends in it."""
    if not node or not all(isinstance(line, str) for line in node):
        return False
    match path:
        case ("cells", int(), "source") | ("cells", int(), "outputs", int(), "text"):
            return True
        case ("cells", int(), "outputs", int(), "data", str(kind)) | ("cells", int(), "attachments", str(), str(kind)):
            if kind != "application/json" and not kind.endswith("+json"):
                return True
    return all(line.endswith("\n") for line in node[:-1])


def _is_picture(path: Path) -> bool:
    match path:
        case ("cells", int(), "outputs", int(), "data", str(kind)) | ("cells", int(), "attachments", str(), str(kind)):
            return kind.startswith(_PICTURES) and kind != "image/svg+xml"
    return False


_PICTURES = ("image/", "audio/", "video/", "font/", "application/pdf")
_PARTS = {"source": "source", "outputs": "output", "attachments": "attachment"}


def _place(path: Path, ids: Mapping[int, str]) -> Location:
    match path:
        case ("cells", int(cell), "outputs", int(output), *_):
            return Location("output", cell + 1, ids.get(cell), output + 1)
        case ("cells", int(cell), part, *_):
            return Location(_PARTS.get(str(part), "metadata"), cell + 1, ids.get(cell))
        case ("metadata", "widgets", _, *_):
            return Location("widget state")
    return Location("metadata")


def _cell_ids(notebook: Mapping[str, Any], known: Known) -> dict[int, str]:
    """Return the ids of the cells by index, except ids that contain a secret."""
    cells = notebook.get("cells")
    ids = {
        index: cell["id"]
        for index, cell in enumerate(cells if isinstance(cells, list) else ())
        if isinstance(cell, dict) and isinstance(cell.get("id"), str)
    }
    found = _spans([_Text((), cell_id) for cell_id in ids.values()], known)
    return {index: cell_id for (index, cell_id), spans in zip(ids.items(), found, strict=True) if not spans}
