"""What nobody expects of outside data: texts, numbers and JSON of every kind, and right data with one thing wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from jupyter_tokens.errors import TokenError

from ..doubles import CANARY

AWKWARD = (
    "",
    " ",
    "\0",
    "\r\nX-Header: 1",
    "\x1b[2J",
    "\ud800",
    "\udcff",
    "é",
    "\u202etxt",
    "٣",
    "²",
    "%",
    "%00",
    "%ff",
    "%2e%2e%2f",
    "../..",
    "{0.__class__}",
    "NaN",
    "-1",
    "1e999",
    "9" * 5000,
    "0" * 400,
    "x" * 5000,
    "true",
    "null",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-02-30T00:00:00Z",
    "20260101T000000Z",
    "2026-W01-1",
    "Thu, 01 Jan 1970 00:00:00 GMT",
)
TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(AWKWARD)
"""Half of a surrogate pair may be among the characters: JSON can say so."""
NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 2**31, 2**63, 253402300799, 253402300800, -62135596800, -62135596801, 10**30, 10**400])
)
DATES = st.datetimes(timezones=st.none() | st.timezones()).map(lambda moment: moment.isoformat())
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | DATES
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)

# What json.dumps does not write, and each reader takes for something else.
_LITERALS = {
    "@digits": b"9" * 5000,
    "@exponent": b"1e999",
    "@deep": b"[" * 300 + b"]" * 300,
    "@deeper": b'{"a":' * 900 + b"1" + b"}" * 900,
    "@abyss": b"[" * 20_000,
    "@bare": b"\xff\xfe",
    "@half": b'"\xed\xa0\x80"',
}
WRONG = JSON | st.sampled_from(sorted(_LITERALS))
"""To be put where something else is expected, and written by `as_json`."""


def as_json(value: Any) -> bytes:
    """As some server writes it, be it JSON or not."""
    data = json.dumps(value).encode()
    for name, literal in _LITERALS.items():
        data = data.replace(f'"{name}"'.encode(), literal)
    return data


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for name, part in items for found in _paths(part, (*path, name)))]


@st.composite
def mutated(draw: Callable[..., Any], right: Any, *, most: int = 3) -> Any:
    """Right data with some of its parts wrong, missing or added."""
    made = copy.deepcopy(right)
    for _ in range(draw(st.integers(0, most))):
        path = draw(st.sampled_from(_paths(made)))
        if not path:
            if isinstance(made, dict) and draw(st.booleans()):
                made[draw(TEXTS)] = draw(WRONG)
            elif draw(st.integers(0, 9)) == 0:
                return draw(WRONG)
            continue
        parent = made
        for step in path[:-1]:
            parent = parent[step]
        if draw(st.booleans()):
            parent[path[-1]] = draw(WRONG)
        else:
            del parent[path[-1]]
    return made


@st.composite
def bodies(draw: st.DrawFn, right: Any) -> bytes:
    """An answer or a request in JSON, nearly as it should be; or bytes of any kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    data = as_json(draw(mutated(right)))
    match draw(st.integers(0, 19)):
        case 0:
            return data[: draw(st.integers(0, len(data)))]
        case 1:
            return data.decode("latin-1").encode(draw(st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "utf-16-le"])))
        case 2:
            return data + draw(st.binary(max_size=9))
    return data


def strict(text: str | bytes) -> Any:
    """JSON as others than Python read it. Raises ValueError."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text.decode() if isinstance(text, bytes) else text, parse_constant=refuse)


@contextmanager
def typed(*kinds: type[Exception], untold: Sequence[str] = (CANARY,)) -> Iterator[None]:
    """Lets through errors of these kinds that say what was wrong, and nothing that is not to be told."""
    try:
        yield
    except kinds as error:
        say_enough(error, untold)


def say_enough(error: Exception, untold: Sequence[str] = (CANARY,)) -> None:
    """An error's text is there, can be written, and holds nothing that is not to be told."""
    assert str(error).strip()
    if isinstance(error, TokenError):
        error.message.encode()
    shown = f"{error} {error!r} {vars(error)}"
    assert not [text for text in untold if text in shown]
