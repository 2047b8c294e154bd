"""Model Studio (DashScope): a temporary API key."""

from __future__ import annotations

import httpx
import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    ResponseError,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
    UnusableToken,
)

from ..doubles import CANARY, NOW, Clock, answer, vector
from .conftest import Prepare, refuse_params, refuse_settings

SETTINGS = {"provider": "dashscope", "region": "cn-beijing", "api_key": "sk-test"}


def good(value: str = CANARY, ends: object = int(NOW) + 60, **headers: str) -> httpx.Response:
    return answer(200, {"token": value, "expires_at": ends}, **headers)


def test_the_call_is_the_documented_one(prepared: Prepare) -> None:
    recorded = vector("dashscope_temporary_key")["request"]
    (request,), token = prepared.fetch(
        SETTINGS, {"expire_in_seconds": "1800"}, good("st-test", int(NOW) + 1800, x_request_id="rid")
    )
    assert (request.method, request.url.raw_path.decode()) == (recorded["method"], recorded["target"])
    assert request.headers["authorization"] == dict(recorded["headers"])["Authorization"]
    assert (request.content, "content-type" in request.headers) == (b"", False)
    assert request.headers["host"] == "dashscope.aliyuncs.com"
    assert token.headers() == {"Authorization": "Bearer st-test"}
    assert (token.expires_at, token.metadata) == (utc(NOW + 1800), {"request_id": "rid"})


def test_the_documented_answer_is_read(prepared: Prepare, clock: Clock) -> None:
    clock.wall = 1744080369 - 60
    recorded = answer(200, vector("dashscope_temporary_key")["response"]["body_text"], content_type="application/json")
    (request,), token = prepared.fetch(SETTINGS, {}, recorded)
    assert request.url.query == b""
    assert (token.reveal(), token.expires_at) == ("st-test", utc(1744080369))


@pytest.mark.parametrize(
    ("params", "ends", "left"),
    [
        ({}, None, 60),
        ({}, int(NOW) + 50, 50),
        ({}, int(NOW) + 5000, 60),
        ({"expire_in_seconds": 1800}, None, 1800),
        ({"expire_in_seconds": 1800}, str(int(NOW) + 1700), 1700),
    ],
)
def test_the_end_is_what_the_answer_says_and_no_later_than_what_was_asked_for(
    prepared: Prepare, params: dict[str, object], ends: object, left: float
) -> None:
    assert prepared.fetch(SETTINGS, params, good(ends=ends))[1].expires_at == utc(NOW + left)


def test_a_key_that_has_ended_is_not_handed_out(prepared: Prepare) -> None:
    error = prepared.refused(UnusableToken, SETTINGS, {}, good(ends=NOW, x_request_id="rid"))
    assert (error.request_id, error.status) == ("rid", 200)


@pytest.mark.parametrize("given", [{}, {"token": ""}, {"token": "a b"}, {"token": CANARY, "expires_at": "soon"}])
def test_an_answer_that_is_not_as_documented(prepared: Prepare, given: dict[str, object]) -> None:
    error = prepared.refused(ResponseError, SETTINGS, {}, answer(200, {"request_id": "rid", **given}))
    assert error.request_id == "rid"
    assert CANARY not in str(error)


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (401, "InvalidApiKey", Unauthorized, False),
        (401, "invalid_api_key", Unauthorized, False),
        (429, "Throttling", Throttled, True),
        (429, "Throttling.RateQuota", Throttled, True),
        (500, "SystemError", ServiceUnavailable, True),
        (403, "AccessDenied", Forbidden, False),
        (400, "InvalidParameter", InvalidRequest, False),
    ],
)
@pytest.mark.parametrize("inner", [False, True], ids=["at the top", "within error"])
def test_errors_in_both_forms(
    *, prepared: Prepare, status: int, code: str, kind: type[ApiError], retryable: bool, inner: bool
) -> None:
    said = {"code": code, "message": "It is so."}
    body = {"request_id": "rid", **({"error": said} if inner else said)}
    error = prepared.refused(ApiError, SETTINGS, {}, answer(status, body))
    assert (type(error), error.code, error.message, error.request_id) == (kind, code, "It is so.", "rid")
    assert (error.status, error.retryable) == (status, retryable)


@pytest.mark.parametrize("body", ["<html>", "", "[]", '{"error": "no"}'])
def test_a_refusal_that_is_no_error_document_is_judged_by_its_status(prepared: Prepare, body: str) -> None:
    prepared.refused(Unauthorized, SETTINGS, {}, answer(401, body))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"expire_in_seconds": 0}, "at least 1"),
        ({"expire_in_seconds": 1801}, "at most 1800"),
        ({"expire_in_seconds": "long"}, "a whole number"),
        ({"expires": 5}, "is not a parameter"),
    ],
)
def test_wrong_parameters_never_become_a_call(params: dict[str, object], words: str) -> None:
    refuse_params(SETTINGS, params, words)


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({}, "https://dashscope.aliyuncs.com"),
        ({"region": "ap-southeast-1"}, "https://dashscope-intl.aliyuncs.com"),
        ({"workspace": "ws-1"}, "https://ws-1.cn-beijing.maas.aliyuncs.com"),
        ({"workspace": "ws_1", "region": "ap-southeast-1"}, "https://ws_1.ap-southeast-1.maas.aliyuncs.com"),
        ({"region": "", "endpoint": "https://h.example.com/"}, "https://h.example.com"),
    ],
)
def test_where_it_is(prepared: Prepare, changes: dict[str, str], base: str) -> None:
    assert str(prepared.request({**SETTINGS, **changes}, {}).url) == f"{base}/api/v1/tokens"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": ""}, "key 'endpoint' is missing (or give region)"),
        ({"region": "us-east-1"}, "key 'region' names a region in which no endpoint of Model Studio is known"),
        ({"region": "us-east-1", "workspace": "ws-1"}, "of Model Studio's workspaces"),
        ({"region": "", "workspace": "ws-1"}, "key 'endpoint' is missing (or give region)"),
        ({"workspace": "a.b"}, "key 'workspace' must be a workspace's id"),
        ({"workspace": "ws-1", "endpoint": "https://h"}, "key 'workspace' and endpoint cannot both be given"),
        ({"api_key": ""}, "key 'api_key' is missing"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, str], words: str) -> None:
    assert words in refuse_settings({**SETTINGS, **changes}).message


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    provider, _ = prepared(SETTINGS, {})
    known = provider.documented
    assert (known.method, known.path, known.query) == ("POST", "/api/v1/tokens", ("expire_in_seconds",))
