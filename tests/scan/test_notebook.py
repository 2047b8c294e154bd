"""Whatever is planted in a notebook is found, told by its place and never by its value, and taken out of outputs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_tokens.cli.demo import notebooks_folder
from jupyter_tokens.scan.notebook import Location, redact, scan
from jupyter_tokens.scan.values import Known

from .notebooks import NOTEBOOKS, WIDGETS, at, code, notebook, ordinary, output, strings

VALUE = 'held/"value"+of=A9é'
HELD = Known({VALUE: "token oneaccess"})
ACCESS_KEY = "LTAItestAccessKeyId01"
WRITTEN = st.sampled_from([VALUE, json.dumps(VALUE), json.dumps(json.dumps({"a": VALUE})), ACCESS_KEY])


def places(content: Any, known: Known = HELD) -> list[str]:
    return [f"{each.place}:{each.line}" for each in scan(content, known).findings]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (notebook(code(f"a = 1\nb = '{VALUE}'")), "cell 1 source:2"),
        (notebook(code(["a\n", "b\n", VALUE])), "cell 1 source:3"),
        (notebook(code(), code(outputs=[output({}), output({"text/plain": VALUE})])), "cell 2 output 2:1"),
        (notebook(code(outputs=[{**output({}), "metadata": {"a": {"b": [VALUE]}}}])), "cell 1 output 1:1"),
        (notebook(code(outputs=[output({"application/json": {VALUE: 1}})])), "cell 1 output 1:1"),
        (notebook(code(outputs=[{"output_type": "error", "traceback": ["a", f"b\n{VALUE}"]}])), "cell 1 output 1:2"),
        (notebook({**code(), "metadata": {"tags": [VALUE]}}), "cell 1 metadata:1"),
        (notebook({**code(), "attachments": {"a.txt": {"text/plain": VALUE}}}), "cell 1 attachment:1"),
        (notebook(metadata={"papermill": {"parameters": {"x": VALUE}}}), "metadata:1"),
        (notebook(metadata={"widgets": {WIDGETS: {"state": {"m": {"state": {"value": VALUE}}}}}}), "widget state:1"),
        ({**notebook(), "other": VALUE}, "metadata:1"),
    ],
)
def test_tells_where(content: Any, place: str) -> None:
    assert places(content) == [place]


def test_a_name_beside_its_value_in_json() -> None:
    answer = {"access_token": "334a5c9140d3b2f1e0a9", "token_type": "Bearer", "expires_in": 1719}
    (finding,) = scan(notebook(code(outputs=[output({"application/json": answer})]))).findings
    assert (finding.kind, finding.length) == ("value of access_token", 20)


def test_a_value_over_two_lines_of_a_list_is_one() -> None:
    content = notebook(code(outputs=[output({"text/plain": ["1\n", "x 01234\n", "56789 y\n"]})]))
    known = Known({"01234\n56789": "token a"})
    assert places(content, known) == ["cell 1 output 1:2"]
    redact(content, scan(content, known).edits)
    assert content["cells"][0]["outputs"][0]["data"]["text/plain"] == ["1\n", "x [token a]", " y\n"]


def test_strings_of_a_list_that_is_no_text_stay_apart() -> None:
    # As one text, the first would hide the second.
    assert places(notebook(code(outputs=[output({"application/json": ["abc", ACCESS_KEY]})]))) == ["cell 1 output 1:1"]


@pytest.mark.parametrize("data", ["text/plain", "text/html", "image/svg+xml"])
def test_text_in_pieces_is_one_text(data: str) -> None:
    # As nbformat reads it: joined, also where a piece has no line end.
    content = notebook(code(outputs=[output({data: ["a\n", f"x={ACCESS_KEY[:9]}", f"{ACCESS_KEY[9:]} b\n"]})]))
    assert places(content) == ["cell 1 output 1:2"]
    redact(content, scan(content).edits)
    assert content["cells"][0]["outputs"][0]["data"][data] == ["a\n", "x=[Alibaba AccessKey id]", " b\n"]


def test_neighbouring_strings_are_not_read_as_one() -> None:
    value = "qV7xKw2LpT9sZcR4nB8m"
    content = notebook(code("access_token ="), code(f"'{value}'"), code(f"'{ACCESS_KEY[:9]}"), code(ACCESS_KEY[9:]))
    assert places(content) == []
    assert places(notebook(code(f"access_token = '{value}'"))) == ["cell 1 source:1"]


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/pdf", "audio/wav"])
def test_in_pictures_only_held_values_are_found(kind: str) -> None:
    shapes = f"iVBORw0KGgo {ACCESS_KEY} {'A' * 300}"
    assert places(notebook(code(outputs=[output({kind: shapes})]))) == []
    assert places(notebook(code(outputs=[output({kind: f"{shapes} {VALUE}"})]))) == ["cell 1 output 1:1"]
    attached = {**code(), "attachments": {"a": {kind: shapes}}}
    assert places(notebook(attached)) == []


@pytest.mark.parametrize("column", [{"0": "334a5c9140d3b2f1e0a9"}, ["334a5c9140d3b2f1e0a9"], "334a5c9140d3b2f1e0a9"])
def test_a_column_of_a_table_in_json(column: object) -> None:
    (finding,) = scan(notebook(code(outputs=[output({"application/json": {"access_token": column}})]))).findings
    assert finding.kind == "value of access_token"


def test_one_finding_for_what_is_held_and_has_a_shape() -> None:
    (finding,) = scan(notebook(code(f"Bearer {ACCESS_KEY}")), Known({ACCESS_KEY: "token eiam"})).findings
    assert finding.kind == "token eiam"


def test_what_a_removal_uncovers_is_removed_too() -> None:
    text = f"{ACCESS_KEY}/{VALUE}"
    content = notebook(code(outputs=[output({"text/plain": text.replace("/", "", 1)})]))
    redact(content, scan(content, HELD).edits)
    assert places(content) == []


def test_an_id_that_is_itself_a_finding_is_not_shown() -> None:
    found = scan(notebook(code(f"'{VALUE}'", cell_id=ACCESS_KEY)), HELD).findings
    assert [finding.place.cell_id for finding in found] == [None, None]


def test_what_it_tells_holds_no_value() -> None:
    content = notebook(code(f"{VALUE} {ACCESS_KEY}", [output({VALUE: VALUE})]))
    told = f"{scan(content, HELD).findings!r} {[str(finding) for finding in scan(content, HELD).findings]}"
    assert VALUE not in told
    assert VALUE[:4] not in told
    assert ACCESS_KEY[:6] not in told


def test_only_what_a_kernel_wrote_may_change() -> None:
    assert [
        part for part in ("source", "metadata", "attachment", "output", "widget state") if Location(part).may_change
    ] == [
        "output",
        "widget state",
    ]


def test_many_findings_in_a_long_output_take_no_square_of_time() -> None:
    lines = [f"{number:06} {VALUE}\n" for number in range(60_000)]
    content = notebook(code(outputs=[output({"text/plain": lines})]))
    scanned = scan(content, HELD)
    assert [finding.line for finding in scanned.findings] == list(range(1, 60_001))
    redact(content, scanned.edits)
    assert content["cells"][0]["outputs"][0]["data"]["text/plain"][-1] == "059999 [token oneaccess]\n"


class TestOrdinaryNotebooks:
    @pytest.mark.parametrize("path", sorted(notebooks_folder().glob("*.ipynb")), ids=lambda path: path.name)
    def test_our_tutorials(self, path: Path) -> None:
        assert scan(json.loads(path.read_text(encoding="utf-8"))).findings == []

    def test_pictures_plots_tables_and_widgets(self) -> None:
        assert scan(ordinary(), Known({f"held-value-{n:04}": "token a" for n in range(50)})).findings == []


@settings(deadline=None)  # a busy machine is no failure
@given(NOTEBOOKS, WRITTEN, st.text(" .:", min_size=1, max_size=3), st.data())
def test_planted_anywhere_it_is_found_and_redacted(content: Any, written: str, near: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(strings(content)))
    parent, before = at(content, path[:-1]), at(content, path)
    end = "\n" if before.endswith("\n") else ""
    cut = data.draw(st.integers(0, len(before.removesuffix("\n"))))
    around = before[:cut] + near, near + before.removesuffix("\n")[cut:] + end
    untouched = copy.deepcopy(content)
    parent[path[-1]] = written.join(around)
    planted = copy.deepcopy(content)
    scanned = scan(content, HELD)
    assert content == planted
    assert len(scanned.findings) == 1
    redact(content, scanned.edits)
    if scanned.findings[0].place.may_change:
        assert scan(content, HELD).findings == []
        # Beside the mark everything is what it was.
        redacted_text = at(content, path)
        assert redacted_text.startswith(around[0])
        assert redacted_text.endswith(around[1])
        at(content, path[:-1])[path[-1]] = before
        assert content == untouched
    else:
        assert content == planted
