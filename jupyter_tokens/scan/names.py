"""Values that look like nothing in particular, told by the name of the field, header or variable before them.

A OneAccess token, an AccessKey secret or a ModelArts token are letters and digits like a hash of git. All names are
those that the five APIs, their SDKs' variables and our profiles use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from .span import Span

__all__ = ["NAMED", "is_named", "named_kind"]

_NAMES = frozenset(
    {
        # Alibaba: AccessKey pairs and STS, in answers, SDKs and profiles; the headers of ACS3.
        "accesskeysecret",
        "access_key_secret",
        "securitytoken",
        "security_token",
        "x_acs_security_token",
        "x_acs_bearer_token",
        # Huawei: settings of profiles, headers of IAM and of SDK-HMAC-SHA256.
        "secret_key",
        "auth_token",
        "x_auth_token",
        "x_subject_token",
        "x_security_token",
        # OneAccess: request and answer.
        "client_secret",
        "access_token",
        "id_token",
        # EIAM, and a profile for Astra Control.
        "applicationtoken",
        "api_token",
        # ModelArts and Astra Control.
        "token",
    }
)
# ALIBABA_CLOUD_ACCESS_KEY_SECRET, HUAWEICLOUD_SDK_SK, and what profiles fill: ONEACCESS_TOKEN.
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:TOKEN|SECRET|SECRET_KEY|SK)")
# ModelArts documents 32 hexadecimal digits, Astra Control base64. Shorter ones stand in many a data set.
_TOKEN = re.compile(r"[0-9a-f]{32}|(?:[A-Za-z0-9+/]{4}){7,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_VALUE = re.compile(r"[A-Za-z0-9._~+/=-]{16,16384}")
_DIGIT = re.compile(r"\d")
_CONSTANT = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)+")

# Between a name and its value: punctuation, quotes also of JSON in JSON and of HTML, colours of a terminal, tags.
_GAP = (
    r"(?P<gap>(?:[\s:=,>(\[\"'`\\]|&quot;|&#(?:34|39|x22|x27);|%3[Aa]|%3[Dd]|%22|\x1b\[[0-9;]*m"
    r"|</?[A-Za-z][^<>]{0,120}>|b(?=\\?[\"'])){1,16}+)"
)
_ASSIGNS = re.compile(r"[:=>]|%3[AaDd]")
# The last of a gap before a value that is quoted, or stands in a tag or in a colour of its own.
_QUOTES = re.compile(r"(?:[\"'`>;m]|%22)\Z")
_REST = _GAP + r"(?P<value>[A-Za-z0-9._~+/=-]{16,16384}+)(?![A-Za-z0-9._~+/=(\[-])"
_BEFORE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_LONGEST_NAME = 64
_DIGITS_UNQUOTED = 2


def named_kind(name: str) -> str | None:
    """What a value of this name is called, or None if the name says nothing."""
    if len(name) > _LONGEST_NAME:
        return None
    known = name.lower().replace("-", "_") in _NAMES or _VARIABLE.fullmatch(name) is not None
    return f"value of {name}" if known else None


def is_named(name: str, value: str, *, quoted: bool = True) -> bool:
    """Whether a value can be the secret that its name says, and is no reference, path, placeholder or identifier."""
    if value.startswith((".", "/", "~")) or not _VALUE.fullmatch(value):
        return False
    if name.lower() == "token" and not _TOKEN.fullmatch(value):
        return False
    if quoted:
        return _DIGIT.search(value) is not None
    # An identifier has a digit at times, a random value nearly always more of them.
    return len(_DIGIT.findall(value)) >= _DIGITS_UNQUOTED and not _CONSTANT.fullmatch(value)


def _fields(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    for found in pattern.finditer(text):
        begun = text[max(0, found.start() - _LONGEST_NAME) : found.start("gap")]
        # Of '\nACCESS_TOKEN=' in JSON, "n" is no part of the name.
        name = _BEFORE.search(re.sub(r"\\[nrt]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}", " ", begun))
        kind = named_kind(name[0]) if name else None
        gap = found["gap"]
        quoted = _QUOTES.search(gap) is not None
        if name and kind and (quoted or _ASSIGNS.search(gap)) and is_named(name[0], found["value"], quoted=quoted):
            yield Span(found.start("value"), found.end("value"), kind, 2)


def _headers(pattern: re.Pattern[str], kind: str, text: str) -> Iterator[Span]:
    for found in pattern.finditer(text):
        if is_named("", found["value"], quoted=False):
            yield Span(found.start("value"), found.end("value"), kind, 2)


def _ending(ending: str, rest: str = "") -> tuple[str, Callable[[str], Iterator[Span]]]:
    return ending, partial(_fields, re.compile(ending + rest + _REST))


NAMED: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    _ending("oken"),
    _ending("OKEN"),
    _ending("ecret", "(?:_key)?"),
    _ending("ECRET", "(?:_KEY)?"),
    _ending("_SK"),
    # How all five are shown to their APIs, and OneAccess' client by HTTP Basic.
    ("earer ", partial(_headers, re.compile(r"earer +(?P<value>[A-Za-z0-9._~+/=-]{16,16384})"), "bearer token")),
    (
        "uthorization",
        partial(
            _headers,
            re.compile(r"uthorization" + _GAP + r"[Bb]asic +(?P<value>[A-Za-z0-9+/]{16,4096}={0,2})"),
            "client id and secret",
        ),
    ),
)
"""Literals by which fields and headers are found quickly, each with the search for them."""
