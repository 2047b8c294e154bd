"""What tokens and keys of the five APIs look like, each with its source and with what keeps ordinary text out.

A shape is looked for by a literal that it begins with, so that megabytes of base64 pass quickly. Nothing is found in
the midst of base64: a shape begins and ends where no character of base64 touches it.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .names import NAMED
from .span import Span

__all__ = ["shapes_in"]


class _Shape(NamedTuple):
    kind: str
    anchor: str
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool] = bool


def _shape(
    kind: str, anchor: str, rest: str, *, touching: str = "A-Za-z0-9+/_-", is_one: Callable[[str], bool] = bool
) -> _Shape:
    """A shape of a literal beginning and an expression for the rest; `is_one` takes a closer look at what was found."""
    literal = re.escape(anchor)
    # "\n", "%3D", "\u003d" and a terminal's colour end in what looks like a part of the value.
    escapes = "|".join(
        f"(?<={escape}{literal})"
        for escape in (
            r"\\[nrt]",
            r"%[0-9A-Fa-f]{2}",
            r"\\u[0-9A-Fa-f]{4}",
            r"[\[;]\dm",
            r"[\[;]\d\dm",
            r"[\[;]\d{3}m",
        )
    )
    # The literal first, and what may stand before it after it: so the search is one for a literal.
    begins = f"(?:(?<![{touching}]{literal})|{escapes})"
    return _Shape(kind, anchor, re.compile(f"{literal}{begins}{rest}(?![{touching}])"), is_one)


def _is_jwt(found: str) -> bool:
    header = found.partition(".")[0]
    try:
        read = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and "alg" in read


_SHAPES = (
    # Vectors pai_gettoken_*.json and eiam_obtain_basic.json; other scanners' rules know 12 to 20 characters after LTAI.
    _shape("Alibaba AccessKey id", "LTAI", r"[A-Za-z0-9]{12,26}"),
    # Alibaba's page of AssumeRole: STS.L4aBSCSJVMuKg5U1****.
    _shape("Alibaba STS AccessKey id", "STS.", r"[A-Za-z0-9]{16,40}"),
    # PAI-DLC GetToken answers eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…, OneAccess an id_token of three parts. A header
    # that reads as JSON and names an algorithm tells it from Mapbox's public pk.eyJ….
    _shape(
        "JWT",
        "eyJ",
        r"[A-Za-z0-9_-]{8,4096}+\.[A-Za-z0-9_-]{2,16384}+\.[A-Za-z0-9_-]{2,4096}+",
        touching="A-Za-z0-9_-",
        is_one=_is_jwt,
    ),
    # Huawei's page of IAM: X-Subject-Token: MIIatAYJKoZIhvcNAQcCoII…, which is CMS signed data (RFC 5652), in whose
    # base64 "-" stands for "/". Certificates and private keys begin with MII too, but not with this object identifier.
    _shape("Huawei IAM token", "MII", r"[A-Za-z0-9+/-]{3}YJKoZIhvcNAQcC[A-Za-z0-9+/=-]{40,65536}+"),
    # EIAM ObtainApplicationToken shows one of 125 characters.
    _shape("EIAM application token", "SATF", r"[A-Za-z0-9]{80,252}"),
    # SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, in what Huawei publishes of its signature.
    _shape("signature with a Huawei access key id", "SDK-HMAC-SHA256", r"\s{1,4}Access=[A-Z0-9]{20}"),
)


def shapes_in(text: str) -> Iterator[Span]:
    """Where a shape stands; they may overlap."""
    for shape in _SHAPES:
        if shape.anchor in text:
            for found in shape.pattern.finditer(text):
                if shape.is_one(found[0]):
                    yield Span(found.start(), found.end(), shape.kind, 1)
    for anchor, find in NAMED:
        if anchor in text:
            yield from find(text)
