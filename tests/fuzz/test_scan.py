"""Whatever a notebook holds: scanned, or refused with a reason; and what is redacted is all that changes."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from jupyter_tokens._util.encodings import encoded_forms
from jupyter_tokens.scan.files import NotReadable, scan_file
from jupyter_tokens.scan.notebook import redact, scan
from jupyter_tokens.scan.values import Known

from ..scan.notebooks import code, notebook, output
from .conftest import Fuzz
from .strange import JSON, TEXTS, bodies, mutated, typed

pytestmark = pytest.mark.slow

HELD = "h3ld-v4lue/of+a t0ken"
OTHER = "an0ther-h3ld-v4lue"
KNOWN = Known({HELD: "token a", OTHER: "token a"})
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWE"
DEEP = base64.urlsafe_b64encode(b'{"a":' + b"[" * 3000).decode().rstrip("=")
HIDDEN = st.sampled_from(
    [
        *sorted(encoded_forms(HELD)),
        OTHER,
        JWT,
        f"{DEEP[:4000]}.eyJzdWIi.c2lnbmF0dXJl",
        "LTAI5tQ7ZxKp9Wc2Nf8Rb3Vy",
        "access_token=Zm9vYmFyYmF6MTIz",
    ]
)
_PIECES = TEXTS | HIDDEN
_STRINGS = st.lists(_PIECES, max_size=4).map("".join)
_DATA = st.recursive(
    _STRINGS | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_STRINGS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def notebooks(draw: Callable[..., Any]) -> Any:
    """Notebooks with values in every place, the names of things among them."""
    cells = [
        code(
            draw(_STRINGS),
            [output(draw(_DATA)) for _ in range(draw(st.integers(0, 2)))],
            draw(st.just("c0ffee") | _STRINGS),
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    return notebook(*cells, metadata={"title": draw(_STRINGS), "widgets": draw(st.just({}) | _DATA)})


def written(content: Any) -> bytes:
    return json.dumps(content).encode()


def changed(content: Any, known: Known) -> Any:
    """What a notebook is when everything that may change has been taken out."""
    made = copy.deepcopy(content)
    redact(made, scan(content, known).edits)
    return made


def test_a_file_of_any_bytes(fuzz: Fuzz, tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"
    right = notebook(code("1", [output({"text/plain": [HELD, "\n"]})]), metadata={"widgets": {"a": {"state": {}}}})

    def check(data: bytes, fix: bool) -> None:
        file.write_bytes(data)
        changed = False
        with typed(NotReadable, untold=[HELD]):
            found = scan_file(file, KNOWN, fix=fix)
            changed = found.changed
            assert HELD not in repr(found)
        assert changed == (file.read_bytes() != data)

    fuzz(check, bodies(right), st.booleans(), times=40)


def test_what_is_redacted_is_all_that_changes(fuzz: Fuzz, tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"

    def check(content: Any) -> None:
        data = written(content)
        try:
            json.loads(data)
        except RecursionError:
            return
        file.write_bytes(data)
        found = scan_file(file, KNOWN, fix=True)
        after = file.read_bytes()
        assert json.loads(after) == changed(json.loads(data), KNOWN)
        assert not [left for left in found.remaining if left.place.may_change]
        assert {str(left) for left in found.remaining} <= {str(one) for one in found.findings}
        if not found.changed:
            assert after == data
        again = scan_file(file, KNOWN, fix=True)
        assert not again.changed
        assert file.read_bytes() == after

    two = notebook(code("1", [output({HELD: 1, OTHER: 2, "x": {JWT: [3], f"{JWT}A": 4}})]))
    widgets = notebook(metadata={"widgets": {"a": {HELD: {"state": HELD}}}})
    fuzz(check, notebooks(), times=50, known=[(two,), (widgets,)])


def test_a_notebook_of_any_shape(fuzz: Fuzz) -> None:
    right = notebook(code([HELD, "\n"], [output({"text/plain": [HELD]})]), metadata={"widgets": {"a": {"state": HELD}}})

    def check(content: Any) -> None:
        if isinstance(content, dict):
            made = changed(content, KNOWN)
            assert not [one for one in scan(made, KNOWN).findings if one.place.may_change]

    known = [(notebook(code("1", [output({"text/plain": f"{DEEP[:4000]}.eyJzdWIi.c2lnbmF0dXJl"})])),)]
    fuzz(check, mutated(right) | notebooks(), times=40, known=known)
