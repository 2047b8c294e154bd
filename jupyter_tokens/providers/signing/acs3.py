"""ACS3-HMAC-SHA256, the V3 signature of Alibaba Cloud.

Source: Alibaba Cloud, "V3 request structure and signature".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

from .canonical import AccessKey, Query, canonical_request, hmac_sha256, sha256

__all__ = ["ALGORITHM", "authorization", "fresh_nonce", "signed_headers", "timestamp"]

ALGORITHM = "ACS3-HMAC-SHA256"


def fresh_nonce() -> str:
    """Return 128 random bits in hexadecimal: a nonce must not be used twice."""
    return secrets.token_hex(16)


def timestamp(moment: datetime) -> str:
    """Return `x-acs-date` for an aware UTC datetime: `YYYY-MM-DDTHH:MM:SSZ`."""
    # Not strftime, which depends on the C library and its locale.
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


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
    path : str
        `/` for RPC style, the RFC 3986-encoded path for ROA style.
    query : Query
        Decoded names and values in any order, or the result of `canonical_query`.
    headers : Mapping
        Exactly the headers to sign: every `x-acs-*`, `host`, and `content-type` if there is a body.
    payload_hash : str
        Hexadecimal SHA-256 of the body.
    """
    hashed, names = canonical_request(method, path or "/", query, headers, payload_hash)
    signature = hmac_sha256(key_secret, f"{ALGORITHM}\n{hashed}")
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"


def signed_headers(
    request: tuple[str, str, Query],
    headers: Mapping[str, str],
    body: bytes,
    key: AccessKey,
    *,
    date: str,
    nonce: str,
) -> dict[str, str]:
    """Return the headers that the signature adds to a request.

    `request` is the method, the path and the query, in the form that `authorization` takes. `headers` are the headers
    that the request already has, with lower-case names. `host`, every `x-acs-*` and, with a body, `content-type` are
    signed.
    """
    payload_hash = sha256(body)
    added = {"x-acs-date": date, "x-acs-signature-nonce": nonce, "x-acs-content-sha256": payload_hash}
    if key.security_token is not None:
        added["x-acs-security-token"] = key.security_token.reveal()
    signed = {
        name: value
        for name, value in headers.items()
        if name.startswith("x-acs-") or name == "host" or (name == "content-type" and body)
    }
    added["Authorization"] = authorization(
        *request, signed | added, payload_hash, key_id=key.id, key_secret=key.secret.reveal()
    )
    return added
