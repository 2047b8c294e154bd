"""Requests and responses as the APIs see them, independent of the HTTP implementation."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from .server import Connection

_NOT_UNRESERVED = re.compile(rb"[^A-Za-z0-9\-._~]")


def percent_encode(raw: bytes) -> str:
    """Percent-encode everything but the unreserved characters (RFC 3986), with hexadecimal digits in upper case."""
    return _NOT_UNRESERVED.sub(lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")


def form_pairs(encoded: str) -> list[tuple[bytes, bytes]]:
    """Decode a query or form to names and values, as bytes: a signature may cover bytes that are not UTF-8."""
    pairs = []
    for part in encoded.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return pairs


def text_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Decode names and values to text. Bytes that are not UTF-8 become U+FFFD, which is in no valid value."""
    return [(name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in pairs]


@dataclass
class Request:
    """One call. `target` and `path` are not decoded. Header names are in lower case; header values are latin-1 text."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    variant: str = ""
    """The planned fault that the API itself has to apply: one of `faults.TOKEN_KINDS`, or "" for none."""

    @cached_property
    def path(self) -> str:
        """The target before the question mark."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> list[tuple[bytes, bytes]]:
        """The query's decoded names and values, as bytes, in the order received."""
        return form_pairs(self.target.partition("?")[2])

    @cached_property
    def params(self) -> list[tuple[str, str]]:
        """The query's decoded names and values as text."""
        return text_pairs(self.query)

    @property
    def form(self) -> list[tuple[str, str]]:
        """The names and values of a form in the body, as text."""
        return text_pairs(form_pairs(self.body.decode("latin-1")))

    def values(self, name: str) -> list[str]:
        """Return all values of a header; `name` is in lower case."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None; `name` is in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters, in lower case; "" if there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    def credentials(self, scheme: str) -> str | None:
        """Return what follows `scheme` in Authorization; None if that header is missing or has another scheme."""
        given, _, rest = (self.header("authorization") or "").partition(" ")
        return rest.strip() if given.lower() == scheme.lower() else None

    def basic(self) -> tuple[str, str] | None:
        """Return the name and the password of Basic authentication; None if it is missing or malformed."""
        try:
            text = base64.b64decode(self.credentials("Basic") or "", validate=True).decode()
        except ValueError:
            return None
        name, colon, password = text.partition(":")
        return (name, password) if colon else None


Delivery = Callable[["Response", "Connection"], Awaitable[None]]


@dataclass
class Response:
    """A response. If `delivery` is given, that function sends the response, and the connection is then closed."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    delivery: Delivery | None = None

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        """Return a copy of the response with these headers added or replaced."""
        names = {name.lower() for name in headers}
        kept = [pair for pair in self.headers if pair[0].lower() not in names]
        return Response(self.status, self.body, [*kept, *headers.items()], self.delivery)


def json_response(
    status: int, payload: Any, headers: Iterable[tuple[str, str]] = (), media_type: str = "application/json"
) -> Response:
    """Create a JSON response."""
    body = json.dumps(payload).encode()
    return Response(status, body, [("Content-Type", media_type), *headers])


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the object that a JSON text contains; None if it contains anything else, or is not JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def whole_number(text: str, allowed: range) -> int | None:
    """Convert a text of ASCII digits to a number. Return None for any other text, or if the number is not allowed."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(allowed[-1]))):
        return None
    return int(text) if int(text) in allowed else None


def base64url(data: bytes) -> str:
    """Encode bytes in the URL-safe alphabet, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """Create a JSON Web Token."""
    signed = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{signed}.{base64url(sign(signed.encode()))}"
