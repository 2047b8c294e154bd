"""The recorded and the published signatures, in one form."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_tokens.providers.signing.canonical import sha256

from ...doubles import VECTORS, vector


@dataclass(frozen=True)
class Signed:
    """A request as it went over the wire, whose it is, and its signature."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes
    key_id: str
    secret: str
    security_token: str | None
    names: tuple[str, ...]
    authorization: str

    @property
    def signed_headers(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.lower() in self.names}

    def header(self, name: str) -> str:
        return {key.lower(): value for key, value in self.headers.items()}[name]


def sign(authorization: Callable[..., str], one: Signed, **changes: object) -> str:
    """The signature that an algorithm makes of it, or of what differs from it in something."""
    given: dict[str, object] = {
        "method": one.method,
        "path": one.path,
        "query": one.query,
        "headers": one.signed_headers,
        "payload_hash": sha256(one.body),
        "key_id": one.key_id,
        "key_secret": one.secret,
    }
    return authorization(**given | changes)


def _read(name: str) -> Signed | None:
    data = vector(name)
    if data.get("signature"):
        request, keys = data["request"], data["credentials"]
        headers = dict(request["headers"])
        return Signed(
            request["method"],
            request["path"],
            tuple((key, value) for key, value in request["query_decoded"]),
            headers,
            base64.b64decode(request["body_b64"]),
            keys.get("access_key_id") or keys["access_key"],
            keys.get("access_key_secret") or keys["secret_key"],
            keys.get("security_token"),
            tuple(data["signature"]["signed_headers"]),
            headers["Authorization"],
        )
    if "expected" in data:
        return Signed(
            data["method"],
            data["path"],
            tuple(dict(data["query"]).items()),
            data["headers"],
            data["body"].encode(),
            data.get("access_key_id") or data["access_key"],
            data.get("access_key_secret") or data["secret_key"],
            None,
            tuple(data["headers"]),
            data["expected"]["authorization"],
        )
    return None


def recorded(algorithm: str) -> dict[str, Signed]:
    found = {file.stem: _read(file.stem) for file in sorted(VECTORS.glob("*.json"))}
    return {name: one for name, one in found.items() if one is not None and one.authorization.startswith(algorithm)}
