"""Reads the responses of APIs: typed JSON fields, and errors with code, message and request id.

Errors quote the vendor's code, message and request id, the content type, and the type of a token that is not a Bearer
token. They never quote the rest of the body, because it may contain a token.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from ..clock import utc
from ..errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    ResponseError,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
    UnusableToken,
)

__all__ = [
    "Meaning",
    "as_number",
    "check_bearer",
    "get_lifetime",
    "get_number",
    "get_request_id",
    "get_retry_after",
    "is_token",
    "json_object",
    "jwt_claims",
    "jwt_expiry",
    "malformed",
    "plain",
    "refusal",
    "require_list",
    "require_object",
    "require_str",
    "require_time",
    "require_token",
    "to_datetime",
    "try_json_object",
    "unusable",
]

_REQUEST_ID_HEADERS = ("x-acs-request-id", "x-request-id", "x-openstack-request-id", "x-correlation-id")
_REQUEST_ID_FIELDS = ("RequestId", "requestId", "request_id", "correlationID")
_RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})
_MAX_MESSAGE_LENGTH = 300
_MAX_ID_LENGTH = 100
_MAX_DIGITS = 12
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a vendor's error code: the exception to raise, and a hint for the user."""

    kind: type[ApiError]
    hint: str = ""


def plain(text: str, limit: int) -> str:
    """Return a vendor's text on one line, without control characters and cut to `limit` characters."""
    text = text[: 4 * limit]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:limit]


def get_request_id(response: httpx.Response, body: Mapping[str, Any] | None = None) -> str | None:
    """Return the vendor's request id, from the body or else from the headers; None if there is none."""
    for name in _REQUEST_ID_FIELDS:
        value = (body or {}).get(name)
        if isinstance(value, str) and value:
            return plain(value, _MAX_ID_LENGTH)
    values = (response.headers.get(name) for name in _REQUEST_ID_HEADERS)
    return next((plain(value, _MAX_ID_LENGTH) for value in values if value), None)


def malformed(response: httpx.Response, problem: str, body: Mapping[str, Any] | None = None) -> ResponseError:
    """Return the error for a response that the API does not document.

    The error contains the response's status, content type and request id, but never its body. `problem` completes the
    sentence "The API's answer …".
    """
    return ResponseError(
        f"The API's answer {problem} (content type {plain(response.headers.get('content-type', 'none'), 80)}).",
        hint="Check that the endpoint belongs to this API.",
        status=response.status_code,
        request_id=get_request_id(response, body),
        retryable=response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR,
    )


def unusable(
    response: httpx.Response,
    problem: str,
    body: Mapping[str, Any] | None = None,
    *,
    hint: str = "Check this machine's clock.",
) -> UnusableToken:
    """Return the error for a token that the API returned but that cannot be used, for example an expired token."""
    return UnusableToken(problem, hint=hint, status=response.status_code, request_id=get_request_id(response, body))


def try_json_object(response: httpx.Response) -> dict[str, Any] | None:
    """Return the body as a JSON object; None if it is not a JSON object, or is nested too deeply."""
    content = response.content
    try:
        data = _DECODER.decode(_decoded(response))
    except (ValueError, LookupError, RecursionError):
        return None
    # A deeply nested object could not be serialised later, when less of the stack is left.
    if content.count(b"{") + content.count(b"[") > _MAX_DEPTH and _is_deep(data):
        return None
    return data if isinstance(data, dict) else None


def _decoded(response: httpx.Response) -> str:
    content = response.content
    try:
        # JSON may be in any Unicode encoding, and may begin with a byte order mark.
        return content.decode(json.detect_encoding(content), "surrogatepass")
    except UnicodeDecodeError:
        return content.decode(response.charset_encoding or "utf-8")


def _finite(text: str) -> float:
    """Convert a number. Raises ValueError for NaN and infinity (also 1e999), which Python reads but JSON forbids."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


# Reused, because `json.loads` would create a decoder for each response.
_DECODER = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def _is_deep(data: object) -> bool:
    level = [data]
    for _ in range(_MAX_DEPTH):
        level = [
            part
            for node in level
            if isinstance(node, dict | list)
            for part in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the body of a successful response as a JSON object.

    Raises `ResponseError` if the body is empty or is not a JSON object, or if its content type is not used for JSON.
    """
    if not response.content:
        raise malformed(response, "is empty")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON and not media_type.endswith("+json"):
        raise malformed(response, "is not JSON")
    data = try_json_object(response)
    if data is None:
        raise malformed(response, "cannot be read as a JSON object")
    return data


# The right content type, and others that servers are known to use for JSON; "" is a missing content type. HTML is left
# out: it means that something else, such as a login page, has answered.
_JSON = frozenset(
    {
        "",
        "application/json",
        "text/json",
        "application/x-json",
        "text/plain",
        "text/javascript",
        "application/octet-stream",
    }
)


def require_object(response: httpx.Response, body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a field that must be an object. Raises `ResponseError` if it is not."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise malformed(response, f"has no field {name!r} with an object", body)
    return value


def require_list(response: httpx.Response, body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a field that must be a list of objects. Raises `ResponseError` if it is not."""
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise malformed(response, f"has no field {name!r} with a list of objects", body)
    return value


def require_str(response: httpx.Response, body: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a non-empty string. Raises `ResponseError` if it is not."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise malformed(response, f"has no field {name!r} with a non-empty string", body)
    return value


def require_token(response: httpx.Response, body: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a token (`is_token`). Raises `ResponseError` if it is not."""
    value = require_str(response, body, name)
    if not is_token(value):
        raise malformed(response, f"has characters in {name!r} that a token cannot have", body)
    return value


def require_time(response: httpx.Response, body: Mapping[str, Any], name: str) -> datetime:
    """Return a field that must be a time in ISO 8601; without a zone it is UTC. Raises `ResponseError` if it is not."""
    text = require_str(response, body, name)
    try:
        moment = datetime.fromisoformat(text)
        return utc((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError, OSError):
        raise malformed(response, f"has no time in {name!r}", body) from None


def is_token(value: str) -> bool:
    """Whether a header and an environment variable can hold this string as a token."""
    return value.isascii() and value.isprintable() and " " not in value


def to_datetime(response: httpx.Response, body: Mapping[str, Any], seconds: float) -> datetime:
    """Convert seconds since the epoch to an aware datetime. Raises `ResponseError` if the time is out of range."""
    try:
        return utc(seconds)
    except (OverflowError, ValueError, OSError):
        raise malformed(response, "contains a time that is out of range", body) from None


def get_number(response: httpx.Response, body: Mapping[str, Any], name: str) -> float | None:
    """Return a numeric field; None if it is missing, null or blank. The number may also be written as a string.

    Raises `ResponseError` for any other value.
    """
    value = body.get(name)
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    number = as_number(value)
    if number is None:
        raise malformed(response, f"has no number in {name!r}", body)
    return number


def as_number(value: object) -> float | None:
    """Return a number, which may also be written as a string; None for any other value."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Integers in JSON have no limit, but times do.
        with suppress(OverflowError):
            number = float(value)
            if math.isfinite(number):
                return number
    return None


_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


def get_lifetime(response: httpx.Response, body: Mapping[str, Any]) -> float | None:
    """Return the token's life in seconds from `expires_in`; None if it is missing or means "no expiry".

    Raises `ResponseError` if `expires_in` is not a number.
    """
    life = get_number(response, body, "expires_in")
    # Some servers send Java's largest number for "for ever"; no datetime can hold it.
    return None if life == _FOREVER else life


_FOREVER = float(2**63 - 1)


def check_bearer(response: httpx.Response, body: Mapping[str, Any]) -> None:
    """Raise `ResponseError` unless the token type is Bearer or BearerToken (in any letter case), empty or missing."""
    kind = body.get("token_type")
    if kind is None:
        return
    if not isinstance(kind, str) or kind.strip().lower() not in {"", "bearer", "bearertoken"}:  # Apigee: BearerToken
        shown = plain(kind, 40) if isinstance(kind, str) else type(kind).__name__
        raise malformed(response, f"has a token of type {shown!r}, but only Bearer tokens can be used", body)


def get_retry_after(response: httpx.Response, now: float) -> float | None:
    """Return how many seconds the API asks the client to wait; None if it does not ask.

    The header is `x-acs-retry-after` (milliseconds), or else `Retry-After` (seconds or a date).
    """
    milliseconds = response.headers.get("x-acs-retry-after", "")
    if _is_count(milliseconds):
        return int(milliseconds) / 1000
    text = response.headers.get("retry-after", "").strip()
    if _is_count(text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError, TypeError):
        return None


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS


def refusal(
    response: httpx.Response,
    *,
    now: float,
    body: Mapping[str, Any] | None,
    code: object,
    message: object,
    meanings: Mapping[str, Meaning],
) -> ApiError:
    """Return the error for a refused call: by the vendor's code if it is in `meanings`, else by the HTTP status.

    Raises `ResponseError` for a response that is neither a refusal nor a documented success, such as a 204.
    """
    status = response.status_code
    if status < httpx.codes.BAD_REQUEST and code is None:
        raise malformed(response, "has a status that is not documented", body)
    known = meanings.get(str(code)) if isinstance(code, str | int) else None
    meaning = known or _by_status(status)
    kind = meaning.kind
    text = plain(message, _MAX_MESSAGE_LENGTH) if isinstance(message, str) else ""
    if not text:
        text = f"{response.reason_phrase or 'Refused'}: the API sent no readable message"
    return kind(
        text if text.endswith((".", "!", "?")) else text + ".",
        hint=meaning.hint,
        code=plain(str(code), _MAX_ID_LENGTH) if isinstance(code, str | int) and code != "" else None,
        status=status,
        request_id=get_request_id(response, body),
        # With a status that means success, the code alone says that the API is unavailable.
        retryable=kind is Throttled
        or (kind is ServiceUnavailable and (status in _RETRYABLE_STATUS or status < httpx.codes.BAD_REQUEST)),
        retry_after=get_retry_after(response, now),
    )


def _by_status(status: int) -> Meaning:
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Meaning(ServiceUnavailable, "Try again later.")
    return _BY_STATUS.get(status) or Meaning(InvalidRequest)


_BY_STATUS = {
    401: Meaning(Unauthorized, "Check the profile's credential."),
    403: Meaning(Forbidden, "Ask for the permission that this call needs."),
    404: Meaning(NotFound, "Check the ids and the endpoint."),
    429: Meaning(Throttled, "Try again later."),
}


def jwt_claims(value: str) -> dict[str, Any]:
    """Return the claims of a JWT without checking its signature; {} if the string is not a JWT."""
    try:
        _, payload, _ = value.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def jwt_expiry(value: str) -> float | None:
    """Return the `exp` of a JWT in seconds since the epoch; None if the value is not a JWT or has no valid `exp`.

    The signature is not checked, because the token is only passed on.
    """
    exp = jwt_claims(value).get("exp")
    if isinstance(exp, int | float) and not isinstance(exp, bool):
        with suppress(OverflowError, ValueError, OSError):
            return utc(exp).timestamp()
    return None
