"""Verifies SDK-HMAC-SHA256 signatures as specified by Huawei Cloud.

It is written from the published API signing guide and shares no code with the signer in `jupyter_tokens.providers`, so
that signer and verifier check each other.
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
_LOCK_SECONDS = 5 * 60
ALGORITHM = "SDK-HMAC-SHA256"
_DATE = "%Y%m%dT%H%M%SZ"
_PARTS = re.compile(ALGORITHM + r" +Access=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})")
_UNSIGNED = "UNSIGNED-PAYLOAD"


def _refused(reason: str) -> RefusedError:
    return RefusedError(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")


class SdkHmacVerifier:
    """Refuses requests that are unsigned or wrongly signed, or that have a wrong date.

    The date of a request may differ from the sandbox's clock by 15 minutes at most. Like the vendor, it accepts
    replayed requests.
    """

    def __init__(self, keys: Mapping[str, str], clock: Callable[[], float], lock_after: int | None) -> None:
        # `lock_after=None` switches the lock off. The vendor locks an AK for five minutes after five failures in a row.
        # In tests and tutorials, such a lock would hide the actual mistake.
        self._keys, self._clock, self._lock_after = keys, clock, lock_after
        self._temporary: OrderedDict[str, TemporaryKey] = OrderedDict()
        self._failures: dict[str, int] = {}
        self._locked_until: dict[str, float] = {}

    def add_key(self, key_id: str, key: TemporaryKey) -> None:
        """Accept this temporary access key from now on."""
        remember(self._temporary, key_id, key)

    def verify(self, request: Request) -> None:
        """Check the signature, date and security token. Raises RefusedError with a code of the gateway (APIGW)."""
        match = _PARTS.fullmatch(request.header("authorization") or "")
        if match is None or len(request.values("authorization")) > 1:
            raise _refused("verify aksk signature fail, the Authorization header is malformed")
        access_key, signed, signature = match[1], match[2].split(";"), match[3]
        temporary = self._temporary.get(access_key)
        secret = self._keys.get(access_key) if temporary is None else temporary.secret
        if secret is None:
            raise _refused("verify aksk signature fail, the AK does not exist")
        if self._clock() < self._locked_until.get(access_key, float("-inf")):
            raise _refused("AK access failed to reach the limit, forbidden")
        try:
            self._check(request, secret, signed, signature)
            if temporary is not None:
                self._check_temporary(request.header("x-security-token") or "", temporary)
        except RefusedError:
            self._count_failure(access_key)
            raise
        self._failures.pop(access_key, None)

    def _check_temporary(self, given: str, key: TemporaryKey) -> None:
        if not is_secret(key.security_token, given):
            raise _refused("verify aksk signature fail, the security token does not belong to the AK")
        if self._clock() >= key.expires_at:
            raise _refused("verify aksk signature fail, the security token has expired")

    def _count_failure(self, access_key: str) -> None:
        failures = self._failures[access_key] = self._failures.get(access_key, 0) + 1
        if self._lock_after is not None and failures >= self._lock_after:
            self._locked_until[access_key] = self._clock() + _LOCK_SECONDS
            del self._failures[access_key]

    def _check(self, request: Request, secret: str, signed: list[str], signature: str) -> None:
        date = _check_signed_headers(request, signed)
        try:
            moment = datetime.strptime(date, _DATE).replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise _refused("verify aksk signature fail, X-Sdk-Date is malformed") from None
        if abs(self._clock() - moment) > _WINDOW:
            raise _refused("verify aksk signature fail, signature expired: X-Sdk-Date is too far off")
        for payload in _payload_hashes(request):
            digest = hashlib.sha256(_canonical(request, signed, payload)).hexdigest()
            string_to_sign = f"{ALGORITHM}\n{date}\n{digest}"
            computed = hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()
            if hmac.compare_digest(computed, signature):
                return
        raise _refused("verify aksk signature fail")


def _check_signed_headers(request: Request, signed: list[str]) -> str:
    """Check the signed headers; return the value of X-Sdk-Date."""
    present = {name for name, _ in request.headers}
    if signed != sorted(set(signed)) or not set(signed) <= present:
        raise _refused("verify aksk signature fail, SignedHeaders do not fit the request")
    for name in {"x-security-token", "x-sdk-content-sha256"} & present - set(signed):
        raise _refused(f"verify aksk signature fail, {name} is not signed")
    if "x-sdk-date" not in signed:
        raise _refused("verify aksk signature fail, X-Sdk-Date is not signed")
    return request.header("x-sdk-date") or ""


def _payload_hashes(request: Request) -> list[str]:
    actual = hashlib.sha256(request.body).hexdigest()
    if request.header("x-sdk-content-sha256") != _UNSIGNED:
        return [actual]
    # With UNSIGNED-PAYLOAD and no body, the SDK signs the hash of an empty body, but the guide signs UNSIGNED-PAYLOAD.
    return [_UNSIGNED] if request.body else [actual, _UNSIGNED]


def _canonical(request: Request, signed: list[str], payload: str) -> bytes:
    # Decoded first and split at slashes afterwards, as in the SDK, so that %2F counts as a slash.
    path = "/".join(percent_encode(part) for part in unquote_to_bytes(request.path).split(b"/"))
    query = "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in sorted(request.query))
    headers = "".join(f"{name}:{','.join(v.strip() for v in request.values(name))}\n" for name in signed)
    # The canonical URI ends in a slash even if the path does not.
    uri = path if path.endswith("/") else path + "/"
    return "\n".join([request.method, uri, query, headers, ";".join(signed), payload]).encode("latin-1")
