"""PAI-DLC GetToken."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import ParameterError, ResponseError, UnusableToken
from jupyter_tokens.providers.answers import jwt_expiry

from ..doubles import CANARY, NOW, answer, told, vector
from .conftest import Prepare, refuse_params

SETTINGS = {"provider": "pai-dlc", "region": "cn-hangzhou", "access_key_id": "AKID", "access_key_secret": "s"}
ALL = {
    "TargetType": "job",
    "TargetId": "dlc1a2b3c4d5e6f7",
    "ExpireTime": "60",
    "TokenSettings.EnableCrossAccountAccess": True,
    "TokenSettings.EnableLogDownloadJob": "false",
}


def jwt(payload: object) -> str:
    return "e30." + base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=") + ".sig"


def test_without_parameters_the_default_life_counts(prepared: Prepare) -> None:
    (request,), token = prepared.fetch(SETTINGS, {}, answer(200, {"RequestId": "rid", "Token": "t0k3n"}))
    assert (request.method, str(request.url)) == ("GET", "https://pai-dlc.cn-hangzhou.aliyuncs.com/api/v1/tokens")
    assert (request.headers["x-acs-action"], request.headers["x-acs-version"]) == ("GetToken", "2020-12-03")
    assert token.reveal() == "t0k3n"
    assert token.headers() == {"Authorization": "Bearer t0k3n"}
    assert token.obtained_at == utc(NOW)
    assert token.expires_at == utc(NOW + 604_800)
    assert (token.profile, token.provider, token.metadata) == ("mine", "pai-dlc", {"RequestId": "rid"})


def test_every_parameter_is_sent_by_the_vendors_name(prepared: Prepare) -> None:
    request = prepared.request(SETTINGS, ALL)
    sent = dict(request.url.params)
    expected = {**ALL, "TokenSettings.EnableCrossAccountAccess": "True", "TokenSettings.EnableLogDownloadJob": "False"}
    assert sent == expected


def test_the_query_is_the_recorded_one(prepared: Prepare) -> None:
    request = prepared.request(SETTINGS, {key: ALL[key] for key in ("TargetType", "TargetId", "ExpireTime")})
    assert request.url.raw_path.decode() == vector("pai_gettoken_basic")["request"]["target"]


def test_ids_are_percent_encoded(prepared: Prepare) -> None:
    request = prepared.request(SETTINGS, {"TargetId": "a b&c=d?#é~*"})
    assert request.url.raw_path.decode().endswith("?TargetId=a%20b%26c%3Dd%3F%23%C3%A9~%2A")


@pytest.mark.parametrize(
    "params",
    [
        {"ExpireTime": -1},
        {"ExpireTime": "soon"},
        {"ExpireTime": 10**18},
        {"TargetType": "Job"},
        {"TargetId": ""},
        {"TargetId": "a/b"},
        {"Target": "x"},
        {"TokenSettings.EnableLogDownloadJob": "maybe"},
    ],
)
def test_wrong_parameters_never_become_a_call(params: dict[str, object]) -> None:
    refuse_params(SETTINGS, params)


def test_a_life_that_no_calendar_holds_is_refused_before_anything_is_sent(prepared: Prepare) -> None:
    prepared.refused(ParameterError, SETTINGS, {"ExpireTime": 10**17}, match="ExpireTime")


@pytest.mark.parametrize(
    ("params", "value", "life"),
    [
        ({"ExpireTime": 60}, "opaque", 60),
        ({"ExpireTime": 60}, jwt({"exp": NOW + 30}), 30),
        ({"ExpireTime": 60}, jwt({"exp": NOW + 90}), 60),
        ({}, jwt({"exp": int(NOW) + 3600}), 3600),
        ({"ExpireTime": 60}, jwt({}), 60),
        ({"ExpireTime": 0}, "opaque", 0),
        ({"ExpireTime": 0}, jwt({"exp": NOW}), 0),
        ({"ExpireTime": 0}, jwt({"exp": NOW - 1}), -1),
    ],
)
def test_expiry_is_the_earlier_of_what_was_asked_and_what_the_token_says(
    prepared: Prepare, params: dict[str, object], value: str, life: float
) -> None:
    _, token = prepared.fetch(SETTINGS, params, answer(200, {"Token": value}))
    assert token.expires_at is not None
    assert token.expires_at - token.obtained_at == timedelta(seconds=life)


def test_a_token_that_has_expired_is_not_handed_out(prepared: Prepare) -> None:
    value = jwt({"exp": NOW, "x": CANARY})
    error = prepared.refused(
        UnusableToken, SETTINGS, {"ExpireTime": 60}, answer(200, {"Token": value, "RequestId": "rid"})
    )
    assert (error.request_id, error.status) == ("rid", 200)
    assert value not in str(error)


@pytest.mark.parametrize("body", [{}, {"Token": ""}, {"Token": 5}, {"Token": [CANARY]}, {"Token": f"{CANARY} x"}])
def test_an_answer_without_a_token(prepared: Prepare, body: dict[str, object]) -> None:
    error = prepared.refused(ResponseError, SETTINGS, {}, answer(200, {**body, "RequestId": "rid"}), match="Token")
    assert (error.request_id, error.status) == ("rid", 200)
    assert CANARY not in str(error) + repr(error)


@pytest.mark.parametrize("body", ["", "<html/>", '{"Token": "t0'])
def test_an_answer_that_is_no_json(prepared: Prepare, body: str) -> None:
    error = prepared.refused(ResponseError, SETTINGS, {}, answer(200, body, x_acs_request_id="rid"))
    assert error.request_id == "rid"
    assert "t0" not in told(error).split("Error(")[-1]


@pytest.mark.parametrize(
    "value",
    [
        "opaque",
        "a.b",
        "a.b.c.d",
        "e30.e30.sig",
        "e30.!!!.sig",
        "e30.é.sig",
        "..",
        jwt([]),
        jwt({"exp": "soon"}),
        jwt({"exp": True}),
        jwt({"exp": None}),
        jwt({"exp": 10**400}),
        jwt({"exp": 1e300}),
        jwt({"exp": float("nan")}),
        jwt({"exp": float("inf")}),
        "e30." + base64.urlsafe_b64encode(b"[" * 200_000).decode() + ".sig",
    ],
    ids=range(16),
)
def test_what_holds_no_expiry(value: str) -> None:
    assert jwt_expiry(value) is None


@given(st.text(), st.binary())
def test_expiry_of_anything_is_no_error(text: str, payload: bytes) -> None:
    for value in (text, f"a.{text}.b", f"a.{base64.urlsafe_b64encode(payload).decode()}.b"):
        assert jwt_expiry(value) is None or isinstance(jwt_expiry(value), float)


@given(st.integers(0, 2**33))
def test_expiry_of_a_jwt(seconds: int) -> None:
    assert jwt_expiry(jwt({"exp": seconds})) == seconds


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    known = prepared(SETTINGS, {})[0].documented
    assert (known.method, known.path) == ("GET", "/api/v1/tokens")
