"""SDK-HMAC-SHA256, the signature of Huawei Cloud and T Cloud.

Source: Huawei Cloud, "API Signing Guide", api-sign-algorithm-001 to 005.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from .canonical import AccessKey, Query, canonical_request, hmac_sha256, sha256

__all__ = ["ALGORITHM", "authorization", "signed_headers", "timestamp"]

ALGORITHM = "SDK-HMAC-SHA256"


def timestamp(moment: datetime) -> str:
    """Return `X-Sdk-Date` for an aware UTC datetime: `YYYYMMDDTHHMMSSZ`."""
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
    """Return the value of the Authorization header.

    Parameters
    ----------
    key_id, key_secret : str
        The access key.
    method : str
        The HTTP method.
    query : Query
        Decoded names and values in any order, or the result of `canonical_query`.
    path : str
        The RFC 3986-encoded path as it is sent. This function adds the final slash that the signature requires.
    headers : Mapping
        Exactly the headers to sign, including `x-sdk-date`.
    payload_hash : str
        Hexadecimal SHA-256 of the body, or `UNSIGNED-PAYLOAD`.

    Raises
    ------
    ValueError
        If `x-sdk-date` is not among the headers.
    """
    date = next((value for name, value in headers.items() if name.lower() == "x-sdk-date"), None)
    if date is None:
        raise ValueError("X-Sdk-Date must be among the signed headers.")
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
    """Return the headers that the signature adds to a request.

    `request` is the method, the path and the query, in the form that `authorization` takes. `headers` are the headers
    that the request already has, with lower-case names. `host`, `content-type`, `x-project-id`, `x-domain-id` and the
    added headers are signed.
    """
    added = {"x-sdk-date": date}
    if key.security_token is not None:
        added["x-security-token"] = key.security_token.reveal()
    signed = {name: value for name, value in headers.items() if name in _SIGNED}
    added["Authorization"] = authorization(
        *request, signed | added, sha256(body), key_id=key.id, key_secret=key.secret.reveal()
    )
    return added
