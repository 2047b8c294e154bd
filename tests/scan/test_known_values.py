"""Held values are found, all of them and nothing else, however many there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens._util.encodings import SHORTEST, forms_of
from jupyter_tokens.scan.values import Known

# Few letters, so that values share beginnings and stand in one another.
VALUES = st.text("ab1/", min_size=SHORTEST - 1, max_size=40)


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_finds_what_a_plain_search_finds(values: list[str], data: st.DataObject) -> None:
    pieces = st.lists(st.one_of(st.sampled_from(values), st.text("ab1/ ", max_size=9)), max_size=8)
    text = "".join(data.draw(pieces))
    forms = {form for value in values for form in forms_of(value)}
    expected = {(at, at + len(form)) for form in forms for at in range(len(text)) if text.startswith(form, at)}
    assert {(span.start, span.end) for span in Known(dict.fromkeys(values, "token a")).spans(text)} == expected


def test_finds_one_among_thousands() -> None:
    values = {f"value-number-{i:06}-of-many": f"token p{i}" for i in range(5000)}
    (span,) = Known(values).spans("x" * 99 + "value-number-004999-of-many" + "y")
    assert (span.start, span.kind) == (99, "token p4999")


def test_nothing_known_finds_nothing() -> None:
    assert list(Known({}).spans("anything")) == []


def test_a_name_cannot_break_what_it_is_written_into() -> None:
    (span,) = Known({"0123456789": 'token a"</b>\\'}).spans("0123456789")
    assert span.mark == "[token a___b__]"


def test_its_repr_shows_no_value() -> None:
    assert "0123456789" not in repr(Known({"0123456789": "token a"}))
