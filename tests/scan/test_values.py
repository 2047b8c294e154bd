"""Random values are distinguished from words, and exactly the held values are found."""

from __future__ import annotations

import random
import string
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens._util.encodings import MIN_LENGTH, encoded_forms
from jupyter_tokens.scan.values import Known, is_password, is_placeholder, is_random, is_reference

_LETTERS = string.ascii_letters
ALPHABETS = {
    "base62": _LETTERS + string.digits,
    "letters": _LETTERS,
    "hex": "0123456789abcdef",
    "small": string.ascii_lowercase + string.digits,
    "capital": string.ascii_uppercase + string.digits,
    "base64": _LETTERS + string.digits + "+/",
}


@pytest.mark.parametrize("name", ALPHABETS)
def test_random_values_look_random(name: str) -> None:
    rng = random.Random(name)
    values = ["".join(rng.choices(ALPHABETS[name], k=24)) for _ in range(1000)]
    assert sum(map(is_random, values)) >= 990


def test_names_in_code_do_not() -> None:
    # Of all modules of the standard library, which the table of pairs was not made from alone.
    names = [
        name
        for module in list(sys.modules.values())
        for name in dir(module)
        if len(name) >= 16 and name.isascii() and name.isidentifier()
    ]
    assert len(names) > 1000
    wrong = {name for name in names if is_random(name)}
    assert len(wrong) <= len(set(names)) * 0.02, wrong


@pytest.mark.parametrize(
    "value",
    [
        "YOUR_API_KEY_2024_HERE",
        "<your-token-1234567>",
        "xxxxxxxxxxxxxxxxxxxx",
        "LTAI****************",
        "${API_TOKEN_2024_ABC}",
        "{api_token_2024_abcd}",
        "AKIAIOSFODNN7EXAMPLE",
        "0123456789abcdef0123456789abcdef",
        "d41d8cd98f00b204e9800998ecf8427e",
        "5d41402abc4b2a76b9719d911017c592",
        "123e4567-e89b-12d3-a456-426614174000",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzz",
        "请填写您的密钥2024",
    ],
)
def test_placeholders(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        "keyring:oneaccess/acme2024",
        "env:API_TOKEN_2",
        "/run/secrets/api_token_2024",
        "~/secrets/token2",
        "arn:aws:secretsmanager:us-east-1:1:secret:prod/db-T1mB22",
        "projects/1/secrets/db/versions/2",
        "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        "oauth_credentials_2024-05-01.json",
        "sklearn-1.4.2-cp311-manylinux_x86_64",
        "822fab12-c224-4d1f-8118-5fb5d2def8b9",
    ],
)
def test_references(value: str) -> None:
    assert is_reference(value)


def test_a_uuid_is_a_key_where_keys_are_such() -> None:
    assert not is_reference("822fab12-c224-4d1f-8118-5fb5d2def8b9", uuid=True)


PASSWORDS = {
    "Winter!2031x": True,
    "kX93mPq0aLz": True,
    "Password1!": False,
    "P@ssw0rd123": False,
    "postgres": False,
    "tiger": False,
}


@pytest.mark.parametrize("value", PASSWORDS)
def test_passwords(value: str) -> None:
    assert is_password(value) == PASSWORDS[value]


# Few letters, so that values share beginnings and stand in one another.
VALUES = st.text("ab1/", min_size=MIN_LENGTH - 1, max_size=40)


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_finds_what_a_plain_search_finds(values: list[str], data: st.DataObject) -> None:
    pieces = st.lists(st.one_of(st.sampled_from(values), st.text("ab1/ ", max_size=9)), max_size=8)
    text = "".join(data.draw(pieces))
    forms = {form for value in values for form in encoded_forms(value)}
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
