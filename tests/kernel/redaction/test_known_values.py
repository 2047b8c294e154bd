"""Known values are found in every form, wherever they stand, and nothing else is touched."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from array import array
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.kernel.redaction.known_values import MOST_VALUES, KnownValues, Search

VALUES = {
    "digits": "7211546f57cd432790643bb6612da19d",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjE3NjB9.c2lnbmF0dXJlLW9mLWEtdG9rZW4",
    "password": "pässword",
    "awkward": "a \"b\" & <c>'d'/e+f=g%\\h\ti",
    "short": "abc12345",
}


def search_for(*values: str) -> Search:
    known = KnownValues()
    for value in values:
        known.add(value, "token x")
    return known.search()


def written(value: str) -> dict[str, str]:
    """As the programs write it that a notebook would use."""
    data = value.encode()
    return {
        "raw": value,
        "json": json.dumps({"a": value}),
        "json in json": json.dumps({"a": json.dumps([value])}),
        "json in json in json": json.dumps([json.dumps([json.dumps(value, ensure_ascii=False)], ensure_ascii=False)]),
        "repr": repr([value, "'"]),
        "bytes": repr(data),
        "url": f"https://host/?a={quote(value, safe='')}&b",
        "path": f"https://host/{quote(value)}/c",
        "form": f"a={quote_plus(value)}&b=c",
        "html": f"<b>{html.escape(value)}</b>",
        "html in json": json.dumps(f"<b>{html.escape(value)}</b>"),
        "hex": data.hex(),
        "HEX": data.hex().upper(),
        **{f"base64 at {lead}": base64.b64encode(b"user:"[:lead] + data + b" and more").decode() for lead in range(5)},
        **{f"base64url at {lead}": base64.urlsafe_b64encode(b"u:"[:lead] + data).decode() for lead in range(3)},
    }


@pytest.mark.parametrize("form", written("any"))
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_each_form_is_found_at_each_place_and_replaced(value: str, form: str) -> None:
    search = search_for(*VALUES.values())
    for lead in range(70):
        text = f"{' ' * lead}{written(value)[form]} after"
        clean = search.redacted(text)
        assert "[token x]" in clean
        assert search.redacted(clean) == clean
        assert clean.startswith(" " * lead)
        assert clean.endswith("after")
        for other in written(value).values():
            assert other not in clean


@pytest.mark.parametrize("form", written("any"))
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_a_text_hides_its_message_shows(value: str, form: str) -> None:
    # The message as a session writes it, and as one does that has orjson.
    search = search_for(value)
    for spaces in (None, (",", ":")):
        message = json.dumps({"name": "stdout", "text": written(value)[form]}, ensure_ascii=False, separators=spaces)
        assert search.found(message.encode())


@given(st.text(min_size=8, max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_any_value_is_found_in_any_text(value: str, before: str, after: str) -> None:
    clean = search_for(value).redacted(before + value + after)
    assert "[token x]" in clean


@given(st.text(max_size=300))
def test_a_text_without_a_value_stays_as_it_is(text: str) -> None:
    assert search_for(VALUES["jwt"], VALUES["digits"]).redacted(text) == text


def test_a_value_is_found_among_hundreds_in_a_long_text() -> None:
    made = random.Random(1)
    values = ["".join(made.choices(string.ascii_letters + string.digits, k=made.randint(8, 300))) for _ in range(400)]
    search = search_for(*values)
    text = "".join(made.choices(string.ascii_letters + " ", k=100_000))
    for value in values[::7]:
        at = made.randint(0, len(text))
        assert search.redacted(text[:at] + value + text[at:]) == f"{text[:at]}[token x]{text[at:]}"
    assert search.redacted(text) == text


def test_of_values_that_contain_one_another_the_longer_is_taken_out() -> None:
    assert search_for("abcdefgh", "abcdefgh12345678").redacted("<abcdefgh12345678>") == "<[token x]>"


def test_a_short_value_is_not_looked_for() -> None:
    assert search_for("1234567").redacted("1234567") == "1234567"


def test_nothing_known_nothing_found() -> None:
    search = search_for()
    assert search.found(b"anything at all") == []
    assert search.split("text") == ("text", "")


def test_names_and_values_of_an_object_are_replaced_in_a_new_object() -> None:
    value = VALUES["jwt"]
    given_object = {"a": [1, None, True, 0.5, {value: (value, b"")}]}
    kept = json.dumps(given_object, default=str)
    assert search_for(value).redacted_object(given_object) == {
        "a": [1, None, True, 0.5, {"[token x]": ["[token x]", b""]}]
    }
    assert json.dumps(given_object, default=str) == kept


def test_bytes_keep_their_length() -> None:
    value = VALUES["digits"]
    data = b"\0\xff" + value.encode() + b"\0" + value.encode().hex().encode()
    clean = search_for(value).redacted_bytes(memoryview(data))
    assert clean is not None
    assert len(clean) == len(data)
    assert clean.startswith(b"\0\xff[token x]***")
    assert value.encode() not in clean
    assert search_for("12345678").redacted_bytes(b"12345678") == b"[token x"
    assert search_for(value).redacted_bytes(array("d", [1.0, 2.0])) is None


def test_a_label_can_stand_in_any_text() -> None:
    known = KnownValues()
    known.add("12345678", 'token "a<b>\\')
    assert known.search().redacted("12345678") == "[token _a_b__]"


def test_the_first_values_are_forgotten_first() -> None:
    known = KnownValues()
    for number in range(MOST_VALUES + 1):
        known.add(f"value-{number:04}", "token x")
    assert known.search().redacted("value-0000 value-0001") == "value-0000 [token x]"


def test_a_value_becomes_known_and_is_forgotten() -> None:
    known = KnownValues()
    known.add("12345678", "token x")
    first = known.search()
    known.add("12345678", "token x")
    assert known.search() is first
    known.add("12345678", "token y")
    assert known.search().redacted("12345678") == "[token y]"
    known.discard("12345678")
    assert known.search().redacted("12345678") == "12345678"


def test_neither_tells_what_it_knows() -> None:
    known = KnownValues()
    known.add("12345678", "token x")
    assert "12345678" not in repr(known) + repr(known.search())


@pytest.mark.parametrize("value", [*VALUES.values(), "abcabcabcabc", "aaaaaaaaaaaa"])
def test_a_text_is_split_before_what_may_be_the_beginning_of_a_value(value: str) -> None:
    search = search_for(value)
    for form in written(value).values():
        if value not in form:
            continue
        for cut in range(1, len(value)):
            at = form.index(value) + cut
            shown, rest = search.split(form[:at])
            assert shown + rest == form[:at]
            assert shown == form[: at - cut]


@given(st.data())
def test_however_a_text_is_cut_no_value_gets_through(data: st.DataObject) -> None:
    value = "abcab-abcab.x"
    text = "".join(data.draw(st.lists(st.sampled_from([value, "abcab", "a", " ", "\n", "b-abc"]), max_size=8)))
    search = search_for(value)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    shown, held = "", ""
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        part, held = search.split(held + text[begin:end])
        shown += search.redacted(part)
    assert shown + search.redacted(held) == search.redacted(text)


def test_a_line_is_not_held_back() -> None:
    search = search_for(*VALUES.values())
    assert search.split("eyJ and more\n") == ("eyJ and more\n", "")
    assert search.split("more eyJ") == ("more ", "eyJ")
    assert search.split("") == ("", "")


def test_a_whole_value_at_the_end_that_ends_as_it_begins_is_not_cut_in_two() -> None:
    search = search_for("abcdefghab")
    assert search.split("text abcdefghab") == ("text [token x]", "")
