"""Decodes text files that people and other programs write, and detects changes to them."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable
from contextlib import suppress

__all__ = ["NotText", "Stamp", "decode", "refuse_utf_16", "stamp"]

Stamp = tuple[tuple[str, int, int], ...]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotText(ValueError):
    """The bytes are not UTF-8. The message, such as "is not UTF-8 text", names no file and does not quote the bytes."""


def refuse_utf_16(data: bytes) -> None:
    """Raise `NotText` if the data begins with the byte order mark of UTF-16. Some Windows tools save text as UTF-16."""
    if data.startswith(_UTF_16):
        raise NotText("is UTF-16 text; save it as UTF-8")


def decode(data: bytes) -> str:
    """Decode UTF-8, whatever the locale, and drop the byte order mark that Windows editors add. Raises `NotText`."""
    refuse_utf_16(data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # `NotText` is raised below, outside this block, so that it is not chained to this error, which holds the data.
        pass
    raise NotText("is not UTF-8 text")


def stamp(files: Iterable[str | os.PathLike[str]]) -> Stamp:
    """Return a fingerprint of the files: path, mtime and size of each file that exists."""
    stamps = []
    for file in files:
        with suppress(OSError, ValueError):  # a string from the environment may not be a path
            status = os.stat(file)  # noqa: PTH116 (likewise)
            stamps.append((os.fspath(file), status.st_mtime_ns, status.st_size))
    return tuple(stamps)
