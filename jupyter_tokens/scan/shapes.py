"""Finds keys and tokens in text, by their issuer's mark, their context, or their name.

An issuer's mark inside base64 data is not a finding: with few exceptions (`Shape.touching`), no character of base64 may
be directly before or after a value with a mark.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .issuers import SHAPES, Shape
from .names import find_named
from .values import ESCAPED, Span, is_password, is_placeholder, is_random, is_reference, matches

__all__ = ["find_shapes"]

# Pictures in HTML and Markdown.
_PICTURE = re.compile(r"(?:image|video|audio|font)/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/=\s\\]{64,}+")
# Every value with an issuer's mark is in a run of at least 16 of these characters. Such runs are few. If a mark is in
# none of them, the text is not searched for the mark's format.
_RUN = re.compile(r"[A-Za-z0-9_./+=~%:-]{16,}")
_SHAPES = tuple(
    (shape, re.compile(shape.pattern + f"(?![{shape.edge}])"), re.compile(f"[{shape.edge}]")) for shape in SHAPES
)
# Escapes that may be directly before a value: "\n", "%3D", "\u003d" and terminal colours. Their last character looks
# like a part of the value.
_ESCAPE = re.compile(r"(?:\\[nrt]|%(?P<byte>[0-9A-Fa-f]{2})|\\u(?P<unit>[0-9A-Fa-f]{4})|[\[;]\d{1,3}m)\Z")
_LONGEST_ESCAPE = 6
_MAX_DISTANCE = 200

# Only the beginning of a value: in `Bearer+Bearer+Bearer+`, the value after each word would be the whole rest.
_VALUE = rf"(?P<value>(?P<begins>(?:[A-Za-z0-9._~+/=-]|{ESCAPED}){{16,128}}+))"
_REST = re.compile(rf"(?:[A-Za-z0-9._~+/=-]++|{ESCAPED})*")
_LONGEST = 16384
_ANY = r"(?P<value>[^\s\"'`<>\\\x00@/]{6,256})"
_QUOTED = r"[bru]?\\?[\"']"


def find_shapes(text: str) -> Iterator[Span]:
    """Find keys and tokens in a text; the findings may overlap."""
    if ";base64," in text:
        text = _PICTURE.sub(lambda picture: " " * len(picture[0]), text)
    yield from _issuer_spans(text)
    for context in _CONTEXTS:
        end = 0
        for found in matches(context.mark, context.pattern, text):
            if found.start("value") >= end and context.is_secret(found):
                start, end = found.span("value")
                if "begins" in context.pattern.groupindex and (rest := _REST.match(text, end, start + _LONGEST)):
                    end = rest.end()
                yield Span(start, end, context.kind, 2)
    yield from _private_keys(text)
    yield from find_named(text)


def _issuer_spans(text: str) -> Iterator[Span]:
    runs = "\0".join(_RUN.findall(text))
    for shape, pattern, touching in _SHAPES:
        if shape.mark in runs:
            for found in pattern.finditer(text):
                start, end = found.span()
                if _is_start(text, start, touching) and not is_placeholder(found[0]) and _is_valid(shape, found[0]):
                    yield Span(start, end, shape.kind, 1)
                    if shape.pair:
                        yield from _paired_secret(text, start, end, *shape.pair)


def _is_start(text: str, at: int, touching: re.Pattern[str]) -> bool:
    escape = _ESCAPE.search(text, max(0, at - _LONGEST_ESCAPE), at)
    if escape is None:
        return not touching.match(text[at - 1 : at])
    # An encoded character such as "%2B" counts as the character itself.
    code = escape["byte"] or escape["unit"]
    return code is None or not touching.match(chr(int(code, 16)))


def _is_valid(shape: Shape, found: str) -> bool:
    if shape.kind == "JWT":
        header = found.partition(".")[0]
        try:
            read = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        except (ValueError, RecursionError):
            return False
        return isinstance(read, dict) and "alg" in read
    # Only LTAI ids may contain words. Other values must look random: STS.AssumeRoleWithWebIdentity is not an id.
    return shape.mark == "LTAI" or is_random(found)


def _paired_secret(text: str, start: int, end: int, kind: str, pattern: str) -> Iterator[Span]:
    """Find the secret of an id: a value nearby that has the right length and looks random."""
    whole = rf"(?<![A-Za-z0-9+/=_.-]){pattern}(?![A-Za-z0-9+/=_.-])"
    for first, last in ((end, end + _MAX_DISTANCE), (max(0, start - _MAX_DISTANCE), start)):
        for found in re.compile(whole).finditer(text, first, last):
            value = found[0]
            if value != value.lower() and value != value.upper() and is_random(value) and not is_placeholder(value):
                yield Span(*found.span(), kind, 1)
                return


def _private_keys(text: str) -> Iterator[Span]:
    for found in matches("-----BEGIN ", _KEY, text):
        runs = list(_KEY_LINE.finditer(text, *found.span("body")))
        if runs and any(is_random(run[0]) for run in runs[:3]):
            yield Span(found.start(), found.end() if found["end"] else runs[-1].end(), "private key", 1)


_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\\{1,4}[nr]|[\s\"',\\])*+"
    r"(?:[A-Za-z-]{4,12}: [^\n\\\x00]{1,80}(?:\\{1,4}[nr]|[\s\"',\\])++)*+"
    r"(?P<body>(?:[A-Za-z0-9+/=]|\\{1,4}[nr]|[\s\"',\\]){32,32768}+)(?P<end>-----END [A-Z0-9 ]{1,40}-----)?"
)
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{32,}")


class _Context(NamedTuple):
    """Text that marks the value in it as a secret. Each match begins with `mark`, and `is_secret` checks the value."""

    kind: str
    mark: str
    pattern: re.Pattern[str]
    is_secret: Callable[[re.Match[str]], bool]


def _is_token(found: re.Match[str]) -> bool:
    value = found["value"]
    return (
        is_random(value) and sum(map(str.isdigit, value)) > 1 and not is_placeholder(value) and not is_reference(value)
    )


def _is_password(found: re.Match[str]) -> bool:
    return is_password(found["value"])


def _is_basic(found: re.Match[str]) -> bool:
    try:
        user, colon, password = b64decode(found["value"], validate=True).decode().partition(":")
    except ValueError:
        return False
    if not colon or not (user + password).isprintable() or password.isalpha():
        return False
    return len(password) >= 6 and not is_placeholder(password)  # noqa: PLR2004


def _is_signature(found: re.Match[str]) -> bool:
    prefix = found.string[max(0, found.start() - 24) : found.start()]
    return _PARAMETER.search(prefix) is not None and is_random(found["value"]) and not is_placeholder(found["value"])


_PARAMETER = re.compile(r"(?:[?&;]|%26|u0026)(?:[Xx]-[A-Za-z]{3,4}-|q-)?[Ss]?\Z")

_CONTEXTS = (
    # SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, from Huawei's pages about its signature.
    _Context(
        "signature with a Huawei access key id",
        "SDK-HMAC-SHA256",
        re.compile(r"(?P<value>SDK-HMAC-SHA256\s{1,4}Access=[A-Z0-9]{20})(?![A-Za-z0-9+/_-])"),
        lambda _: True,
    ),
    # Most APIs take tokens as bearer tokens. Some, such as OneAccess, take a client id and secret by HTTP Basic.
    _Context("bearer token", "earer", re.compile(rf"earer(?: +|%20|\+){_VALUE}"), _is_token),
    _Context(
        "client id and secret",
        "asic",
        re.compile(r"asic(?<=[Bb]asic) +(?P<value>[A-Za-z0-9+/]{12,4096}={0,2})(?![A-Za-z0-9+/=])"),
        _is_basic,
    ),
    _Context(
        "value of Authorization",
        "uthorization",
        re.compile(
            rf"uthorization[\\\"'\s:=,]{{1,12}}(?:[Tt]oken|[Aa]pi-?[Kk]ey|[Kk]ey|OAuth|Splunk|GenieKey) +{_VALUE}"
        ),
        _is_token,
    ),
    # "userinfo" of RFC 3986, 3.2.1.
    _Context(
        "password in a URL",
        "://",
        re.compile(rf"://[^\s:/@?#\"'<>`\\\x00]{{0,80}}:{_ANY}@(?=[\w.\[-])"),
        _is_password,
    ),
    _Context(
        "token in a URL", "://", re.compile(r"://(?P<value>[A-Za-z0-9_-]{20,256})(?::|%3A)?@(?=[\w.-])"), _is_token
    ),
    # requests' HTTPBasicAuth, httpx' BasicAuth, auth=(…); the SDKs of Huawei Cloud.
    *(
        _Context(
            "password of a client",
            mark,
            re.compile(
                rf"{mark}\w{{0,12}}\s*=?\s*\(\s*{_QUOTED}[^\s\"'\\\x00]{{1,128}}\\?[\"']\s*,\s*{_QUOTED}"
                r"(?P<value>[^\s\"'\\\x00]{6,256})\\?[\"']"
            ),
            _is_password,
        )
        for mark in ("uth", "redentials", "login")
    ),
    _Context(
        "password of a command",
        "-u",
        re.compile(
            r"-u(?:ser)?(?:\s+|=)[\"']?[^\s:\"'@/{}$<\x00]{1,128}:(?P<value>[^\s\"'\\{}$<>@\x00]{6,256})(?=[\"'\s\\]|\Z)"
        ),
        _is_password,
    ),
    # obsutil. Huawei's access key ids have no mark.
    _Context(
        "Huawei secret access key",
        "-i",
        re.compile(r"-i[= ][\"']?[A-Z0-9]{20}[\"']?\s{1,8}-k[= ][\"']?(?P<value>[A-Za-z0-9]{40})(?![A-Za-z0-9])"),
        lambda found: is_random(found["value"]),
    ),
    _Context(
        "Azure storage key",
        "account.key",
        re.compile(r"account\.key\.[\w.-]{1,120}\\?[\"']?\s*[,:=\s]\s*\\?[\"']?(?P<value>[A-Za-z0-9+/]{86}==)"),
        lambda found: is_random(found["value"]),
    ),
    _Context(
        "Azure API key",
        "KeyCredential(",
        re.compile(r"KeyCredential\(\s*(?:key\s*=\s*)?\\?[\"'](?P<value>[A-Za-z0-9+/=]{32,128})\\?[\"']"),
        _is_token,
    ),
    _Context(
        "argument of login",
        "login",
        re.compile(
            r"login(?:\(\s*(?:\w{1,20}\s*=\s*)?\\?[\"']|(?:\s+--?[\w=-]{1,30}){0,3}\s+)"
            r"(?P<value>[A-Za-z0-9_-]{20,256})(?![\w.-])"
        ),
        _is_token,
    ),
    # kaggle.json
    _Context(
        "Kaggle API key",
        "username",
        re.compile(
            r"username\\?[\"']\s*:\s*\\?[\"'][^\"'\\\s\x00]{1,64}\\?[\"']\s*,\s*\\?[\"']key\\?[\"']\s*:\s*\\?[\"']"
            r"(?P<value>[0-9a-f]{32})(?![0-9a-f])"
        ),
        _is_token,
    ),
    # S3, GCS, OSS, OBS and CloudFront; Azure's shared access signatures.
    _Context("signature of a URL", "ignature", re.compile(rf"ignature(?:=|%3D){_VALUE}"), _is_signature),
    _Context("signature of a URL", "sig", re.compile(rf"sig(?:=|%3D){_VALUE}"), _is_signature),
)
