"""Verifies ACS3-HMAC-SHA256 signatures as specified by Alibaba Cloud.

It is written from the published description of the V3 signature and shares no code with the signer in
`jupyter_tokens.providers`, so that signer and verifier check each other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from .accounts import TemporaryKey, is_secret
from .api import RefusedError, remember
from .messages import Request, percent_encode

_WINDOW = 15 * 60
_ALGORITHM = "ACS3-HMAC-SHA256"
_PARTS = re.compile(r"Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})")
_REQUIRED = {
    "x-acs-action": "MissingAction",
    "x-acs-version": "MissingVersion",
    "x-acs-date": "MissingTimestamp",
    "x-acs-signature-nonce": "MissingSignatureNonce",
    "x-acs-content-sha256": "MissingContentSha256",
}


class Acs3Verifier:
    """Refuses requests that are unsigned, wrongly signed or replayed, or that have a wrong date.

    The date of a request may differ from the sandbox's clock by 15 minutes at most.
    """

    def __init__(self, keys: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._keys, self._clock = keys, clock
        self._temporary: OrderedDict[str, TemporaryKey] = OrderedDict()
        self._nonces: OrderedDict[tuple[str, str], float] = OrderedDict()

    def add_key(self, key_id: str, key: TemporaryKey) -> None:
        """Accept this temporary access key from now on."""
        remember(self._temporary, key_id, key)

    def verify(self, request: Request) -> None:
        """Check the signature, date, security token and nonce. Raises RefusedError if the request fails a check."""
        for name, code in _REQUIRED.items():
            if not request.header(name):
                raise RefusedError(400, code, f"The request header {name} is mandatory for this action.")
        access_key, signed, signature = _authorization(request)
        _check_signed_headers(request, signed)
        self.check_date(request.header("x-acs-date") or "")
        temporary = self._temporary.get(access_key)
        secret = self._keys.get(access_key) if temporary is None else temporary.secret
        if secret is None:
            raise RefusedError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        _check_signature(request, signed, signature, secret)
        if request.header("x-acs-security-token") == "":
            raise RefusedError(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
        if temporary is not None:
            self._check_temporary(request.header("x-acs-security-token"), temporary)
        # Checked last, so that a forged or damaged request cannot use up another client's nonce.
        self.use_nonce(access_key, request.header("x-acs-signature-nonce") or "")

    def check_date(self, text: str) -> None:
        """Raise RefusedError if a date is malformed, or too far from the sandbox's clock."""
        try:
            moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            message = "Specified time stamp or date value is not well formatted."
            raise RefusedError(400, "InvalidTimeStamp.Format", message) from None
        if abs(self._clock() - moment) > _WINDOW:
            raise RefusedError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def _check_temporary(self, given: str | None, key: TemporaryKey) -> None:
        if given is None:
            raise RefusedError(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if not is_secret(key.security_token, given):
            message = "Specified SecurityToken mismatch with the AccessKey."
            raise RefusedError(400, "InvalidSecurityToken.MismatchWithAccessKey", message)
        if self._clock() >= key.expires_at:
            raise RefusedError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")

    def use_nonce(self, access_key: str, nonce: str) -> None:
        """Record a nonce of an access key ("" for an unsigned call). Raises RefusedError if it was used before."""
        now = self._clock()
        # A request can be dated one window ahead, so it is valid for two windows at most. Older nonces are not needed.
        while self._nonces and next(iter(self._nonces.values())) < now - 2 * _WINDOW:
            self._nonces.popitem(last=False)
        if (access_key, nonce) in self._nonces:
            raise RefusedError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[access_key, nonce] = now


def _authorization(request: Request) -> tuple[str, list[str], str]:
    """Return the access key's id, the names of the signed headers, and the signature. Raises RefusedError."""
    values = request.values("authorization")
    bearer = request.header("x-acs-bearer-token") or ("SignatureType", "BEARERTOKEN") in request.params
    if bearer or request.header("x-acs-signature-type"):
        message = "Only signatures with an access key are supported here, no bearer token and no x-acs-signature-type."
        raise RefusedError(400, "UnsupportedSignatureType", message)
    if not values:
        message = "The request carries no Authorization: an access key is mandatory."
        raise RefusedError(400, "MissingAccessKeyId", message)
    algorithm, _, rest = values[0].partition(" ")
    match = _PARTS.fullmatch(rest.strip())
    if len(values) > 1 or algorithm != _ALGORITHM or match is None:
        message = f"The Authorization must be: {_ALGORITHM} Credential=…,SignedHeaders=…,Signature=…"
        raise RefusedError(400, "IncompleteSignature", message)
    return match[1], match[2].split(";"), match[3]


def _check_signed_headers(request: Request, signed: list[str]) -> None:
    present = {name for name, _ in request.headers}
    wanted = {name for name in present if name.startswith("x-acs-")} | {"host"}
    if request.body and "content-type" in present:
        wanted.add("content-type")
    for name in sorted(wanted - set(signed)):
        raise RefusedError(400, "IncompleteSignature", f"The header {name} must be among SignedHeaders.")
    if signed != sorted(set(signed)) or not set(signed) <= present:
        message = "SignedHeaders must name headers of the request, in lower case, in order and once."
        raise RefusedError(400, "IncompleteSignature", message)


def _check_signature(request: Request, signed: list[str], signature: str, secret: str) -> None:
    body_hash = hashlib.sha256(request.body).hexdigest()
    digest = hashlib.sha256(_canonical(request, signed, body_hash)).hexdigest()
    computed = hmac.new(secret.encode(), f"{_ALGORITHM}\n{digest}".encode(), hashlib.sha256).hexdigest()
    # Like the vendor, show the string to sign, so that the client can compare. It contains a hash but no secret.
    if not hmac.compare_digest(computed, signature):
        message = f"Specified signature does not match our calculation. String to sign: {_ALGORITHM} {digest}"
        raise RefusedError(400, "SignatureDoesNotMatch", message)
    if request.header("x-acs-content-sha256") != body_hash:
        message = "Specified signature does not match: x-acs-content-sha256 is not the hash of the body."
        raise RefusedError(400, "SignatureDoesNotMatch", message)


def _canonical(request: Request, signed: list[str], body_hash: str) -> bytes:
    # The SDKs send the query form-encoded but sign it as RFC 3986 encodes it: decode, then encode again.
    path = "/".join(percent_encode(unquote_to_bytes(part)) for part in request.path.split("/"))
    query = "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in sorted(request.query))
    headers = "".join(f"{name}:{','.join(sorted(v.strip() for v in request.values(name)))}\n" for name in signed)
    lines = [request.method, path, query, headers, ";".join(signed), body_hash]
    return "\n".join(lines).encode("latin-1")
