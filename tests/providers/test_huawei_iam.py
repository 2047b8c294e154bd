"""Huawei Cloud IAM: the IAM token itself, by password, by token and by id_token."""

from __future__ import annotations

import json

import httpx
import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    ParameterError,
    ResponseError,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
    UnusableToken,
)

from ..doubles import CANARY, NOW, answer, vector
from .conftest import Prepare, refuse_settings

PROJECT = "0123456789abcdef0123456789abcdef"
PLACE = {"provider": "huawei-iam", "region": "cn-north-4"}
LOGIN = {**PLACE, "username": "u", "password": "p", "domain_name": "d"}
BY_TOKEN = {**PLACE, "region": "eu-de", "auth_token": "MIIold"}
BY_ID_TOKEN = {**PLACE, "id_token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "idp_id": "idp"}
ALL = {"password": LOGIN, "token": BY_TOKEN, "id_token": BY_ID_TOKEN}
every_way = pytest.mark.parametrize("settings", ALL.values(), ids=ALL)
KEYSTONE = "/v3/auth/tokens?nocatalog=true"
FEDERATION = "/v3.0/OS-AUTH/id-token/tokens"


def good(value: str = CANARY, **changes: object) -> httpx.Response:
    told = {"expires_at": "2026-01-16T08:30:00.000000Z", "catalog": [], "roles": [], **changes}
    return answer(201, {"token": told}, x_subject_token=value, x_request_id="rid")


def test_the_login_by_password_is_the_recorded_one(prepared: Prepare) -> None:
    recorded = vector("hw_iam_token_password_project_id")
    user = json.loads(recorded["request"]["body_text"])["auth"]["identity"]["password"]["user"]
    who = {"username": user["name"], "password": user["password"], "domain_name": user["domain"]["name"]}
    told = recorded["sdk_result"]["body"]["token"]
    (request,), token = prepared.fetch({**LOGIN, **who}, {"project_id": PROJECT}, good("MIIabc", **told))
    assert request.url.host == "iam.cn-north-4.myhuaweicloud.com"
    assert (request.method, request.url.raw_path.decode()) == ("POST", recorded["request"]["target"])
    assert json.loads(request.content) == json.loads(recorded["request"]["body_text"])
    assert request.headers["content-type"] == "application/json"
    assert token.reveal() == "MIIabc"
    assert token.expires_at == utc(NOW + 86_400)
    assert token.metadata == {
        **{name: told[name] for name in ("issued_at", "methods", "user", "project")},
        "request_id": "rid",
    }


def test_the_call_by_token_is_the_recorded_one(prepared: Prepare) -> None:
    recorded = vector("otc_iam_token_by_token")["request"]
    (request,), token = prepared.fetch(BY_TOKEN, {"project_id": PROJECT}, good())
    assert request.url.host == "iam.eu-de.otc.t-systems.com"
    assert request.url.path == recorded["target"]
    assert json.loads(request.content) == json.loads(recorded["body_text"])
    assert request.headers["x-auth-token"] == dict(recorded["headers"])["X-Auth-Token"]
    assert token.reveal() == CANARY


def test_the_call_by_id_token_is_the_recorded_one(prepared: Prepare) -> None:
    recorded = vector("hw_iam_token_by_id_token")["request"]
    (request,), token = prepared.fetch(BY_ID_TOKEN, {}, good())
    assert (request.method, request.url.raw_path.decode()) == ("POST", recorded["target"])
    assert json.loads(request.content) == json.loads(recorded["body_text"])
    assert request.headers["x-idp-id"] == dict(recorded["headers"])["X-Idp-Id"]
    assert token.reveal() == CANARY


@every_way
def test_the_token_goes_into_a_header_of_its_own(prepared: Prepare, settings: dict[str, str]) -> None:
    assert prepared.fetch(settings, {}, good())[1].headers() == {"X-Auth-Token": CANARY}


@every_way
@pytest.mark.parametrize(
    ("params", "scope"),
    [
        ({}, None),
        ({"project_id": "p"}, {"project": {"id": "p"}}),
        ({"project_name": "cn-north-4"}, {"project": {"name": "cn-north-4"}}),
        ({"domain_id": "d"}, {"domain": {"id": "d"}}),
        ({"domain_name": "d é"}, {"domain": {"name": "d é"}}),
    ],
)
def test_every_scope(prepared: Prepare, settings: dict[str, str], params: dict[str, str], scope: object) -> None:
    assert json.loads(prepared.request(settings, params).content)["auth"].get("scope") == scope


@every_way
def test_a_token_has_one_scope(prepared: Prepare, settings: dict[str, str]) -> None:
    prepared.refused(
        ParameterError,
        settings,
        {"project_id": "p", "domain_id": "d"},
        match="project_id and domain_id cannot both be given",
    )


def test_an_empty_scope_is_not_sent(prepared: Prepare) -> None:
    prepared.refused(ParameterError, LOGIN, {"domain_name": " "}, match="domain_name must not be empty")


@pytest.mark.parametrize("params", [{"project_id": 5}, {"project": "p"}])
def test_wrong_parameters_never_become_a_call(params: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        Profiles.from_settings({"mine": LOGIN})["mine"].call_params(params)


@pytest.mark.parametrize("end", ["", "/", "/v3", "/v3/"])
@pytest.mark.parametrize(("settings", "target"), [(LOGIN, KEYSTONE), (BY_ID_TOKEN, FEDERATION)])
def test_the_endpoint_is_found_whichever_way_it_is_written(
    prepared: Prepare, settings: dict[str, str], target: str, end: str
) -> None:
    assert (
        str(prepared.request({**settings, "region": "", "endpoint": f"https://iam.example.com{end}"}, {}).url)
        == f"https://iam.example.com{target}"
    )


@every_way
@pytest.mark.parametrize("form", ["error", "error_code"])
@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (400, "1100", InvalidRequest, False),
        (400, "IAM.0011", InvalidRequest, False),
        (401, "IAM.0001", Unauthorized, False),
        (401, "IAM.0061", Unauthorized, False),
        (401, "IAM.0062", Unauthorized, False),
        (401, "APIG.0301", Unauthorized, False),
        (401, "APIGW.0301", Unauthorized, False),
        (403, "IAM.0002", Forbidden, False),
        (404, "IAM.0004", NotFound, False),
        (429, "IAM.0012", Throttled, True),
        (500, "IAM.0006", ServiceUnavailable, True),
    ],
)
def test_errors_in_both_forms(
    *,
    prepared: Prepare,
    settings: dict[str, str],
    form: str,
    status: int,
    code: str,
    kind: type[ApiError],
    retryable: bool,
) -> None:
    inner = {"error": {"code": code, "message": "It is so.", "title": "T"}}
    body = inner if form == "error" else {"error_code": code, "error_msg": "It is so."}
    error = prepared.refused(ApiError, settings, {}, answer(status, body, x_request_id="rid"))
    assert (type(error), error.code, error.message, error.request_id) == (kind, code, "It is so.", "rid")
    assert (error.status, error.retryable) == (status, retryable)


def test_a_locked_account_is_said_to_be_locked(prepared: Prepare) -> None:
    locked = answer(401, {"error_code": "IAM.0061", "error_msg": "locked"})
    # The flow asks for no second answer: a login that was refused is not made again.
    error = prepared.refused(Unauthorized, LOGIN, {}, locked)
    assert "15 minutes" in error.hint


@pytest.mark.parametrize(
    "given",
    [
        answer(201, {"token": {"expires_at": "2026-01-16T08:30:00Z"}}),
        good(""),
        good("a b"),
        good(expires_at="soon"),
        good(expires_at=None),
        answer(201, "", x_subject_token=CANARY),
        answer(201, {}, x_subject_token=CANARY),
        answer(200, {"token": {"expires_at": "2026-01-16T08:30:00Z"}}, x_subject_token=CANARY),
    ],
    ids=range(8),
)
def test_an_answer_that_is_not_as_documented(prepared: Prepare, given: httpx.Response) -> None:
    error = prepared.refused(ResponseError, LOGIN, {}, given)
    assert CANARY not in str(error)


def test_a_token_that_has_ended_is_not_handed_out(prepared: Prepare) -> None:
    error = prepared.refused(UnusableToken, LOGIN, {}, good(expires_at="2026-01-15T08:30:00.000000Z"))
    assert (error.request_id, error.status) == ("rid", 201)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (PLACE, "key 'username' is missing (or give auth_token or id_token)"),
        ({**LOGIN, "auth_token": "x"}, "key 'auth_token' and username cannot both be given"),
        ({**BY_TOKEN, "id_token": "x", "idp_id": "i"}, "key 'id_token' and auth_token cannot both be given"),
        ({**LOGIN, "password": ""}, "key 'password' is missing"),
        ({**LOGIN, "domain_name": ""}, "key 'domain_name' is missing"),
        ({**BY_ID_TOKEN, "idp_id": ""}, "key 'idp_id' is missing"),
        ({**LOGIN, "region": ""}, "key 'endpoint' is missing (or give region)"),
        ({**LOGIN, "region": "cn-southwest-3"}, "of IAM"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, str], words: str) -> None:
    message = refuse_settings(settings).message
    assert words in message
    assert "iam_endpoint" not in message


def test_the_proxy_takes_no_login(prepared: Prepare) -> None:
    provider, _ = prepared(LOGIN, {})
    assert provider.documented is None
