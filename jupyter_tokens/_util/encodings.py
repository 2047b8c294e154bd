"""The encoded forms in which a value can appear in text: Python, JSON, URL, HTML, hex, base64."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

__all__ = ["MIN_LENGTH", "encoded_forms"]

MIN_LENGTH = 8
"""The shortest value to search for, in characters: shorter values would match unrelated text."""

# Most tokens and keys: the same in Python, JSON, URLs and HTML.
_PLAIN = re.compile(r"[\w.~-]*", re.ASCII)
_HTML_SAFE = {ord(char): f"\\u{ord(char):04x}" for char in "<>&'="}


def encoded_forms(value: str) -> frozenset[str]:
    """Return the value and its encoded forms, to search for; an empty set if it is shorter than `MIN_LENGTH`."""
    if len(value) < MIN_LENGTH:
        return frozenset()
    return frozenset(form for form in _encode(value) if len(form) >= MIN_LENGTH)


def _encode(value: str) -> Iterator[str]:
    yield value
    if _PLAIN.fullmatch(value) is None:
        yield ascii(value)[1:-1]
        yield repr(value)[1:-1]
        yield from _json(value)
        yield from _url(value)
        yield from _html(value)
    data = value.encode("utf-8", "surrogatepass")
    yield data.hex()
    yield data.hex().upper()
    yield from _base64(data)


def _json(value: str) -> Iterator[str]:
    for ensure_ascii in (True, False):
        text = json.dumps(value, ensure_ascii=ensure_ascii)[1:-1]
        yield text
        # JSON inside a string of JSON, as in messages of widgets.
        yield json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]
        # A legal escape, used to keep "</script>" out of HTML.
        yield text.replace("/", "\\/")
        yield text.translate(_HTML_SAFE)


def _url(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogatepass")
    for encoded in (quote(data, safe=""), quote(data, safe="/"), quote_plus(data)):
        yield encoded
        # Hex digits in a URL may have either case.
        yield "%".join(part if not i else part[:2].lower() + part[2:] for i, part in enumerate(encoded.split("%")))


def _html(value: str) -> Iterator[str]:
    escaped = html.escape(value)
    yield escaped
    # The escapes of Jinja and MarkupSafe.
    yield escaped.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    # The escapes in a page that a browser has saved.
    yield html.escape(value, quote=False)


def _base64(data: bytes) -> Iterator[str]:
    """Yield the part of the base64 text that does not depend on adjacent data, for each of the three alignments."""
    for offset in range(3):
        size = offset + len(data)
        encoded = b64encode(bytes(offset) + data).decode()[-(-offset * 8 // 6) : size * 8 // 6]
        yield encoded
        yield encoded.translate({ord("+"): "-", ord("/"): "_"})
