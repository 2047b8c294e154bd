"""A request and an answer as the APIs see them; must not know sockets, h11 or any vendor."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

_NOT_UNRESERVED = re.compile(rb"[^A-Za-z0-9\-._~]")


def percent_encode(raw: bytes) -> str:
    """RFC 3986: everything but the unreserved characters becomes %XX, in upper case."""
    return _NOT_UNRESERVED.sub(lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")


def form_pairs(encoded: str) -> list[tuple[bytes, bytes]]:
    """The names and values of a query or form, decoded to bytes: a signature must survive what is not UTF-8."""
    pairs = []
    for part in encoded.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return pairs


def text_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """The same as text; what is not UTF-8 is replaced and so matches nothing."""
    return [(name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in pairs]


@dataclass
class Request:
    """One call: `path` and `query` as they stood on the wire, header names in lower case, values as latin-1 text."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    variant: str = ""
    """A planned fault that changes what the API says rather than how it is sent, such as `expired`."""

    @cached_property
    def path(self) -> str:
        """The target up to the question mark."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> list[tuple[bytes, bytes]]:
        """The decoded query, in the order of the wire."""
        return form_pairs(self.target.partition("?")[2])

    @cached_property
    def params(self) -> list[tuple[str, str]]:
        """The decoded query as text."""
        return text_pairs(self.query)

    def values(self, name: str) -> list[str]:
        """Every value of the header (its name in lower case)."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """The first value of the header (its name in lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters, in lower case; empty where there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    def credentials(self, scheme: str) -> str | None:
        """What follows `scheme` in the Authorization header, or None where that is another scheme or missing."""
        given, _, rest = (self.header("authorization") or "").partition(" ")
        return rest.strip() if given.lower() == scheme.lower() else None


class Wire(Protocol):
    """What a delivery may do to the connection."""

    async def head(self, response: Response, length: int | None) -> None:
        """Sends the status line and headers, announcing `length` bytes or, with None, chunks."""

    async def send(self, data: bytes) -> None:
        """Sends a part of the body."""

    async def finish(self) -> None:
        """Ends a chunked body."""

    async def idle(self, seconds: float | None) -> bool:
        """Waits, with None for good; False once the client has gone, faults were cleared or the server stops."""

    def reset(self) -> None:
        """Ends the connection with a RST."""


Delivery = Callable[["Response", Wire], Awaitable[None]]


@dataclass
class Response:
    """An answer; with a `delivery` it is not sent plainly and the connection ends after it."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    delivery: Delivery | None = None

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        """The same answer, these headers put in place of their namesakes."""
        names = {name.lower() for name in headers}
        kept = [pair for pair in self.headers if pair[0].lower() not in names]
        return Response(self.status, self.body, [*kept, *headers.items()], self.delivery)


def json_response(
    status: int, payload: Any, headers: Iterable[tuple[str, str]] = (), media_type: str = "application/json"
) -> Response:
    """An answer in JSON."""
    body = json.dumps(payload).encode()
    return Response(status, body, [("Content-Type", media_type), *headers])
