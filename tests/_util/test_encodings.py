"""A value is found however it was written."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_tokens._util.encodings import MIN_LENGTH, encoded_forms

VALUES = st.text(min_size=MIN_LENGTH, max_size=60).filter(lambda text: text.isprintable())
AROUND = st.text(max_size=6)


def stands_in(value: str, text: str) -> bool:
    return any(form in text for form in encoded_forms(value))


@settings(deadline=None)  # a busy machine is no failure
@given(VALUES, AROUND, AROUND)
def test_found_in_whatever_writes_it(value: str, before: str, after: str) -> None:
    around = f"{before}{value}{after}"
    for written in (
        around,
        json.dumps(around),
        json.dumps(around, ensure_ascii=False),
        json.dumps(json.dumps({"a": value})),
        json.dumps({"a": value}).replace("/", "\\/"),
        html.escape(around),
        html.escape(around, quote=False),
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        urlencode({"a": value}),
        repr([value]) if "'" not in value else repr(value),
        ascii(value),
        around.encode().hex(),
        around.encode().hex().upper(),
    ):
        assert stands_in(value, written)


@given(st.text("abcXYZ019+/=_é-", min_size=MIN_LENGTH), st.binary(max_size=7), st.binary(max_size=7))
def test_found_in_base64_wherever_it_begins(value: str, before: bytes, after: bytes) -> None:
    data = before + value.encode() + after
    assert stands_in(value, b64encode(data).decode())
    assert stands_in(value, urlsafe_b64encode(data).decode())


@given(st.integers(0, 7), st.text("abcdef0123456789", min_size=MIN_LENGTH, max_size=40))
def test_base64_of_something_else_is_not_it(lead: int, value: str) -> None:
    middle = len(value) // 2
    other = f"{value[:middle]}{'0' if value[middle] != '0' else '1'}{value[middle + 1 :]}"
    assert not stands_in(value, b64encode(b"-" * lead + other.encode()).decode())


@pytest.mark.parametrize("value", ["", "secret", "a" * (MIN_LENGTH - 1)])
def test_what_is_too_short_is_not_looked_for(value: str) -> None:
    assert encoded_forms(value) == frozenset()


def test_a_plain_value_has_few_forms() -> None:
    # Each form costs time in whatever looks for it.
    assert len(encoded_forms("7211546f57cd432790643bb6612da19d")) == 5
