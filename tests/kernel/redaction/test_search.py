"""Known values are found in every form, wherever they stand, and nothing else is touched."""

from __future__ import annotations

import base64
import html
import json
import random
import string
import threading
from array import array
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.forms import forms_of
from jupyter_tokens.kernel.redaction import search as module
from jupyter_tokens.kernel.redaction.search import _AT_ONCE, Search, _forms

VALUES = {
    "digits": "7211546f57cd432790643bb6612da19d",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjE3NjB9.c2lnbmF0dXJlLW9mLWEtdG9rZW4",
    "password": "pässword",
    "awkward": "a \"b\" & <c>'d'/e+f=g%\\h\ti",
    "short": "abc12345",
}


def search_for(*values: str) -> Search:
    search = Search()
    for value in values:
        search.add(value, "[token x]")
    return search


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


@pytest.fixture
def written_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The values whose forms have been written, in turn."""
    asked: list[str] = []

    def counted(value: str) -> frozenset[str]:
        asked.append(value)
        return forms_of(value)

    monkeypatch.setattr(module, "forms_of", counted)
    return asked


def test_one_value_more_leaves_the_others_as_they_are(written_for: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    values = [f"{number:032x}" for number in range(1000, 2000)]
    search = search_for(*values)
    indexed: list[bytes] = []
    put = search._put
    monkeypatch.setattr(search, "_put", lambda form: (indexed.append(form), put(form)))
    written_for.clear()
    one_more = "one-more-value-of-over-thirty-characters"
    search.add(one_more, "[token y]")
    assert written_for == [one_more]
    assert sorted(indexed) == sorted(_forms(one_more))
    written_for.clear()
    search.discard(values[7])
    assert written_for == [values[7]]
    assert search.redacted(f"{values[7]} {values[8]} {one_more}") == f"{values[7]} [token x] [token y]"


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_discarded_leaves_nothing_behind(value: str) -> None:
    search = search_for(value)
    search.discard(value)
    for form in written(value).values():
        assert search.redacted(form) == form
    tables = ("_labels", "_claims", "_words", "_others", "_tails", "_strides", "_short", "_sorted", "_heads")
    assert [name for name in tables if getattr(search, name)] == []


def test_a_form_that_two_values_share_stays_as_long_as_one_of_them_does() -> None:
    value = "hidden-in-hexadecimal-digits"
    digits = value.encode().hex()
    search = search_for(value, digits, digits.upper().encode().hex(), digits.upper())
    search.discard(value)
    assert search.redacted(f"{value} {digits}") == f"{value} [token x]"
    assert search.redacted(digits.upper()) == "[token x]"
    search.discard(digits)
    assert search.redacted(f"{digits} {digits.upper()}") == f"{digits} [token x]"
    search.discard(digits.upper())
    search.discard(digits.upper().encode().hex())
    assert repr(search) == "<Search 0 forms>"


def test_words_that_two_values_share_stay_as_long_as_one_of_them_does() -> None:
    end = "the-same-end-of-two-values-that-is-longer-than-all-words-of-one-of-them"
    search = search_for(f"one-{end}", f"other-{end}")
    search.discard(f"one-{end}")
    assert search.redacted(f"other-{end}") == "[token x]"
    assert search.redacted(f"one-{end}") == f"one-{end}"


def test_shorter_values_that_come_later_are_met_and_so_are_the_earlier_ones() -> None:
    made = random.Random(2)
    search, values = Search(), []
    for length in (300, 120, 71, 39, 38, 31, 30, 23, 20, 20, 20, 16, 15, 14, 12, 8, 39, 200):
        values.append("".join(made.choices(string.ascii_letters, k=length)))
        search.add(values[-1], "[token x]")
        for value in values:
            for lead in range(35):
                text = " " * (lead + made.randrange(0, 40_000, 40))
                assert search.redacted(f"{text}{value} ") == f"{text}[token x] "
    for number, value in enumerate(values):
        search.discard(value)
        for at, other in enumerate(values):
            assert search.found(other.encode()) == ([other.encode()] if at > number else [])


def test_a_value_in_the_last_bytes_of_a_part_and_in_the_first_of_the_next_is_found() -> None:
    value = VALUES["digits"]
    search = search_for(value)
    size = 8 * search._stride * _AT_ONCE
    for at in range(size - len(value) - 1, size + 1):
        for rest in (0, 1, 100, size):
            assert search.found(b"." * at + value.encode() + b"." * rest) == [value.encode()]


def test_most_of_a_text_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    search = search_for(*(VALUES[name] for name in ("digits", "jwt")))
    looked: list[int] = []

    class Counted(set[bytes]):
        def isdisjoint(self, words: Iterable[Any]) -> bool:
            looked.append(len(list(words)))
            return True

    search._words = Counted(search._words)
    search.found(b"." * 1_000_000)
    assert sum(looked) == pytest.approx(1_000_000 / 24, abs=1)


def test_values_change_while_texts_are_searched() -> None:
    stays, search = VALUES["jwt"], search_for(VALUES["jwt"])
    text = f"{'.' * 5000}{stays}{'.' * 5000}"
    missed: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            missed.extend(clean for clean in [search.redacted(text)] if stays in clean)
            shown, held = search.split(text[: 5000 + len(stays) // 2])
            missed.extend(part for part in [shown] if len(part) > 5000 or not held)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(200):
        search.add(f"{stays[:-8]}{number:08}", "[token y]")
        search.add(f"a-short-{number:04}", "[token y]")
        if number > 20:
            search.discard(f"{stays[:-8]}{number - 20:08}")
            search.discard(f"a-short-{number - 20:04}")
    done.set()
    for thread in threads:
        thread.join()
    assert not missed
