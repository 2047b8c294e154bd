"""STS of Huawei Cloud: three values that belong together, by an access key, an id_token or an IAM token."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from jupyter_tokens.clock import utc
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

from ..doubles import CANARY, NOW, answer, drive, vector
from .conftest import Prepare, refuse_params, refuse_settings

PLACE = {"provider": "huawei-sts", "region": "cn-north-4"}
KEY = {**PLACE, "access_key": "AK", "secret_key": "sk"}
OIDC = {**PLACE, "id_token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}
TOKEN = {**PLACE, "region": "eu-de", "auth_token": "MIIOTCTOKEN"}
AGENCY = {"agency_urn": "iam::dom2:agency:ag", "agency_session_name": "alice"}
FEDERATED = {**AGENCY, "provider_urn": "iam::dom1:oidc-provider:idp"}
OF_IAM = {"access": "AK1", "secret": f"{CANARY}-secret", "securitytoken": f"{CANARY}-token"}
OF_STS = {"access_key_id": "AK1", "secret_access_key": f"{CANARY}-secret", "security_token": f"{CANARY}-token"}
ALL = {"key": (KEY, AGENCY), "oidc": (OIDC, FEDERATED), "token": (TOKEN, {})}
every_way = pytest.mark.parametrize(("settings", "params"), ALL.values(), ids=ALL)


def good(settings: dict[str, str], **changes: object) -> httpx.Response:
    if "auth_token" in settings:
        told: dict[str, object] = {**OF_IAM, "expires_at": "2026-01-15T08:45:00.000000Z"}
        names = dict(zip(OF_STS, OF_IAM, strict=True)) | {"end": "expires_at"}
        return answer(
            201, {"credential": told | {names[name]: value for name, value in changes.items()}}, x_request_id="rid"
        )
    changes = {"expiration" if name == "end" else name: value for name, value in changes.items()}
    told = {**OF_STS, "expiration": "2026-01-15T08:45:00.158Z", **changes}
    body = {"credentials": told, "assumed_agency": {"urn": "u", "id": "i"}, "source_identity": "s"}
    return answer(200, body, x_request_id="rid")


def sent(recorded: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(recorded["request"]["body_text"])
    return body


@pytest.mark.parametrize("name", ["hw_sts_assume_agency_basic", "hw_sts_assume_agency_sts"])
def test_the_signed_call_is_the_recorded_one(prepared: Prepare, name: str) -> None:
    recorded = vector(name)
    keys = recorded["credentials"]
    settings = {
        **PLACE,
        **{name: keys[name] for name in ("access_key", "secret_key", "security_token") if name in keys},
    }
    provider, call = prepared(settings, sent(recorded))
    told = recorded["sdk_result"]["body"]
    (request,), token = drive(provider.retrieve(call), answer(200, told))
    theirs = dict(recorded["request"]["headers"])
    assert (request.method, request.url.path) == ("POST", recorded["request"]["target"])
    assert request.url.host == "sts.cn-north-4.myhuaweicloud.com"
    assert json.loads(request.content) == sent(recorded)
    for header in ("Content-Type", "X-Sdk-Date", "X-Security-Token"):
        assert request.headers.get(header) == theirs.get(header)
    assert {name: token.reveal(name) for name in token.fields} == {
        name: told["credentials"][name] for name in provider.token_fields
    }
    assert token.expires_at == utc(NOW + 3600.158)
    assert (token.metadata["source_identity"], token.metadata["assumed_agency"]) == ("s", told["assumed_agency"])


def test_the_call_by_id_token_is_the_recorded_one_and_unsigned(prepared: Prepare) -> None:
    recorded = vector("hw_sts_assume_agency_oidc_core")
    body = sent(recorded) | {"agency_session_name": "alice"}
    settings = {**OIDC, "id_token": body["id_token"]}
    (request,), token = prepared.fetch(
        settings, {name: value for name, value in body.items() if name != "id_token"}, good(settings)
    )
    assert (request.method, request.url.path) == ("POST", recorded["request"]["target"])
    assert json.loads(request.content) == body
    assert "authorization" not in request.headers
    assert token.values() == OF_STS


def test_the_call_by_token_is_the_recorded_one(prepared: Prepare) -> None:
    recorded = vector("otc_securitytokens_by_token")["request"]
    (request,), token = prepared.fetch(TOKEN, {"duration_seconds": 900}, good(TOKEN))
    assert (request.method, request.url.path) == ("POST", recorded["target"])
    assert request.url.host == "iam.eu-de.otc.t-systems.com"
    # The recorded SDK misspells the one name in it.
    assert json.loads(request.content) == json.loads(
        recorded["body_text"].replace("duration-secods", "duration_seconds")
    )
    assert request.headers["x-auth-token"] == dict(recorded["headers"])["X-Auth-Token"]
    assert "authorization" not in request.headers
    assert token.values() == OF_STS
    assert (token.expires_at, token.metadata["request_id"]) == (utc(NOW + 900), "rid")


def test_by_an_agency_with_a_policy(prepared: Prepare) -> None:
    policy = {"Version": "1.1", "Statement": []}
    named = {"agency_name": "ag", "domain_name": "dom", "session_user": "alice", "policy": json.dumps(policy)}
    (request,), _ = prepared.fetch(TOKEN, named, good(TOKEN))
    role = {"agency_name": "ag", "domain_name": "dom", "session_user": {"name": "alice"}}
    identity = {"methods": ["assume_role"], "assume_role": role, "policy": policy}
    assert json.loads(request.content) == {"auth": {"identity": identity}}


def test_every_parameter_of_an_agency_is_sent(prepared: Prepare) -> None:
    more = {
        "duration_seconds": 43200,
        "policy": '{"Version": "5.0"}',
        "policy_ids": ["p1", "p2"],
        "external_id": "ext",
        "source_identity": "me",
        "serial_number": "iam::dom1:mfa:me",
        "token_code": "123456",
        "tags": ["team=a=b"],
        "transitive_tag_keys": ["team"],
    }
    (request,), _ = prepared.fetch(KEY, {**AGENCY, **more}, good(KEY))
    assert json.loads(request.content) == {**AGENCY, **more, "tags": [{"key": "team", "value": "a=b"}]}


@every_way
@pytest.mark.parametrize("name", [*OF_STS])
@pytest.mark.parametrize("value", ["", None, "a b", 5])
def test_half_a_key_is_none(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object], name: str, value: object
) -> None:
    error = prepared.refused(ResponseError, settings, params, good(settings, **{name: value}))
    assert error.request_id == "rid"
    assert CANARY not in str(error)


@every_way
@pytest.mark.parametrize("written", ["", None, "soon", 5, "2026-13-01T00:00:00Z"])
def test_the_end_has_to_be_known(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object], written: object
) -> None:
    prepared.refused(ResponseError, settings, params, good(settings, end=written))


@every_way
def test_a_key_that_has_ended_is_not_handed_out(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object]
) -> None:
    error = prepared.refused(UnusableToken, settings, params, good(settings, end="2026-01-15T08:30:00Z"))
    assert (error.request_id, error.hint) == ("rid", "Check this machine's clock.")


@every_way
@pytest.mark.parametrize("form", ["error", "error_code"])
@pytest.mark.parametrize(
    ("status", "code", "kind", "hint"),
    [
        (400, "1100", InvalidRequest, ""),
        (400, "IAM.1108", Unauthorized, "temporary key has expired"),
        (401, "IAM.0061", Unauthorized, "15 minutes"),
        (401, "APIGW.0301", Unauthorized, "clock"),
        (401, "APIG.0301", Unauthorized, "clock"),
        (403, "PAP5.0001", Forbidden, "sts:agencies:assume"),
        (403, "IAM.0003", Forbidden, "permission"),
        (404, "STS5.1106", NotFound, "agency_urn"),
        (429, "IAM.0012", Throttled, "later"),
        (500, "IAM.0006", ServiceUnavailable, "later"),
    ],
)
def test_each_code_says_what_to_do(
    *,
    prepared: Prepare,
    settings: dict[str, str],
    params: dict[str, object],
    form: str,
    status: int,
    code: str,
    kind: type[ApiError],
    hint: str,
) -> None:
    inner = {"error": {"code": code, "message": "It is so.", "title": "T"}}
    denied = {"error_code": code, "error_msg": "It is so.", "encoded_authorization_message": CANARY}
    error = prepared.refused(
        ApiError, settings, params, answer(status, inner if form == "error" else denied, x_request_id="rid")
    )
    assert (type(error), error.code, error.message, error.request_id) == (kind, code, "It is so.", "rid")
    assert hint in error.hint
    assert CANARY not in str(error)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({**AGENCY, "agency_urn": "ag"}, "iam::ACCOUNT:agency:NAME"),
        ({**AGENCY, "agency_urn": "iam::d:agency:" + "x" * 1500}, "iam::ACCOUNT:agency:NAME"),
        ({**AGENCY, "agency_session_name": "a"}, "2 to 128"),
        ({**AGENCY, "agency_session_name": "a b"}, "2 to 128"),
        ({**AGENCY, "duration_seconds": 899}, "at least 900"),
        ({**AGENCY, "duration_seconds": 86401}, "at most 86400"),
        ({**AGENCY, "external_id": "x"}, "2 to 1224"),
        ({**AGENCY, "source_identity": "x"}, "2 to 64"),
        ({**AGENCY, "token_code": "12345"}, "6 digits"),
        ({"session_user": "four"}, "5 to 64"),
        ({"provider_urn": "idp"}, "oidc-provider"),
        ({"id_token": "x"}, "'id_token' is not a parameter"),
    ],
)
def test_wrong_parameters_never_become_a_call(params: dict[str, object], words: str) -> None:
    refuse_params(KEY, params, words)


@pytest.mark.parametrize(
    ("settings", "params", "words"),
    [
        (KEY, {}, "agency_urn is missing"),
        (KEY, {"agency_urn": AGENCY["agency_urn"]}, "agency_session_name is missing"),
        (KEY, {**AGENCY, "provider_urn": FEDERATED["provider_urn"]}, "provider_urn is not available"),
        (KEY, {**AGENCY, "agency_name": "x"}, "agency_name is not available"),
        (KEY, {**AGENCY, "duration_seconds": 43201}, "at most 43200, not 43201"),
        ({**KEY, "security_token": "t"}, {**AGENCY, "duration_seconds": 3601}, "at most 3600 with a temporary"),
        (KEY, {**AGENCY, "policy": "[]"}, "JSON object"),
        (KEY, {**AGENCY, "policy": '{"a": "' + "x" * 4096 + '"}'}, "at most 4096"),
        (KEY, {**AGENCY, "policy_ids": ["p"] * 21}, "policy_ids must have at most 20"),
        (KEY, {**AGENCY, "tags": ["a=b"] * 21}, "tags must have at most 20"),
        (KEY, {**AGENCY, "tags": ["ab"]}, "KEY=VALUE"),
        (KEY, {**AGENCY, "token_code": "123456"}, "serial_number is missing"),
        (KEY, {**AGENCY, "serial_number": "x"}, "token_code is missing"),
        (OIDC, AGENCY, "provider_urn is missing"),
        (OIDC, {**FEDERATED, "external_id": "abc"}, "external_id is not available"),
        (TOKEN, AGENCY, "agency_urn is not available"),
        (TOKEN, {"session_user": "alice"}, "agency_name is missing"),
        (TOKEN, {"agency_name": "ag"}, "either domain_id or domain_name"),
        (TOKEN, {"agency_name": "ag", "domain_id": "d", "domain_name": "d"}, "either domain_id or domain_name"),
        (TOKEN, {"policy": "no"}, "JSON object"),
    ],
)
def test_parameters_that_do_not_fit_never_become_a_call(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object], words: str
) -> None:
    prepared.refused(ParameterError, settings, params, match=words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (PLACE, "key 'access_key' is missing (or give id_token or auth_token or credentials)"),
        ({**KEY, "id_token": "x"}, "cannot both be given"),
        ({**KEY, "secret_key": ""}, "key 'secret_key' is missing"),
        ({**KEY, "region": ""}, "key 'endpoint' is missing (or give region)"),
        ({**KEY, "region": "eu-de"}, "of STS is known; set endpoint instead"),
        ({**TOKEN, "region": "cn-southwest-3"}, "of IAM is known (did you mean cn-southwest-2?); set endpoint instead"),
        ({**KEY, "env": "X"}, "3 values that belong together: access_key_id, secret_access_key, security_token"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, str], words: str) -> None:
    error = refuse_settings(settings)
    assert words in error.message + error.hint


@pytest.mark.parametrize("end", ["", "/", "/v3", "/v3/"])
def test_the_endpoint_of_iam_is_found_whichever_way_it_is_written(prepared: Prepare, end: str) -> None:
    assert (
        str(prepared.request({**TOKEN, "region": "", "endpoint": f"https://iam.example.com{end}"}, {}).url)
        == "https://iam.example.com/v3.0/OS-CREDENTIAL/securitytokens"
    )


def test_the_chain_of_the_sdk_signs_too(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "AKCHAIN")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", CANARY)
    assert "Access=AKCHAIN," in prepared.request({**PLACE, "credentials": "chain"}, AGENCY).headers["authorization"]


def test_the_proxy_takes_no_body_of_json(prepared: Prepare) -> None:
    assert prepared(KEY, AGENCY)[0].documented is None
