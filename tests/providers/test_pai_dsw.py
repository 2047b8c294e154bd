"""PAI-DSW GetToken."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ApiError,
    InvalidRequest,
    ResponseError,
    ServiceUnavailable,
    UnusableToken,
)

from ..doubles import CANARY, NOW, answer, drive, vector
from .conftest import Prepare, refuse_params
from .test_pai_dlc import jwt

SETTINGS = {"provider": "pai-dsw", "region": "cn-hangzhou", "access_key_id": "AKID", "access_key_secret": "s"}
ID = {"InstanceId": "dsw-730abcdefghij"}


def good(value: str = CANARY, **changes: object) -> httpx.Response:
    return answer(200, {"RequestId": "rid", "Success": True, "Token": value, **changes})


@pytest.mark.parametrize("name", ["dsw_gettoken_basic", "dsw_gettoken_view_thirdparty"])
def test_the_call_is_the_recorded_one(prepared: Prepare, name: str) -> None:
    recorded = vector(name)
    (request,), token = prepared.fetch(
        SETTINGS, dict(recorded["request"]["query_decoded"]), answer(200, recorded["sdk_result"]["body"])
    )
    theirs = dict(recorded["request"]["headers"])
    assert (request.method, request.url.raw_path.decode()) == ("GET", recorded["request"]["target"])
    assert request.url.host == "pai-dsw.cn-hangzhou.aliyuncs.com"
    for header in ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-content-sha256"):
        assert request.headers[header] == theirs[header]
    assert request.content == b""
    assert token.reveal() == recorded["sdk_result"]["body"]["Token"]
    assert token.metadata == {"RequestId": recorded["sdk_result"]["body"]["RequestId"]}
    assert token.headers() == {"Authorization": f"Bearer {token.reveal()}"}


@pytest.mark.parametrize(
    ("params", "value", "left"),
    [
        ({}, "opaque", None),
        ({}, jwt({"exp": NOW + 30}), 30),
        ({"ExpireTime": 60}, "opaque", 60),
        ({"ExpireTime": 60}, jwt({"exp": NOW + 30}), 30),
        ({"ExpireTime": 60}, jwt({"exp": NOW + 90}), 60),
    ],
)
def test_the_end_is_unknown_unless_the_call_or_the_token_says_it(
    prepared: Prepare, params: dict[str, object], value: str, left: float | None
) -> None:
    _, token = prepared.fetch(SETTINGS, {**ID, **params}, good(value))
    assert token.expires_at == (None if left is None else utc(NOW + left))


@pytest.mark.parametrize("params", [{}, {"ExpireTime": 60}])
def test_a_token_that_has_ended_is_not_handed_out(prepared: Prepare, params: dict[str, int]) -> None:
    error = prepared.refused(UnusableToken, SETTINGS, {**ID, **params}, good(jwt({"exp": NOW})))
    assert (error.request_id, error.hint) == ("rid", "Check this machine's clock.")


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        ("ValidationError", InvalidRequest, False),
        ("InternalError", ServiceUnavailable, True),
        ("Unheard.Of", InvalidRequest, False),
    ],
)
def test_a_refusal_with_the_status_of_a_success(
    prepared: Prepare, code: str, kind: type[ApiError], *, retryable: bool
) -> None:
    error = prepared.refused(ApiError, SETTINGS, ID, good(Success=False, Code=code, Message="It is so."))
    assert (type(error), error.code, error.message, error.request_id) == (kind, code, "It is so.", "rid")
    assert (error.status, error.retryable) == (200, retryable)


@pytest.mark.parametrize(
    "wrong",
    [{"Success": False}, {"Success": "true"}, {"Success": None}, {"Token": ""}, {"Token": None}, {"Token": "a b"}],
)
def test_an_answer_that_is_not_as_documented(prepared: Prepare, wrong: dict[str, Any]) -> None:
    error = prepared.refused(ResponseError, SETTINGS, ID, good(**wrong))
    assert error.request_id == "rid"
    assert CANARY not in str(error)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "InstanceId is missing"),
        ({"InstanceId": "a/b"}, "InstanceId"),
        ({**ID, "Type": "access"}, "must be one of Access, View"),
        ({**ID, "ExpireTime": 0}, "must be at least 1"),
        ({**ID, "ExpireTime": 2**31}, "must be at most 2147483647"),
        ({**ID, "TargetId": "x"}, "'TargetId' is not a parameter"),
    ],
)
def test_wrong_parameters_never_become_a_call(params: dict[str, object], words: str) -> None:
    refuse_params(SETTINGS, params, words)


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    provider, _ = prepared(SETTINGS, ID)
    known = provider.documented
    assert (known.method, known.path) == ("GET", "/api/v2/tokens")
    assert set(known.query) == {"InstanceId", "ExpireTime", "Type", "Audience"}
    assert known.headers == {"x-acs-action": "GetToken", "x-acs-version": "2022-01-01"}


def test_within_a_vpc() -> None:
    made = Profiles.from_settings({"mine": {**SETTINGS, "network": "vpc"}})["mine"]
    assert made.provider.base() == "https://pai-dsw-vpc.cn-hangzhou.aliyuncs.com"


@pytest.mark.parametrize("status", [200, 403])
def test_a_list_that_is_refused(prepared: Prepare, status: int) -> None:
    provider, call = prepared(SETTINGS, ID)
    refused = answer(status, {"Success": False, "Code": "Forbidden", "Message": "No.", "RequestId": "rid"})
    with pytest.raises(ApiError) as caught:
        drive(provider.list_values(call, "InstanceId"), refused)
    assert (caught.value.code, caught.value.request_id) == ("Forbidden", "rid")
