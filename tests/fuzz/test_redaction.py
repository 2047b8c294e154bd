"""Whatever the values and whatever the text: no known value stays, and nothing else changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from jupyter_tokens._util.encodings import MIN_LENGTH, encoded_forms
from jupyter_tokens.kernel.redaction.known_values import KnownValues
from jupyter_tokens.kernel.redaction.search import Search

from .conftest import Fuzz
from .strange import JSON, TEXTS

pytestmark = pytest.mark.slow

LABEL = "token x"
# Few letters, so that values are parts of one another and of the text; brackets and blanks are the label's.
_VALUES = st.text(st.sampled_from('ab/é"<%'), min_size=MIN_LENGTH, max_size=24) | st.text(
    st.characters(exclude_characters="[] "), min_size=MIN_LENGTH, max_size=24
)
_SETS = st.lists(_VALUES, min_size=1, max_size=4)


@st.composite
def told(draw: Any) -> tuple[list[str], str]:
    """Values, and a text that some of them stand in, in any of their forms, whole or in part."""
    values = draw(_SETS)
    forms = sorted({form for value in values for form in encoded_forms(value)})
    piece = st.sampled_from(forms) | st.sampled_from(forms).flatmap(
        lambda form: st.integers(1, len(form)).map(lambda end: form[:end])
    )
    return values, "".join(draw(st.lists(piece | TEXTS, max_size=6)))


def known(values: list[str]) -> KnownValues:
    held = KnownValues()
    for value in values:
        held.add(value, LABEL)
    return held


def test_no_form_of_a_value_stays(fuzz: Fuzz) -> None:
    def check(made: tuple[list[str], str]) -> None:
        values, text = made
        clean = known(values).search().redacted(text)
        assert not [form for value in values for form in encoded_forms(value) if form in clean]
        assert known(values).search().redacted(clean) == clean

    fuzz(check, told(), times=50)


def test_a_text_without_a_value_stays_as_it_is(fuzz: Fuzz) -> None:
    def check(values: list[str], data: Any) -> None:
        search = known(values).search()
        text = repr(data)
        assume(not any(form in text for value in values for form in encoded_forms(value)))
        assert search.redacted(text) == text
        assert search.redacted_bytes(text.encode("utf-8", "surrogatepass")) is None
        if isinstance(data, dict | list):
            assert repr(search.redacted_object(data)) == text

    fuzz(check, _SETS, JSON, times=40)


def flushed(search: Search, text: str, places: list[int]) -> str:
    """What is shown of a text that comes in pieces, as `message_hooks` shows it."""
    at = sorted([0, *(place % (len(text) + 1) for place in places), len(text)])
    shown, kept = "", ""
    for start, end in pairwise(at):
        ready, kept = search.split(kept + text[start:end])
        shown += search.redacted(ready)
    return shown + search.redacted(kept)


def test_flushed_at_any_places_it_says_what_it_says_at_once(fuzz: Fuzz) -> None:
    def check(made: tuple[list[str], str], places: list[int]) -> None:
        values, text = made
        search = known(values).search()
        shown = flushed(search, text, places)
        assert not [form for value in values for form in encoded_forms(value) if form in shown]

    fuzz(check, told(), st.lists(st.integers(0, 200), max_size=6), times=50)


def test_one_value_flushed_at_any_places_is_the_same_text(fuzz: Fuzz) -> None:
    def check(value: str, before: str, after: str, places: list[int]) -> None:
        text = before + value + after
        search = known([value]).search()
        # Where values overlap, or begin anew within themselves, which one is taken out may depend on what was seen.
        assume(sum(text.startswith(value, at) for at in range(len(text))) == 1)
        assert flushed(search, text, places) == search.redacted(text)

    plain = st.text(st.characters(categories=["L", "N", "Zs"]), max_size=30)
    value = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-_."), min_size=12, max_size=40)
    fuzz(check, value, plain, plain, st.lists(st.integers(0, 200), max_size=6), times=50)


def test_bytes_keep_their_length(fuzz: Fuzz) -> None:
    def check(value: str, before: bytes, after: bytes) -> None:
        data = before + value.encode("utf-8", "surrogatepass") + after
        clean = known([value]).search().redacted_bytes(data)
        assert clean is not None
        assert len(clean) == len(data)
        assert value.encode("utf-8", "surrogatepass") not in clean

    fuzz(check, _VALUES, st.binary(max_size=30), st.binary(max_size=30), times=40)
