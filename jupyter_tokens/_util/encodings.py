"""The forms in which a value can stand in text: JSON, URL, HTML, hex, base64; knows nothing of what a value is."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

__all__ = ["SHORTEST", "forms_of"]

SHORTEST = 8
"""Characters that a value has at least: a shorter one would be found in text that has nothing to do with it."""

_HTML_SAFE = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&'="}


def forms_of(value: str) -> frozenset[str]:
    """Every form of a value to look for, itself among them; none of a value shorter than `SHORTEST`."""
    if len(value) < SHORTEST:
        return frozenset()
    return frozenset(form for form in _written(value) if len(form) >= SHORTEST)


def _written(value: str) -> Iterator[str]:
    yield value
    yield ascii(value)[1:-1]
    yield repr(value)[1:-1]
    yield from _json(value)
    yield from _url(value)
    escaped = html.escape(value)
    yield escaped
    # What Jinja and MarkupSafe write.
    yield escaped.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    # What stands in a page that a browser has written.
    yield html.escape(value, quote=False)
    data = value.encode("utf-8", "surrogatepass")
    yield data.hex()
    yield data.hex().upper()
    yield from _base64(data)


def _json(value: str) -> Iterator[str]:
    for ensure_ascii in (True, False):
        once = json.dumps(value, ensure_ascii=ensure_ascii)[1:-1]
        yield once
        # JSON that is itself a string of JSON, as messages of widgets are.
        yield json.dumps(once, ensure_ascii=ensure_ascii)[1:-1]
        # Legal, and what keeps "</script>" out of HTML.
        yield once.replace("/", "\\/")
        yield once.translate(_HTML_SAFE)


def _url(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogatepass")
    for encoded in (quote(data, safe=""), quote(data, safe="/"), quote_plus(data)):
        yield encoded
        # Who reads a URL takes either case, so both are written.
        yield "%".join(part if not i else part[:2].lower() + part[2:] for i, part in enumerate(encoded.split("%")))


def _base64(data: bytes) -> Iterator[str]:
    """The part that is the same whatever stands before and after, for each of the three ways in which it can begin."""
    for lead in range(3):
        size = lead + len(data)
        encoded = b64encode(bytes(lead) + data).decode()[-(-lead * 8 // 6) : size * 8 // 6]
        yield encoded
        yield encoded.translate({ord("+"): "-", ord("/"): "_"})
