"""Known values are found in every form, wherever they stand, and nothing else is touched."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import pprint
import random
import re
import reprlib
import shlex
import string
import textwrap
import threading
import time
from array import array
from collections.abc import Callable
from email.message import EmailMessage
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.logging import RichHandler
from rich.panel import Panel
from rich.table import Table

from jupyter_tokens.kernel.redaction.search import RUN, Search

VALUES = {
    "digits": "7211546f57cd432790643bb6612da19d",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjE3NjB9.c2lnbmF0dXJlLW9mLWEtdG9rZW4",
    "password": "pässword",
    "awkward": "a \"b\" & <c>'d'/e+f=g%\\h\ti",
    "short": "abc12345",
    "repeated": "t" * 40,
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
        assert search.may_hold(message.encode())


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
    assert search.found("anything at all | at | all | really") == []
    assert not search.may_hold(b"anything at all | at | all | really")
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


@pytest.mark.parametrize("value", [*VALUES.values(), "abcabcabcabc"])
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


def test_a_text_is_split_before_the_escape_that_a_value_begins_with() -> None:
    search = search_for("<<<<aaaa")
    assert search.split("more %3C%3") == ("more ", "%3C%3")


@given(st.data())
def test_however_a_text_is_cut_no_value_gets_through(data: st.DataObject) -> None:
    value = "abcab-xyzab.x-0123456789"
    text = "".join(data.draw(st.lists(st.sampled_from([value, "abcab", "a", " ", "\n", "z-abc"]), max_size=8)))
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


def test_the_middle_of_a_value_and_a_colour_that_has_begun_are_held_back() -> None:
    value = VALUES["digits"]
    search = search_for(value)
    for end in ("", "\n", "\x1b[3", "<span style='col", "%2", "&#x3", " │\n│ "):
        assert search.split(f"more {value[3:20]}{end}") == ("more ", f"{value[3:20]}{end}")
    assert search.split(f"more <{value[:20]}") == ("more <", value[:20])
    assert search.split(f"more {value}\x1b[") == (f"more {value}\x1b[", "")


def test_what_a_value_ends_with_is_waited_for() -> None:
    search = search_for("abcdefgh-ijklmnop!?")
    assert search.split("abcdefgh-ijklmnop!") == ("", "abcdefgh-ijklmnop!")
    assert search.split("abcdefgh-ijklmnop!?") == ("abcdefgh-ijklmnop!?", "")


def test_a_whole_value_at_the_end_that_ends_as_it_begins_is_not_cut_in_two() -> None:
    search = search_for("abcdefghab")
    assert search.split("text abcdefghab") == ("text abcdefghab", "")


@pytest.mark.parametrize("value", ["0000000À", "pa55=w0rd/p"])
def test_a_whole_value_whose_escapes_end_as_one_begins_is_not_cut_in_two(value: str) -> None:
    search = search_for(value)
    for text in (quote(value), f"<b>{value[:5]}</b>{value[5:]}"):
        shown, rest = search.split(text)
        assert shown + rest == text
        assert not shown or not rest
    assert search.redacted(quote(value)) == "[token x]"


@pytest.mark.parametrize("value", [*VALUES.values(), "ключ-и-пароль"])
def test_what_is_discarded_leaves_nothing_behind(value: str) -> None:
    search = search_for(value)
    search.discard(value)
    search.discard(value)
    for form in written(value).values():
        assert search.redacted(form) == form
        assert not search.may_hold(form.encode())
        assert search.split(form[:-3]) == (form[:-3], "")


def test_values_that_share_words_or_forms_are_found_as_long_as_they_are_known() -> None:
    end = "the-same-end-of-two-values-that-is-longer-than-all-words"
    search = search_for(f"one-{end}", f"other-{end}", "12345678", b"12345678".hex())
    search.discard(f"one-{end}")
    search.discard("12345678")
    assert search.redacted(f"other-{end}") == "[token x]"
    assert search.redacted(b"12345678".hex()) == "[token x]"
    assert search.redacted("12345678") == "12345678"


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
            assert (search.redacted(other) == "[token x]") == (at > number)


def test_a_value_at_the_border_of_two_blocks_is_found() -> None:
    value = VALUES["digits"]
    search = search_for(value)
    for size in (2_048, 16_384):
        for at in range(size - len(value) - 1, size + 1):
            for rest in (0, 1, 100, size):
                assert search.redacted("." * at + value + "." * rest) == "." * at + "[token x]" + "." * rest


@pytest.mark.parametrize("before", ["", "=", "\\u001b]"])
def test_a_long_run_of_backslashes_takes_no_longer_than_other_text(before: str) -> None:
    search = search_for(VALUES["digits"])
    run = before + "\\" * 32_000
    # Of this thread alone, so that a busy machine does not count. It takes milliseconds; once it took half a minute.
    begun = time.thread_time()
    assert search.redacted(f"{run} {VALUES['digits']}") == f"{run} [token x]"
    assert time.thread_time() - begun < 5


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
        search.add(f"{number:08}-{number * 7919:024}", "[token y]")
        search.add(f"a-short-{number:04}", "[token y]")
        if number > 20:
            search.discard(f"{number - 20:08}-{(number - 20) * 7919:024}")
            search.discard(f"a-short-{number - 20:04}")
    done.set()
    for thread in threads:
        thread.join()
    assert not missed


# Of each provider's tokens: their length and alphabet.
def test_any_sixteen_characters_of_a_value_count_and_fewer_do_not() -> None:
    for value in TOKENS.values():
        search = search_for(value)
        for begin in range(own_part(value), len(value) - RUN + 1):
            clean = search.redacted(f"({value[begin : begin + RUN]})")
            assert clean in {"([token x])", *(f"([token x]{mark})" for mark in ("=", "=="))}, value[begin:]
        assert search.redacted(value[:12]) == value[:12]


def own_part(value: str) -> int:
    """Where a value's own part begins: a JWT's header is that of all JWTs of its kind."""
    return value.index(".") if value.startswith("eyJ") else 0


def made(size: int, alphabet: str, seed: int = 7) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=size))


URL_SAFE = string.ascii_letters + string.digits + "-_"
TOKENS = {
    "hexadecimal": made(40, "0123456789abcdef"),
    "eiam": f"SATF{made(121, string.ascii_letters + string.digits)}",
    "opaque": made(43, URL_SAFE),
    "base64": f"{made(43, string.ascii_letters + string.digits + '+/')}=",
    "jwt": f"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{made(400, URL_SAFE)}.{made(342, URL_SAFE, 8)}",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "password": 'it\'s a "s3cret" & <more>/x=1',
}


def coloured(value: str) -> str:
    return "".join(f"\x1b[3{at % 8}m{mark}\x1b[0m" if not at % 7 else mark for at, mark in enumerate(value))


def in_tags(value: str) -> str:
    return "".join(f"<span class='x{at}'>{html.escape(mark)}</span>" for at, mark in enumerate(value))


def escaped(value: str, marks: str, form: str) -> str:
    return "".join(form.format(ord(mark)) if mark in marks else mark for mark in value)


def rich_table(value: str, width: int) -> str:
    table = Table(width=width)
    for title in ("name", "value", "more"):
        table.add_column(title, overflow="fold")
    table.add_row("a name that is long", value, "text that goes on for some lines")
    return printed(table, width)


def printed(thing: object, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, legacy_windows=False).print(thing)
    return file.getvalue()


def logged(value: str) -> str:
    file = io.StringIO()
    handler = RichHandler(console=Console(file=file, width=60, force_terminal=True))
    handler.emit(logging.LogRecord("x", 20, "/a/file.py", 12, "sent token=%s to the host", (value,), None))
    return file.getvalue()


def mailed(value: str) -> str:
    message = EmailMessage()
    message.set_content(f"Grüße, token={value}\n", cte="quoted-printable")
    return message.as_string()


def in_yaml_list(value: str) -> str:
    return "".join(f'  - "{line}"\n' for line in textwrap.wrap(value, 40))


OTHERS: dict[str, Callable[[str], str]] = {
    "rich": lambda value: printed({"access_token": value}, 30),
    "rich table": lambda value: rich_table(value, 44),
    "rich panel": lambda value: printed(Panel(value), 14),
    "rich log": logged,
    "rich HTML": in_tags,
    "colours": coloured,
    "colours in JSON": lambda value: json.dumps(coloured(value)),
    "pprint": lambda value: pprint.pformat({"words": f"a b {value} c d"}, width=20),
    "textwrap": lambda value: textwrap.fill(f"token {value}", 20),
    "one character a line": "\n".join,
    "e-mail": mailed,
    "YAML list": in_yaml_list,
    "base64 in lines": lambda value: textwrap.fill(base64.b64encode(value.encode()).decode(), 20),
    "System.Text.Json": lambda value: escaped(value, "<>&'+`\"", "\\u{:04X}"),
    "PHP": lambda value: escaped(value, "<>&'\"", "\\u{:04X}").replace("/", "\\/"),
    "handlebars": lambda value: escaped(value, "=<>&'\"`", "&#x{:X};"),
    "mustache": lambda value: escaped(value, "/=<>&'\"`", "&#x{:X};"),
    "decimal entities": lambda value: escaped(value, "/=+<>&'\"`-_.", "&#{};"),
    "all escaped": lambda value: escaped(value, value, "\\u{:04x}"),
    "all percent-encoded": lambda value: escaped(value, value, "%{:02X}"),
    "encodeURIComponent": lambda value: quote(value, safe="!'()*-._~"),
    "URL in a URL": lambda value: quote(quote(value, safe=""), safe=""),
    "shell": shlex.quote,
    "shell with $'…'": lambda value: "$'" + value.replace("'", "\\'") + "'",
    "shell with backslashes": lambda value: escaped(value, "", "").replace("=", "\\=").replace(" ", "\\ "),
    "LaTeX": lambda value: value.replace("&", "\\&").replace("_", "\\_").replace("~", "\\textasciitilde{}"),
    "UTF-16": "\0".join,
}


@pytest.mark.parametrize("way", OTHERS)
@pytest.mark.parametrize("token", TOKENS)
def test_a_value_is_found_as_other_programs_write_it(token: str, way: str) -> None:
    value = TOKENS[token]
    text = OTHERS[way](value)
    search = search_for(value)
    clean = search.redacted(f"before {text} after")
    assert search.may_hold(json.dumps({"text": text}, ensure_ascii=False).encode())
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert clean.count("[token x]") >= 1
    assert longest_left(clean, value) < RUN // 2


def longest_left(text: str, value: str) -> int:
    """The longest part of a value that is in a text, whatever stands between its characters."""
    text = re.sub(r"\x1b\[[0-9;]*m|\\u001b\[[0-9;]*m|<[^<>]*>|\W", "", text.replace("[token x]", "")).replace("_", "")
    value = re.sub(r"\W|_", "", value)
    sizes = range(len(value), 0, -1)
    return next((size for size in sizes if any(value[at:][:size] in text for at in range(len(value) - size + 1))), 0)


@pytest.mark.parametrize("token", ["eiam", "jwt", "hexadecimal"])
def test_a_value_whose_middle_is_cut_out_shows_no_end(token: str) -> None:
    value = TOKENS[token]
    search = search_for(value)
    for size in (16, 12):
        begin, end = value[own_part(value) :][:size], value[-size:]
        for dots in ("...", "…"):
            assert search.redacted(f"{begin}{dots}{end}") == f"[token x]{dots}[token x]"
    assert "[token x]" in search_for(value).redacted(reprlib.repr(value)) or token == "jwt"


KEY = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "".join(f"{made(64, string.ascii_letters + string.digits + '+/', seed)}\n" for seed in range(20))
    + f"{made(30, string.ascii_letters, 30)}==\n-----END PRIVATE KEY-----\n"
)


@pytest.mark.parametrize(
    "shown",
    [
        KEY,
        KEY.replace("\n", "\r\n"),
        textwrap.indent(KEY, "    "),
        "\r\n".join(KEY.splitlines()[:3]),
        "\n".join(f"> {line}" for line in KEY.splitlines()[5:7]),
        "\n".join(f"+{line}" for line in KEY.splitlines()),
        repr(KEY.splitlines(keepends=True)),
        json.dumps(KEY.splitlines(), indent=1),
        json.dumps({"private_key": KEY}),
        KEY.splitlines()[4],
    ],
)
def test_a_key_of_many_lines_is_found_line_by_line(shown: str) -> None:
    clean = search_for(KEY).redacted(shown)
    assert "[token x]" in clean
    for line in KEY.splitlines()[1:-1]:
        assert not any(line[at : at + 8] in clean for at in range(len(line) - 8))


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----",
        "=" * 200 + "-" * 200 + "0" * 200,
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzb21lYm9keSBlbHNlIn0.c2lnbmF0dXJl",
        "https://eiam-api-cn-hangzhou.aliyuncs.com/v2/instance/application/token",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "100%|██████████| 1000/1000 [00:01<00:00, 999.99it/s]\r" * 40,
        "<td>" + "</td><td>".join(map(str, range(1000))) + "</td>",
    ],
)
def test_what_is_nobodys_own_is_left_alone(text: str) -> None:
    search = search_for(
        *TOKENS.values(), KEY, f"https://eiam-api-cn-hangzhou.aliyuncs.com/?sig={made(40, URL_SAFE, 9)}"
    )
    search.add("a" * 20 + "-" + "0" * 20, "[token x]")
    assert search.redacted(text) == text


def test_a_table_keeps_its_columns() -> None:
    rows = textwrap.wrap(TOKENS["hexadecimal"], 10)
    text = "".join(f"| {row} | other{at} |\n" for at, row in enumerate(rows))
    clean = search_for(TOKENS["hexadecimal"]).redacted(text)
    assert clean == "| [token x]  | other0 |\n" + "".join(f"| {' ' * 10} | other{at} |\n" for at in (1, 2, 3))


def test_colours_and_tags_inside_stay() -> None:
    value = TOKENS["hexadecimal"]
    clean = search_for(value).redacted(f"<b>{value[:20]}</b><i>{value[20:]}</i>\x1b[0m")
    assert clean == "<b>[token x]</b><i></i>\x1b[0m"
