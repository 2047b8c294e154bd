"""Parameters of a call, checked before anything is sent."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_tokens._util.hints import closest
from jupyter_tokens.errors import ParameterError
from jupyter_tokens.providers.params import Param, parse_params

INTEGER = Param("", type="integer", minimum=0)
BOOLEAN = Param("", type="boolean")
CHOICE = Param("", choices=("job", "tensorboard"))
ID = Param("", identifier=True)
TEXT = Param("")
SIGNED = Param("", type="integer")
LIMITED = Param("", type="integer", minimum=1, maximum=1800)
ARRAY = Param("", type="array")


@pytest.mark.parametrize(
    ("param", "value", "parsed"),
    [
        (INTEGER, 60, 60),
        (INTEGER, "60", 60),
        (INTEGER, 0, 0),
        (INTEGER, 10**18 - 1, 10**18 - 1),
        (SIGNED, "-5", -5),
        (LIMITED, 1800, 1800),
        (ARRAY, "User:Read:ALL  b", ("User:Read:ALL", "b")),
        (ARRAY, ["a b", "c"], ("a b", "c")),
        (ARRAY, ("a",), ("a",)),
        (BOOLEAN, True, True),
        (BOOLEAN, "false", False),
        (BOOLEAN, "True", True),
        (CHOICE, "job", "job"),
        (ID, "dlc 1é%", "dlc 1é%"),
        (TEXT, "", ""),
        (TEXT, "a/b\n", "a/b\n"),
    ],
)
def test_accepted(param: Param, value: object, parsed: object) -> None:
    made = param.parse("X", value)
    assert (made, type(made)) == (parsed, type(parsed))


@pytest.mark.parametrize(
    ("param", "value", "words"),
    [
        (INTEGER, -1, "must be at least 0, not -1"),
        (INTEGER, "-1", "must be at least 0, not '-1'"),
        (INTEGER, "1.5", "must be a whole number of at most 18 digits, not '1.5'"),
        (INTEGER, 1.5, "must be a whole number of at most 18 digits, not 1.5"),
        (INTEGER, "", "must be a whole number"),
        (INTEGER, " 60", "must be a whole number"),
        (INTEGER, "1_0", "must be a whole number"),
        (INTEGER, "٣", "must be a whole number"),
        (INTEGER, True, "must be a whole number of at most 18 digits, not True"),
        (INTEGER, 10**18, "must be a whole number"),
        pytest.param(INTEGER, 10**5000, "must be a whole number of at most 18 digits, not int", id="huge"),
        (INTEGER, "9" * 5000, "must be a whole number"),
        (INTEGER, [60], "must be a whole number of at most 18 digits, not list"),
        (LIMITED, 1801, "must be at most 1800, not 1801"),
        (ARRAY, "  ", "must be a list of one or more non-empty strings, not '  '"),
        (ARRAY, [], "must be a list of one or more non-empty strings, not list"),
        (ARRAY, ["a", 5], "must be a list of one or more non-empty strings, not list"),
        (ARRAY, ["a", " "], "must be a list of one or more non-empty strings, not list"),
        (ARRAY, 5, "must be a list of one or more non-empty strings, not 5"),
        (BOOLEAN, 1, "must be true or false, not 1"),
        (BOOLEAN, "yes", "must be true or false, not 'yes'"),
        (BOOLEAN, {}, "must be true or false, not dict"),
        (CHOICE, "Job", "must be one of job, tensorboard, not 'Job'"),
        (CHOICE, "", "must be one of"),
        (ID, "", "must be a non-empty id"),
        (ID, "  ", "must be a non-empty id"),
        (ID, "a/b", "must be an id, without a slash or backslash, not 'a/b'"),
        (ID, "a\\b", "without a slash"),
        (ID, ".", "without a slash"),
        (ID, "..", "without a slash"),
        (ID, "a\nb", "must be an id without control or other invisible characters"),
        (ID, "a\ud800", "must be an id without control or other invisible characters"),
        (ID, 5, "must be a string, not 5"),
        (TEXT, b"x", "must be a string, not bytes"),
    ],
)
def test_refused(param: Param, value: object, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        param.parse("X", value)
    assert caught.value.message.startswith("Parameter X ")
    assert words in caught.value.message
    assert caught.value.unsent
    assert len(caught.value.message) < 200


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.floats(), st.none(), st.lists(st.integers())))
def test_whatever_is_given_is_parsed_or_refused(value: object) -> None:
    for param in (INTEGER, BOOLEAN, CHOICE, ID, TEXT):
        parsed = None
        with suppress(ParameterError):
            parsed = param.parse("X", value)
        assert parsed is None or isinstance(parsed, str | int | bool)


def test_schema() -> None:
    assert INTEGER.schema() == {"type": "integer", "description": "", "minimum": 0}
    assert CHOICE.schema() == {"type": "string", "description": "", "enum": ["job", "tensorboard"]}
    assert Param("What.", type="boolean").schema() == {"type": "boolean", "description": "What."}


@example("..")
@example("...")
@example("a\\b")
@given(st.text(st.characters(max_codepoint=127)))
def test_the_schema_of_an_id_accepts_what_is_accepted(value: str) -> None:
    schema = ID.schema()
    try:
        accepted = ID.parse("X", value) == value
    except ParameterError:
        accepted = False
    assert (re.fullmatch(schema["pattern"], value) is not None) is accepted


KNOWN = {"A": Param("", required=True), "B": INTEGER}


def test_parsed_in_the_order_of_the_known_whatever_the_calls() -> None:
    assert list(parse_params(KNOWN, {"B": "1", "A": "x"}).items()) == [("A", "x"), ("B", 1)]


def test_none_leaves_a_parameter_out() -> None:
    assert parse_params(KNOWN, {"A": "x", "B": None}) == {"A": "x"}
    with pytest.raises(ParameterError, match="A is missing"):
        parse_params(KNOWN, {"A": None})


def test_unknown() -> None:
    with pytest.raises(ParameterError, match="'ExpireTme' is not a parameter") as caught:
        parse_params({"ExpireTime": INTEGER}, {"ExpireTme": 1})
    assert caught.value.hint == "Did you mean ExpireTime?"


def test_missing() -> None:
    with pytest.raises(ParameterError, match="A is missing") as caught:
        parse_params(KNOWN, {})
    assert "A=…" in caught.value.hint


def test_closest() -> None:
    assert closest("alhpa", ["alpha", "beta"]) == "Did you mean alpha?"
    assert closest("x", ["alpha", "beta"]) == "Known: alpha, beta."
    assert closest("x", []) == "There are no names to choose from."
