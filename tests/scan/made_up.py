"""Makes values up, by the alphabets and lengths that issuers document, and lines that hold them.

Nothing here knows the expressions of the scan: what it makes may well not be found, and the tests count that.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

_LINES = Path(__file__).parent / "lines"
_HOLE = re.compile(r"<<(\w+):(\d+)>>")
_B62 = string.ascii_letters + string.digits
_ALPHABETS = {
    "b62": _B62,
    "b62d": _B62,
    "b36": string.ascii_lowercase + string.digits,
    "B36": string.ascii_uppercase + string.digits,
    "base32": string.ascii_uppercase + "234567",
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "b64": _B62 + "+/",
    "b64s": _B62 + "+/",
    "b64dash": _B62 + "+-",
    "url64": _B62 + "_-",
    "url64d": _B62 + "_-",
    "azure": _B62 + "_.-~",
    "letters": string.ascii_letters,
    "digits": string.digits,
    "password": _B62 + "!#%*+-.:=?_",
    "password_url": _B62 + "!*-._",
}


class Line(NamedTuple):
    """A line of a class. values : the random ones in it."""

    label: str
    text: str
    values: tuple[str, ...]


def lines(name: str, rng: random.Random, times: int = 1) -> Iterator[Line]:
    """Every line of a set, so many times, each time with other values. name : "secret" or "harmless"."""
    for row in (_LINES / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        label, tab, template = row.partition("\t")
        if tab and not row.startswith("#"):
            # In the file "\n" and "\\" are written as in Python.
            text = template.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")
            for _ in range(times):
                values = [_made(hole[1], int(hole[2]), rng) for hole in _HOLE.finditer(text)]
                yield Line(label, _filled(text, values), tuple(values))


def _filled(text: str, values: list[str]) -> str:
    made = iter(values)
    return _HOLE.sub(lambda _: next(made), text)


def _made(kind: str, length: int, rng: random.Random) -> str:  # noqa: PLR0911 (one for each kind)
    def some(alphabet: str, count: int) -> str:
        return "".join(rng.choices(alphabet, k=count))

    def segment(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")

    match kind:
        case "uuid":
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        case "jwt":
            body = {"sub": some(_B62, 8), "exp": 1790000000 + rng.randrange(10**6)}
            return f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(body)}.{some(_ALPHABETS['url64'], 43)}"
        case "mapbox":
            return f"{segment({'u': some(_ALPHABETS['b36'], 8), 'a': some(_ALPHABETS['b36'], 25)})}.{some(_B62, 22)}"
        case "neptune":
            body = {"api_address": "https://app.neptune.ai", "api_key": _made("uuid", 0, rng)}
            return base64.b64encode(json.dumps(body, separators=(",", ":")).encode()).decode()
        case "sig":
            return quote(base64.b64encode(rng.randbytes(length)).decode(), safe="")
        case "pct64":
            return quote(some(_ALPHABETS["b64"], length), safe="")
        case "pem":
            return "".join(f"{some(_ALPHABETS['b64'], 64)}\n" for _ in range(length))
        case "basic":
            return base64.b64encode(f"client{rng.randrange(99)}:{some(_B62, length)}".encode()).decode()
    return some(_ALPHABETS[kind], length)
