"""IDaaS EIAM GenerateOauthToken."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import InvalidRequest, ParameterError, ResponseError, UnusableToken

from ..doubles import CANARY, NOW, answer, vector
from .conftest import Prepare, refuse_params

SETTINGS = {"provider": "eiam-oauth", "region": "eu-central-1", "access_key_id": "AKID", "access_key_secret": "s"}
PARAMS = {
    "InstanceId": "idaas_ue2jvisn35ea5lmthk267xxxxx",
    "ApplicationId": "app_mkv7rgt4d7i4u7zqtzev2mxxxx",
    "Audience": "https://example.com",
    "ScopeValues": ["User:Read:ALL"],
}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:access_token"
EXCHANGED = {**PARAMS, "GrantType": EXCHANGE, "SubjectTokenType": TYPE}


def body(**changes: object) -> dict[str, object]:
    told = {
        "AccessToken": CANARY,
        "TokenType": "Bearer",
        "ExpiresIn": 1200,
        "ExpiresAt": int(NOW) + 1200,
        "IssuedTokenType": TYPE,
        **changes,
    }
    return {"RequestId": "rid", "TokenResponse": {key: value for key, value in told.items() if value is not ...}}


@pytest.mark.parametrize(
    "name", ["eiam_oauth_basic", "eiam_oauth_special", "eiam_oauth_sts", "eiam_oauth_token_exchange"]
)
def test_the_call_is_the_recorded_one(prepared: Prepare, name: str) -> None:
    recorded = vector(name)
    asked = recorded["request"]
    keys = recorded["credentials"]
    query = dict(asked["query_decoded"])
    params = {key: value for key, value in query.items() if not key.startswith(("ScopeValues", "SubjectToken"))}
    params["ScopeValues"] = [value for key, value in query.items() if key.startswith("ScopeValues.")]
    settings = {**SETTINGS, **keys}
    if "SubjectToken" in query:
        params["SubjectTokenType"] = query["SubjectTokenType"]
        settings["subject_token"] = query["SubjectToken"]
    (request,), token = prepared.fetch(settings, params, answer(200, recorded["sdk_result"]["body"]))
    # The SDK writes + for a space, and signs %20 as it is sent here.
    assert request.url.raw_path.decode() == asked["target"].replace("+", "%20")
    assert request.method == asked["method"]
    theirs = {key.lower(): value for key, value in asked["headers"]}
    for header in ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-content-sha256", "content-length"):
        assert request.headers[header] == theirs[header]
    assert request.headers.get("x-acs-security-token") == theirs.get("x-acs-security-token")
    assert request.content == b""
    assert token.reveal() == "ATxxx"


def test_what_a_token_says(prepared: Prepare) -> None:
    (request,), token = prepared.fetch(SETTINGS, PARAMS, answer(200, body()))
    assert request.url.copy_with(query=None) == "https://eiam.eu-central-1.aliyuncs.com/"
    assert token.headers() == {"Authorization": f"Bearer {CANARY}"}
    assert (token.expires_at, token.obtained_at) == (utc(NOW + 1200), utc(NOW))
    assert token.metadata == {"TokenType": "Bearer", "IssuedTokenType": TYPE, "RequestId": "rid"}


@pytest.mark.parametrize("written", [[f"s{n}" for n in range(1, 12)], " ".join(f"s{n}" for n in range(1, 12))])
def test_each_scope_has_a_name_of_its_own_whichever_way_they_are_given(prepared: Prepare, written: object) -> None:
    query = prepared.request(SETTINGS, {**PARAMS, "ScopeValues": written}).url.query.decode()
    names = [name for name, _ in parse_qsl(query) if name.startswith("ScopeValues")]
    # As the signature wants them: by text.
    assert names == [f"ScopeValues.{n}" for n in (1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)]
    assert dict(parse_qsl(query))["ScopeValues.10"] == "s10"


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"ExpiresAt": int(NOW) + 60}, 60),
        ({"ExpiresIn": 30}, 30),
        ({"ExpiresIn": ...}, 1200),
        ({"ExpiresAt": None, "ExpiresIn": "90"}, 90),
        ({"ExpiresAt": ..., "ExpiresIn": ...}, None),
    ],
)
def test_the_end_is_the_earlier_one_of_two_that_are_told(
    prepared: Prepare, changes: dict[str, object], left: float | None
) -> None:
    _, token = prepared.fetch(SETTINGS, PARAMS, answer(200, body(**changes)))
    assert token.expires_at == (None if left is None else utc(NOW + left))


@pytest.mark.parametrize("changes", [{"ExpiresAt": NOW}, {"ExpiresIn": 0}])
def test_a_token_that_has_ended_is_not_handed_out(prepared: Prepare, changes: dict[str, object]) -> None:
    error = prepared.refused(UnusableToken, SETTINGS, PARAMS, answer(200, body(**changes)))
    assert (error.request_id, error.status) == ("rid", 200)


@pytest.mark.parametrize(
    "given",
    [
        {"RequestId": "rid"},
        {"RequestId": "rid", "TokenResponse": CANARY},
        body(AccessToken=...),
        body(AccessToken="a b"),
        body(TokenType="mac"),
        body(ExpiresIn="soon"),
        body(ExpiresAt=10**17, ExpiresIn=...),
    ],
)
def test_an_answer_that_is_not_as_documented(prepared: Prepare, given: dict[str, object]) -> None:
    error = prepared.refused(ResponseError, SETTINGS, PARAMS, answer(200, given))
    assert error.request_id == "rid"
    assert CANARY not in str(error)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"InstanceId": None}, "InstanceId is missing"),
        ({"ApplicationId": "a/b"}, "ApplicationId"),
        ({"Audience": None}, "Audience is missing"),
        ({"ScopeValues": None}, "ScopeValues is missing"),
        ({"ScopeValues": []}, "ScopeValues must be a list"),
        ({"GrantType": "password"}, "must be one of client_credentials"),
        ({"RequestedTokenType": "jwt"}, "must be one of urn"),
        ({"SubjectToken": "x"}, "'SubjectToken' is not a parameter"),
    ],
)
def test_wrong_parameters_never_become_a_call(changes: dict[str, object], words: str) -> None:
    refuse_params(SETTINGS, {**PARAMS, **changes}, words)


@pytest.mark.parametrize(
    ("settings", "params", "words"),
    [
        ({}, EXCHANGED, "needs a subject token"),
        ({"subject_token": "x"}, {**EXCHANGED, "SubjectTokenType": None}, "SubjectTokenType is missing"),
        ({}, {**PARAMS, "SubjectTokenType": TYPE}, "SubjectTokenType is only used in a token exchange"),
    ],
)
def test_a_token_exchange_that_lacks_a_part_is_not_sent(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object], words: str
) -> None:
    prepared.refused(ParameterError, {**SETTINGS, **settings}, params, match=words)


def test_the_subject_token_goes_out_for_a_token_exchange_alone(prepared: Prepare) -> None:
    provider, call = prepared({**SETTINGS, "subject_token": CANARY}, PARAMS)
    assert CANARY not in str(next(provider.retrieve(call)).url)
    provider, call = prepared({**SETTINGS, "subject_token": CANARY}, EXCHANGED)
    assert dict(next(provider.retrieve(call)).url.params)["SubjectToken"] == CANARY
    assert CANARY not in repr(call)


def test_a_scope_that_is_not_granted_is_judged_by_its_status(prepared: Prepare) -> None:
    refused = answer(400, {"RequestId": "rid", "Code": "Scope.NotGranted", "Message": "Not granted."})
    error = prepared.refused(InvalidRequest, SETTINGS, PARAMS, refused)
    assert (error.code, error.request_id) == ("Scope.NotGranted", "rid")


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    known = prepared(SETTINGS, PARAMS)[0].documented
    assert (known.method, known.path) == ("POST", "/")
    assert (known.arrays, known.dropped) == (("ScopeValues",), ("SubjectToken",))
    assert "ScopeValues" not in known.query
