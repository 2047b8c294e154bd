"""In the text of a notebook nothing changes but the strings that are replaced."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_tokens.scan.files import rewrite
from jupyter_tokens.scan.notebook import Target, redact, scan
from jupyter_tokens.scan.values import Known

from .notebooks import NOTEBOOKS, at, strings

VALUE = "held value of A9"
HELD = Known({VALUE: "token a"})


@pytest.mark.parametrize(
    ("text", "edits", "after"),
    [
        ('{"a" : [1.50,"x" ]}\n', {("a", 1): "y"}, '{"a" : [1.50,"y" ]}\n'),
        ('{"a":{},"b":[[],{"c":"x"}]}', {("b", 1, "c"): 'q"\\'}, '{"a":{},"b":[[],{"c":"q\\"\\\\"}]}'),
        ('{"a": "\\u00e9x", "b": "\\u00e9"}', {("a",): "éy"}, '{"a": "\\u00e9y", "b": "\\u00e9"}'),
        ('{"a": "éx",\r\n"b": "\\/"}', {("a",): "éy"}, '{"a": "éy",\r\n"b": "\\/"}'),
        ('["{[,:", "x"]', {(1,): "y"}, '["{[,:", "y"]'),
        ('{"\\u0061": "x"}', {("a",): "y"}, '{"\\u0061": "y"}'),
        ('["é\\ud800x"]', {(0,): "é\ud800y"}, '["é\\ud800y"]'),
        ('"x"', {(): "y"}, '"y"'),
    ],
)
def test_replaces_and_keeps_the_rest(text: str, edits: dict[Any, str], after: str) -> None:
    assert rewrite(text, {Target(path): ("", value) for path, value in edits.items()}) == after


def test_replaces_a_name() -> None:
    edits = {Target(("a", "x"), is_name=True): ("x", "y"), Target(("a", "x")): ("1", "2")}
    assert rewrite('{"x": 0, "a": {"x": "1"}}', edits) == '{"x": 0, "a": {"y": "2"}}'


@settings(deadline=None)  # a busy machine is no failure
@given(NOTEBOOKS, st.sampled_from([None, 1, 2, "\t"]), st.booleans(), st.booleans(), st.data())
def test_only_lines_with_a_finding_change(
    content: Any, indent: Any, ascii_only: bool, named: bool, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(strings(content)))
    parent = at(content, path[:-1])
    if named and isinstance(parent, dict):
        parent[f"{VALUE} {path[-1]}"] = parent.pop(path[-1]) if parent is not content else "x"
    else:
        parent[path[-1]] = f"{VALUE} {parent[path[-1]]}"
    text = json.dumps(content, indent=indent, ensure_ascii=ascii_only) + "\n"
    scanned = scan(content, HELD)
    after = rewrite(text, scanned.edits)
    # As in a diff; a string of JSON is always of one line.
    pairs = list(zip(text.split("\n"), after.split("\n"), strict=True))
    assert [before for before, now in pairs if before != now] == [
        before for before, _ in pairs if VALUE in before and scanned.edits
    ]
    in_memory = copy.deepcopy(content)
    redact(in_memory, scanned.edits)
    assert json.loads(after) == in_memory
