"""The blocks of a LevelDB table, in which Chromium keeps a page's storage: there Snappy hides what was said before.

From LevelDB's doc/table_format.md and Snappy's format_description.txt, as far as it takes to see all values. What has
not been compacted into a table yet stands in a log, uncompressed.
"""

from __future__ import annotations

from collections.abc import Iterator

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_SNAPPY = 1
_LITERAL, _SHORT, _LONG = 0, 1, 2
_EXTRA = 60
"""A literal's length up to here stands in its tag; above it, the tag says in how many bytes it follows."""


def blocks(table: bytes) -> Iterator[bytes]:
    """The data blocks of a table as they were before compression; none of what is no table."""
    if not table.endswith(_MAGIC) or len(table) < _FOOTER:
        return
    footer = table[-_FOOTER:]
    at = _handle(footer, 0)[2]
    offset, size, _ = _handle(footer, at)
    for value in _values(_block(table, offset, size)):
        offset, size, _ = _handle(value, 0)
        yield _block(table, offset, size)


def _block(table: bytes, offset: int, size: int) -> bytes:
    data, kind = table[offset : offset + size], table[offset + size]
    return unsnappy(data) if kind == _SNAPPY else data


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Offset and size of a block, and where the handle ends."""
    offset, at = _number(data, at)
    size, at = _number(data, at)
    return offset, size, at


def _values(block: bytes) -> Iterator[bytes]:
    """What the entries of a block hold; their keys are left out."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    at = 0
    while at < end:
        _, at = _number(block, at)
        own, at = _number(block, at)
        size, at = _number(block, at)
        yield block[at + own : at + own + size]
        at += own + size


def unsnappy(data: bytes) -> bytes:
    """What was compressed."""
    size, at = _number(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        kind, at = tag & 3, at + 1
        if kind == _LITERAL:
            length = (tag >> 2) + 1
            if length > _EXTRA:
                extra = length - _EXTRA
                length = int.from_bytes(data[at : at + extra], "little") + 1
                at += extra
            out += data[at : at + length]
            at += length
            continue
        if kind == _SHORT:
            length, back = ((tag >> 2) & 7) + 4, (tag >> 5 << 8) | data[at]
            at += 1
        else:
            length, width = (tag >> 2) + 1, 2 if kind == _LONG else 4
            back = int.from_bytes(data[at : at + width], "little")
            at += width
        for _ in range(length):
            # It may copy what it has just written.
            out.append(out[-back])
    assert len(out) == size
    return bytes(out)


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
