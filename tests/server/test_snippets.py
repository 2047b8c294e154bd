"""The text that sets a variable. Python's is run here and, as R's, in real kernels (test_kernel_push.py).

Julia has no package on the machines that test this: what is sent is decoded by a reader of Julia's literals below, by
Julia's documented rules, but no Julia has ever run it there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.errors import ConfigurationError, ParameterError, TokenError, UnusableToken
from jupyter_tokens.protocol.proof import FILLED_VARIABLE
from jupyter_tokens.server import snippets
from jupyter_tokens.server.snippets import MAX_BYTES, Snippet, filled_entries, languages, snippet, unset

HOSTILE = [
    "",
    "'",
    '"',
    "`id`",
    "$HOME ${x} $(id)",
    "\\",
    "\\\\'\"",
    "a\nb\r\nc",
    '"; run(`id`); "',
    "é漢🔑",
    "\x01\x7f\u2028",
    "{0}%s",
]
values = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
JULIA = re.compile(
    r'\(Base\.setindex!\(Base\.ENV, Base\.String\(Base\.hex2bytes\("([0-9a-f]*)"\)\), '
    r'Base\.String\(Base\.hex2bytes\("([0-9a-f]*)"\)\)\); Base\.nothing\)'
)


@given(name=names, value=values)
def test_python_sets_exactly_that_and_binds_no_name(name: str, value: str) -> None:
    code, expression = snippet("python", {name: value})
    assert code == ""
    namespace: dict[str, object] = {}
    before = os.environ.get(name)
    try:
        eval(expression, namespace)
        assert os.environ[name] == value
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
    assert namespace.keys() == {"__builtins__"}


@given(name=names, value=values)
def test_julia_is_sent_nothing_but_digits_between_its_quotes(name: str, value: str) -> None:
    code, expression = snippet("julia", {name: value})
    assert code == ""
    match = JULIA.fullmatch(expression)
    assert match is not None
    assert [bytes.fromhex(digits).decode() for digits in match.groups()] == [value, name]


@given(name=names, value=values)
def test_r_is_sent_the_same_code_whatever_the_value(name: str, value: str) -> None:
    code, expression = snippet("R", {name: value})
    assert code == snippet("r", {"OTHER": "other"}).code
    *words, guard = expression.split(" ")
    assert [bytes.fromhex(digits).decode() for digits in words] == [name, value]
    assert guard == "-"


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_variable_can_hold_is_refused(value: str) -> None:
    with pytest.raises(UnusableToken, match="character"):
        snippet("python", {"NAME": value})


def test_a_value_that_is_too_long_is_refused() -> None:
    assert snippet("python", {"NAME": "x" * MAX_BYTES})
    with pytest.raises(UnusableToken, match="too many for an environment variable"):
        snippet("python", {"NAME": "x" * (MAX_BYTES + 1)})


@pytest.mark.parametrize("name", ["", "A B", "A=B", "é", "1A", "A\0"])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="environment variable"):
        snippet("python", {name: "value"})


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=r"'cobol'.*python, r, julia"):
        snippet("cobol", {"NAME": "value"})


def _octave(name: str, value: str) -> Snippet:
    return Snippet("", f"setenv {name.encode().hex()} {value.encode().hex()}")


def _broken(name: str, value: str) -> Snippet:
    raise RuntimeError(value)


def _wrong(name: str, value: str) -> str:
    return value


class TestOtherPackages:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        added = {"Octave": "_octave", "broken": "_broken", "wrong": "_wrong", "Python": "_wrong", "gone": "_gone"}
        points = [
            EntryPoint(name, f"{__name__}:{value}", "jupyter_tokens.kernel_languages") for name, value in added.items()
        ]
        monkeypatch.setattr(snippets, "entry_points", lambda group: points)
        snippets._installed.cache_clear()
        monkeypatch.setattr(EntryPoint, "load", lambda point: globals()[point.attr])
        yield
        snippets._installed.cache_clear()

    def test_can_add_a_language_but_not_change_a_built_in_one(self) -> None:
        assert languages() == ["python", "r", "julia", "broken", "gone", "octave", "wrong"]
        assert snippet("octave", {"A": "b"}) == Snippet("", "setenv 41 62")
        assert "unhexlify" in snippet("python", {"A": "b"}).expression

    @pytest.mark.parametrize("language", ["broken", "wrong", "gone"])
    def test_that_fail_are_told_of_without_the_value(self, language: str) -> None:
        with pytest.raises(ConfigurationError, match=language) as caught:
            snippet(language, {"NAME": "c4n4ry"})
        seen: TokenError | BaseException | None = caught.value
        assert "c4n4ry" not in str(seen)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("expected", [None, "v'al", "other"])
def test_python_unsets_what_is_still_ours(expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "v'al")
    notes = filled_entries("OTHER_TOKEN", "other", {})
    monkeypatch.setenv(FILLED_VARIABLE, json.dumps({**notes, **filled_entries("SOME_TOKEN", "some", {})}))
    code, expression = unset("python", "SOME_TOKEN", expected)
    # What it evaluates to goes into the kernel's reply.
    assert (code, eval(expression, {})) == ("", None)
    assert ("SOME_TOKEN" in os.environ) == (expected == "other")
    # In either case, what the variable contains now is not ours.
    assert json.loads(os.environ[FILLED_VARIABLE]) == notes


def test_julia_unsets_by_name() -> None:
    named = 'Base.String(Base.hex2bytes("585f544f4b454e"))'
    assert unset("Julia", "X_TOKEN").expression == f"(true && Base.delete!(Base.ENV, {named}); Base.nothing)"
    guarded = unset("julia", "X_TOKEN", "v").expression
    ours = f'Base.get(Base.ENV, {named}, "") == Base.String(Base.hex2bytes("76"))'
    assert guarded == f"({ours} && Base.delete!(Base.ENV, {named}); Base.nothing)"
