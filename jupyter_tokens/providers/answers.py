"""Reads the vendors' answers: JSON with fields of known types, and errors with code, message and request id.

Never quotes the body of an answer: it may hold a token.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
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
)

__all__ = [
    "Meaning",
    "check_bearer",
    "is_token",
    "json_object",
    "jwt_expiry",
    "life_of",
    "malformed",
    "moment_of",
    "number_of",
    "object_of",
    "plain",
    "refusal",
    "request_id_of",
    "retry_after_of",
    "text_of",
    "token_of",
    "try_json_object",
]

_REQUEST_ID_HEADERS = ("x-acs-request-id", "x-request-id", "x-openstack-request-id", "x-correlation-id")
_REQUEST_ID_FIELDS = ("RequestId", "requestId", "request_id", "correlationID")
_RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})
_LONGEST_MESSAGE = 300
_LONGEST_ID = 100
_LONGEST_COUNT = 12
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a vendor's code means to us: the exception, and what the user can do."""

    kind: type[ApiError]
    hint: str = ""


def plain(text: str, most: int) -> str:
    """A vendor's text in one line that a terminal can show: no control characters, at most `most` characters."""
    text = text[: 4 * most]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:most]


def request_id_of(response: httpx.Response, body: Mapping[str, Any] | None = None) -> str | None:
    """The vendor's request id, from the body or the headers."""
    for name in _REQUEST_ID_FIELDS:
        value = (body or {}).get(name)
        if isinstance(value, str) and value:
            return plain(value, _LONGEST_ID)
    told = (response.headers.get(name) for name in _REQUEST_ID_HEADERS)
    return next((plain(value, _LONGEST_ID) for value in told if value), None)


def malformed(response: httpx.Response, problem: str, body: Mapping[str, Any] | None = None) -> ResponseError:
    """An answer that is not what the API documents: status, content type and request id, but never the body."""
    return ResponseError(
        f"The API's answer {problem} (content type {plain(response.headers.get('content-type', 'none'), 80)}).",
        hint="Check that the endpoint is this API's.",
        status=response.status_code,
        request_id=request_id_of(response, body),
    )


def try_json_object(response: httpx.Response) -> dict[str, Any] | None:
    """The body as a JSON object, or None if it is not one that can be handed on as JSON."""
    content = response.content
    try:
        data = _DECODER.decode(_decoded(response))
    except (ValueError, LookupError, RecursionError):
        return None
    # What is read here is written by somebody who has less of the stack left.
    if content.count(b"{") + content.count(b"[") > _DEEPEST and _is_deep(data):
        return None
    return data if isinstance(data, dict) else None


def _decoded(response: httpx.Response) -> str:
    content = response.content
    try:
        # JSON says itself in which Unicode it is, and may begin with a byte order mark.
        return content.decode(json.detect_encoding(content), "surrogatepass")
    except UnicodeDecodeError:
        return content.decode(response.charset_encoding or "utf-8")


def _finite(text: str) -> float:
    """Python reads and writes NaN and Infinity, which no JSON has, and takes 1e999 for one of them."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


# Kept, for `json.loads` would make one for each answer.
_DECODER = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def _is_deep(data: object) -> bool:
    level = [data]
    for _ in range(_DEEPEST):
        level = [
            part
            for node in level
            if isinstance(node, dict | list)
            for part in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The body of a success. Raises `ResponseError` if it is empty or not a JSON object."""
    if not response.content:
        raise malformed(response, "is empty")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON and not media_type.endswith("+json"):
        raise malformed(response, "is not JSON")
    data = try_json_object(response)
    if data is None:
        raise malformed(response, "is not a whole JSON object")
    return data


# Besides the right one, those by which servers are known to send JSON. An HTML page is somebody else's answer.
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


def object_of(response: httpx.Response, body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A field that has to be an object."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise malformed(response, f"has no object {name!r}", body)
    return value


def text_of(response: httpx.Response, body: Mapping[str, Any], name: str) -> str:
    """A field that has to be a text and not empty."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise malformed(response, f"has no text {name!r}", body)
    return value


def token_of(response: httpx.Response, body: Mapping[str, Any], name: str) -> str:
    """A field that has to be a token (`is_token`)."""
    value = text_of(response, body, name)
    if not is_token(value):
        raise malformed(response, f"has characters in {name!r} that no token has", body)
    return value


def is_token(value: str) -> bool:
    """Whether a header and an environment variable can hold this text as a token."""
    return value.isascii() and value.isprintable() and " " not in value


def moment_of(response: httpx.Response, body: Mapping[str, Any], seconds: float) -> datetime:
    """Seconds since the epoch as an aware datetime. Raises `ResponseError` for what no calendar holds."""
    try:
        return utc(seconds)
    except (OverflowError, ValueError, OSError):
        raise malformed(response, "tells a time that no calendar holds", body) from None


def number_of(response: httpx.Response, body: Mapping[str, Any], name: str) -> float | None:
    """A field that is a number, which some servers write as a text; None where it is absent, null or blank."""
    value = body.get(name)
    if isinstance(value, str):
        value = value.strip()
        if _NUMBER.fullmatch(value):
            value = float(value)
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        # JSON's whole numbers have no end, those that a time can be made of do.
        with suppress(OverflowError):
            number = float(value)
            if math.isfinite(number):
                return number
    raise malformed(response, f"has no number in {name!r}", body)


_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


def life_of(response: httpx.Response, body: Mapping[str, Any]) -> float | None:
    """Seconds that a token lives, by `expires_in`; None where the answer does not say, or means that it has no end."""
    life = number_of(response, body, "expires_in")
    # Java's largest number is how some servers say "for ever"; no calendar holds it.
    return None if life == _FOREVER else life


_FOREVER = float(2**63 - 1)


def check_bearer(response: httpx.Response, body: Mapping[str, Any]) -> None:
    """Raise `ResponseError` unless the token is a Bearer token, in any case, or the answer does not say what it is."""
    kind = body.get("token_type")
    if kind is None:
        return
    if not isinstance(kind, str) or kind.strip().lower() not in {"", "bearer", "bearertoken"}:  # Apigee's, the last
        shown = plain(kind, 40) if isinstance(kind, str) else type(kind).__name__
        raise malformed(response, f"holds a token of type {shown!r}, and Bearer alone can be used", body)


def retry_after_of(response: httpx.Response, now: float) -> float | None:
    """How long the vendor asks to wait, seconds: `x-acs-retry-after` in ms, `Retry-After` in seconds or as a date."""
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
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_COUNT


def refusal(
    response: httpx.Response,
    *,
    now: float,
    body: Mapping[str, Any] | None,
    code: object,
    message: object,
    meanings: Mapping[str, Meaning],
) -> ApiError:
    """The error that a refused call becomes, by the vendor's code where it is known, else by the HTTP status.

    Raises `ResponseError` for an answer that neither refuses nor is what was asked for, such as a 204.
    """
    status = response.status_code
    if status < httpx.codes.BAD_REQUEST and code is None:
        raise malformed(response, "has a status that is not documented", body)
    known = meanings.get(str(code)) if isinstance(code, str | int) else None
    meaning = known or _by_status(status)
    kind = meaning.kind
    said = plain(message, _LONGEST_MESSAGE) if isinstance(message, str) else ""
    if not said:
        said = f"{response.reason_phrase or 'Refused'}, with no message that could be read"
    return kind(
        said if said.endswith((".", "!", "?")) else said + ".",
        hint=meaning.hint,
        code=plain(str(code), _LONGEST_ID) if isinstance(code, str | int) and code != "" else None,
        status=status,
        request_id=request_id_of(response, body),
        # A refusal with the status of a success says by its code alone what it is.
        retryable=kind is Throttled
        or (kind is ServiceUnavailable and (status in _RETRYABLE_STATUS or status < httpx.codes.BAD_REQUEST)),
        retry_after=retry_after_of(response, now),
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


def jwt_expiry(value: str) -> float | None:
    """The `exp` of something shaped like a JWT, seconds since the epoch; None if there is none that can be read.

    The signature is not looked at: the token comes from its issuer, and is only passed on.
    """
    parts = value.split(".")
    if len(parts) != 3:  # noqa: PLR2004 (header, payload, signature)
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        stated = payload.get("exp") if isinstance(payload, dict) else None
        if isinstance(stated, bool) or not isinstance(stated, int | float):
            return None
        return utc(stated).timestamp()
    except (binascii.Error, ValueError, OverflowError, OSError, RecursionError):
        return None
