"""SDK-HMAC-SHA256, the signature of Huawei Cloud and T Cloud; knows nothing of any API that is called with it.

Source: Huawei Cloud, "API Signing Guide", api-sign-algorithm-001 to 005.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import httpx

from ...clock import utc
from .canonical import AccessKey, Query, SigningAuth, canonical_request, hmac_sha256, sha256, split_target

__all__ = ["ALGORITHM", "SdkHmacAuth", "authorization", "signed_headers", "timestamp"]

ALGORITHM = "SDK-HMAC-SHA256"


def timestamp(moment: datetime) -> str:
    """`X-Sdk-Date` of an aware UTC datetime: `YYYYMMDDTHHMMSSZ`."""
    return moment.strftime("%Y%m%dT%H%M%SZ")


def authorization(
    method: str,
    path: str,
    query: Query,
    headers: Mapping[str, str],
    payload_hash: str,
    *,
    key_id: str,
    key_secret: str,
) -> str:
    """The value of the Authorization header.

    path : the RFC 3986-encoded path as it is on the wire; the slash that the signature wants at its end is added here.
    headers : exactly those to sign, `x-sdk-date` among them.
    payload_hash : hexadecimal SHA-256 of the body, or `UNSIGNED-PAYLOAD`.
    """
    date = next((value for name, value in headers.items() if name.lower() == "x-sdk-date"), None)
    if date is None:
        raise ValueError("X-Sdk-Date has to be among the signed headers.")
    uri = path if path.endswith("/") else path + "/"
    hashed, names = canonical_request(method, uri, query, headers, payload_hash)
    signature = hmac_sha256(key_secret, f"{ALGORITHM}\n{date}\n{hashed}")
    return f"{ALGORITHM} Access={key_id}, SignedHeaders={names}, Signature={signature}"


_SIGNED = frozenset({"host", "content-type", "x-project-id", "x-domain-id"})


def signed_headers(
    request: tuple[str, str, Query],
    headers: Mapping[str, str],
    body: bytes,
    key: AccessKey,
    *,
    date: str,
) -> dict[str, str]:
    """The headers that the signature adds to a request.

    request : method, encoded path and query.
    headers : what the request has already, by lower-case names; host, content type and project of them are signed.
    """
    added = {"x-sdk-date": date}
    if key.security_token is not None:
        added["x-security-token"] = key.security_token.reveal()
    signed = {name: value for name, value in headers.items() if name in _SIGNED}
    added["Authorization"] = authorization(
        *request, signed | added, sha256(body), key_id=key.id, key_secret=key.secret.reveal()
    )
    return added


class SdkHmacAuth(SigningAuth):
    """Signs host, date, content type, and those of `x-project-id`, `x-domain-id`, `x-security-token` that are there."""

    def sign(self, request: httpx.Request) -> httpx.Request:
        """Adds date, security token where there is one, and the signature."""
        target = (request.method, *split_target(request))
        date = timestamp(utc(self._clock.now()))
        request.headers.update(signed_headers(target, request.headers, request.content, self._key, date=date))
        return request
