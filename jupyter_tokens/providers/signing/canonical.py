"""The canonical form of a request, which both signature algorithms sign."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ...token import Secret

__all__ = [
    "AccessKey",
    "Query",
    "canonical_headers",
    "canonical_query",
    "canonical_request",
    "hmac_sha256",
    "percent_encode",
    "sha256",
]

Query = Iterable[tuple[str, str]] | str
"""The query of a request: decoded names and values in any order, or the result of `canonical_query`."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key: its id, which is not secret, its secret, and the security token if the key is temporary."""

    id: str
    secret: Secret
    security_token: Secret | None = None


def sha256(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def hmac_sha256(key: str, text: str) -> str:
    """Return the hexadecimal HMAC-SHA256 of `text` with `key`, both encoded as UTF-8."""
    return hmac.digest(key.encode(), text.encode(), "sha256").hex()


def percent_encode(text: str) -> str:
    """Percent-encode (RFC 3986) all but ASCII letters, digits, `-`, `.`, `_` and `~`."""
    return quote(text, safe="")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the query string: names and values encoded as in RFC 3986, sorted and joined by `&`."""
    return "&".join(
        f"{name}={value}" for name, value in sorted((percent_encode(n), percent_encode(v)) for n, v in pairs)
    )


def canonical_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the block of `name:value` lines, and the names joined by `;`, both sorted by lower-case name."""
    lowered = sorted((name.lower(), value.strip()) for name, value in headers.items())
    return "".join(f"{name}:{value}\n" for name, value in lowered), ";".join(name for name, _ in lowered)


def canonical_request(
    method: str, uri: str, query: Query, headers: Mapping[str, str], payload_hash: str
) -> tuple[str, str]:
    """Return the hexadecimal SHA-256 of the canonical request, and the names of its headers joined by `;`.

    The canonical request consists of method, URI, query, headers, header names and the hash of the body, joined by line
    breaks.

    Parameters
    ----------
    method : str
        The HTTP method.
    uri : str
        The encoded path, in the form that the algorithm requires.
    query : Query
        Decoded names and values in any order, or the result of `canonical_query`.
    headers : Mapping
        The headers to sign, and no others.
    payload_hash : str
        Hexadecimal SHA-256 of the body.
    """
    block, names = canonical_headers(headers)
    text = "\n".join(
        (method.upper(), uri, query if isinstance(query, str) else canonical_query(query), block, names, payload_hash)
    )
    return sha256(text.encode()), names
