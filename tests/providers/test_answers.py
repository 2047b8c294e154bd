"""Answers: what can be read of them, and errors that never quote them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    ResponseError,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
)
from jupyter_tokens.providers import answers
from jupyter_tokens.providers.answers import Meaning

from ..doubles import CANARY, NOW, answer, told

HEADERS = {"X_Request_Id": "rid-1"}


@pytest.mark.parametrize(
    ("body", "media_type", "words"),
    [
        (b"", "application/json", "is empty"),
        (f"<html>{CANARY}</html>".encode(), "text/html; charset=utf-8", "is not JSON"),
        (f'"{CANARY}"'.encode(), "application/json", "cannot be read as a JSON object"),
        (f'["{CANARY}"]'.encode(), "application/json", "cannot be read as a JSON object"),
        (f'{{"token": "{CANARY}'.encode(), "application/json", "cannot be read as a JSON object"),
        (f"{CANARY}\xff".encode("latin-1"), "application/json", "cannot be read as a JSON object"),
        (b"[" * 200_000, "application/json", "cannot be read as a JSON object"),
        (b'{"a": ' * 200_000, "application/json", "cannot be read as a JSON object"),
        (b'{"a": ' + b"9" * 5000 + b"}", "application/json", "cannot be read as a JSON object"),
        (b"null", "", "cannot be read as a JSON object"),
    ],
)
def test_what_is_no_json_object_is_told_without_its_body(body: bytes, media_type: str, words: str) -> None:
    response = answer(200, body, Content_Type=media_type, **HEADERS)
    with pytest.raises(ResponseError, match=words) as caught:
        answers.json_object(response)
    error = caught.value
    assert (error.status, error.request_id, error.retryable) == (200, "rid-1", False)
    assert f"content type {media_type}" in error.message
    assert CANARY not in told(error)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=no-such",
        "application/astra-token+json",
        "text/json",
        "text/plain",
        "application/octet-stream",
        "",
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_under_any_content_type(media_type: str, mark: bytes) -> None:
    assert answers.json_object(answer(200, mark + b'{"a": 1}', Content_Type=media_type)) == {"a": 1}


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        ("utf-8", ""),
        ("utf-16", ""),
        ("utf-8", "; charset=ISO-8859-1"),
        ("latin-1", "; charset=ISO-8859-1"),
        ("latin-1", "; charset=hex"),
        ("latin-1", ""),
    ],
)
def test_json_in_any_encoding_that_it_or_its_content_type_names(encoding: str, charset: str) -> None:
    body = '{"a": "Büro"}'.encode(encoding)
    found = answers.try_json_object(answer(200, body, Content_Type=f"application/json{charset}"))
    known = encoding != "latin-1" or charset == "; charset=ISO-8859-1"
    assert found == ({"a": "Büro"} if known else None)


def test_json_without_a_content_type() -> None:
    assert answers.json_object(httpx.Response(200, content=b"{}")) == {}
    assert "content type none" in answers.malformed(httpx.Response(200), "x").message


@pytest.mark.parametrize("value", [None, "", 5, ["x"], {"a": CANARY}, True])
def test_a_field_that_is_no_text(value: object) -> None:
    with pytest.raises(ResponseError, match="has no field 'token' with a non-empty string") as caught:
        answers.require_str(answer(200), {"token": value, "RequestId": "rid"}, "token")
    assert caught.value.request_id == "rid"


@pytest.mark.parametrize("value", [None, "x", [], 5])
def test_a_field_that_is_no_object(value: object) -> None:
    with pytest.raises(ResponseError, match="has no field 'a' with an object"):
        answers.require_object(answer(200), {"a": value}, "a")
    assert answers.require_object(answer(200), {"a": {"b": 1}}, "a") == {"b": 1}


@pytest.mark.parametrize(
    "text",
    ["2026-01-15T08:30:00.000000Z", "2026-01-15T08:30:00Z", "2026-01-15T08:30:00", "2026-01-15T10:30:00+02:00"],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str) -> None:
    assert answers.require_time(answer(200), {"expires_at": text}, "expires_at") == utc(NOW)


@pytest.mark.parametrize("value", ["soon", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:00", "", None, 5])
def test_a_field_that_is_no_time(value: object) -> None:
    with pytest.raises(ResponseError, match="'expires_at'"):
        answers.require_time(answer(200), {"expires_at": value}, "expires_at")


@pytest.mark.parametrize("value", ["a b", "a\nb", "é", "\x7f", "a\r\nX-Header: b"])
def test_a_token_with_characters_that_no_header_takes(value: str) -> None:
    with pytest.raises(ResponseError, match="characters in 'token' that a token cannot have") as caught:
        answers.require_token(answer(200), {"token": CANARY + value}, "token")
    assert CANARY not in str(caught.value) + repr(caught.value)


def test_a_token() -> None:
    assert answers.require_token(answer(200), {"token": "a.b-c_d~+/="}, "token") == "a.b-c_d~+/="


@pytest.mark.parametrize("value", ["5x", "-5", "٣", "1e5", True, [], float("nan"), float("inf"), 10**400, -(10**400)])
def test_a_field_that_is_no_number(value: object) -> None:
    with pytest.raises(ResponseError, match="has no number in 'n'"):
        answers.get_number(answer(200), {"n": value}, "n")


@pytest.mark.parametrize(
    ("body", "number"), [({}, None), ({"n": None}, None), ({"n": 0}, 0), ({"n": 1.5}, 1.5), ({"n": "5"}, 5)]
)
def test_a_number_or_none(body: dict[str, object], number: float | None) -> None:
    assert answers.get_number(answer(200), body, "n") == number


@pytest.mark.parametrize("seconds", [1e300, -1e300, 1e15])
def test_a_time_that_no_calendar_holds(seconds: float) -> None:
    with pytest.raises(ResponseError, match="out of range"):
        answers.to_datetime(answer(200), {}, seconds)


def test_a_moment() -> None:
    assert answers.to_datetime(answer(200), {}, NOW) == datetime(2026, 1, 15, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"RequestId": "a"}, {"x_request_id": "b"}, "a"),
        ({"requestId": "a"}, {}, "a"),
        ({"request_id": "a"}, {}, "a"),
        ({"correlationID": "a"}, {}, "a"),
        ({"RequestId": 5, "request_id": ""}, {"x_acs_request_id": "b"}, "b"),
        (None, {"x_openstack_request_id": "b"}, "b"),
        (None, {"x_correlation_id": "b"}, "b"),
        (None, {"x_request_id": ""}, None),
        ({}, {}, None),
        ({"RequestId": "a\n\x1b[2Jb" + "c" * 200}, {}, "a [2Jb" + "c" * 94),
    ],
)
def test_request_id(body: dict[str, object] | None, headers: dict[str, str], expected: str | None) -> None:
    assert answers.get_request_id(answer(200, **headers), body) == expected


@given(st.text(), st.integers(1, 50))
def test_plain_text_is_one_line_that_any_terminal_shows(text: str, most: int) -> None:
    plain = answers.plain(text, most)
    assert plain.isprintable()
    assert len(plain) <= most
    plain.encode()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 7 "}, 7.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "-7"}, None),
        ({"retry_after": "7.5"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "9" * 13}, None),
        ({"x_acs_retry_after": "1500"}, 1.5),
        ({"x_acs_retry_after": "1500", "retry_after": "7"}, 1.5),
        ({"x_acs_retry_after": "soon", "retry_after": "7"}, 7.0),
        ({"x_acs_retry_after": "9" * 13}, None),
        ({"retry_after": format_datetime(datetime(2026, 1, 15, 8, 30, 9, tzinfo=UTC), usegmt=True)}, 9.0),
        ({"retry_after": "Thu, 15 Jan 2026 08:00:00 GMT"}, 0.0),
        ({"retry_after": "Thu, 99 Jan 2026 08:00:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert answers.get_retry_after(answer(429, **headers), NOW) == seconds


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])))
def test_retry_after_is_never_an_error(text: str) -> None:
    response = httpx.Response(429, headers=[(b"retry-after", text.encode("latin-1"))])
    seconds = answers.get_retry_after(response, NOW)
    assert seconds is None or seconds >= 0


def refusal(status: int, code: object = None, message: object = None, **headers: str) -> ApiError:
    meanings = {"Known": Meaning(Forbidden, "Do this."), "Down": Meaning(ServiceUnavailable), "5": Meaning(NotFound)}
    response = answer(status, {"x": CANARY}, **headers)
    return answers.refusal(response, now=NOW, body={}, code=code, message=message, meanings=meanings)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, InvalidRequest, False),
        (401, Unauthorized, False),
        (403, Forbidden, False),
        (404, NotFound, False),
        (409, InvalidRequest, False),
        (302, InvalidRequest, False),
        (429, Throttled, True),
        (500, ServiceUnavailable, True),
        (501, ServiceUnavailable, False),
        (502, ServiceUnavailable, True),
        (503, ServiceUnavailable, True),
        (504, ServiceUnavailable, True),
        (505, ServiceUnavailable, False),
    ],
)
def test_an_unknown_code_is_judged_by_the_status(status: int, kind: type[ApiError], retryable: bool) -> None:
    error = refusal(status, "Unheard.Of", "Why not")
    assert (type(error), error.status, error.retryable) == (kind, status, retryable)
    assert (error.code, error.message) == ("Unheard.Of", "Why not.")
    assert CANARY not in told(error)


def test_a_known_code_counts_more_than_the_status() -> None:
    assert type(refusal(400, "Known")) is Forbidden
    assert refusal(400, "Known").hint == "Do this."
    assert type(refusal(400, 5)) is NotFound


def test_a_failing_service_is_retried_only_under_a_status_that_says_so() -> None:
    assert not refusal(400, "Down").retryable
    assert refusal(503, "Down").retryable


@pytest.mark.parametrize("code", [None, "", [CANARY], {"a": CANARY}, 1.5])
def test_a_code_that_is_none(code: object) -> None:
    assert refusal(400, code).code is None


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Why. ", "Why."),
        ("Why?", "Why?"),
        ("a\n b\tc\x1b[31m", "a b c [31m."),
        ("x" * 1000, "x" * 300 + "."),
        ("", "Bad Request: the API sent no readable message."),
        (None, "Bad Request: the API sent no readable message."),
        ({"a": CANARY}, "Bad Request: the API sent no readable message."),
        ("\ud800", "Bad Request: the API sent no readable message."),
    ],
)
def test_the_vendors_message_in_one_line(message: object, said: str) -> None:
    assert refusal(400, "X", message).message == said


def test_a_status_without_a_phrase() -> None:
    assert refusal(499).message == "Refused: the API sent no readable message."


def test_retry_after_and_request_id_are_taken_along() -> None:
    error = refusal(429, retry_after="3", x_request_id="rid")
    assert (error.retry_after, error.request_id) == (3.0, "rid")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_any_json_is_an_object_or_none(data: object) -> None:
    read = answers.try_json_object(httpx.Response(200, content=json.dumps(data).encode()))
    assert (read is not None) == isinstance(data, dict)


@pytest.mark.parametrize(
    "wrong", [b"NaN", b"-Infinity", b"1e999", b"[" * 101 + b"]" * 101, b'{"a":' * 500 + b"1" + b"}" * 500]
)
def test_json_that_could_not_be_handed_on_is_none(wrong: bytes) -> None:
    assert answers.try_json_object(httpx.Response(200, content=b'{"a": ' + wrong + b"}")) is None


def test_json_of_many_parts_and_some_depth() -> None:
    body = {"a": [{"b": [1.5]}] * 200, "c": json.loads("[" * 98 + "]" * 98)}
    assert answers.try_json_object(answer(200, body)) == body


@pytest.mark.parametrize("value", [None, "x", {}, [1]])
def test_a_field_that_is_no_list_of_objects(value: object) -> None:
    with pytest.raises(ResponseError, match="has no field 'a' with a list of objects"):
        answers.require_list(answer(200), {"a": value}, "a")
    assert answers.require_list(answer(200), {"a": [{"b": 1}]}, "a") == [{"b": 1}]
