"""What a run left behind, and the search of it for values that it must not hold; knows nothing of what left it."""

from __future__ import annotations

import html
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from jupyter_tokens._util.encodings import MIN_LENGTH
from jupyter_tokens.scan.values import Known

from .leveldb import blocks

_GZIP = b"\x1f\x8b\x08"


class Trace(NamedTuple):
    """Something that was left. kind : what sort of place. name : which one, without what is random in it."""

    kind: str
    name: str
    data: bytes


class Place(NamedTuple):
    """Where a value was found, and whose it is."""

    kind: str
    name: str
    whose: str


class Found(NamedTuple):
    """places : where a value is, and how many traces there hold it. sizes : traces and bytes searched, by kind."""

    places: Counter[Place]
    sizes: dict[str, tuple[int, int]]


class Search:
    """Looks for values in every form, in either encoding that a browser writes, also where they are compressed.

    whose : what each value is, by the value: ASCII, so that bytes can be searched as the text they are, and not short.
    """

    def __init__(self, whose: Mapping[str, str]) -> None:
        assert all(value.isascii() and len(value) >= MIN_LENGTH for value in whose)
        # What a page writes of a text leaves its quotes as they are.
        self._known = Known({html.escape(value, quote=False): it for value, it in whose.items()} | dict(whose))

    def found_in(self, data: bytes) -> set[str]:
        """Whose values are in it."""
        return {span.kind for layer in _layers(data) for span in self._known.spans(layer.decode("latin-1"))}

    def found(self, traces: Iterable[Trace]) -> Found:
        places: Counter[Place] = Counter()
        sizes: dict[str, tuple[int, int]] = {}
        for trace in traces:
            number, size = sizes.get(trace.kind, (0, 0))
            sizes[trace.kind] = number + 1, size + len(trace.data)
            # A name is written down as well.
            for whose in self.found_in(trace.data) | self.found_in(trace.name.encode()):
                places[Place(trace.kind, trace.name, whose)] += 1
        return Found(places, sizes)


def files(kind: str, folder: Path, *, below: Path | None = None) -> Iterator[Trace]:
    """Every file in a folder and all below it, named from there, or from `below`; of a link, where it leads."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(below or folder))
        if path.is_symlink():
            yield Trace(kind, name, bytes(path.readlink()))
        elif path.is_file():
            yield Trace(kind, name, path.read_bytes())


def _layers(data: bytes) -> Iterator[bytes]:
    for layer in (data, *blocks(data), *_unzipped(data)):
        yield layer
        if b"\0" in layer:
            # UTF-16 of ASCII is ASCII with zeros in between, whichever comes first.
            yield layer.replace(b"\0", b"")


def _unzipped(data: bytes) -> Iterator[bytes]:
    at = data.find(_GZIP)
    while at >= 0:
        # Three bytes may only look as if something were compressed.
        with suppress(zlib.error):
            yield zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data[at:])
        at = data.find(_GZIP, at + 1)
