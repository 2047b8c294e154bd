"""STS of Alibaba Cloud: three values that belong together, by a signed or an anonymous call."""

from __future__ import annotations

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
    Unauthorized,
    UnusableToken,
)

from ..doubles import CANARY, NOW, answer, vector
from .conftest import Prepare, refuse_params, refuse_settings

SETTINGS = {"provider": "alibaba-sts", "region": "cn-hangzhou", "access_key_id": "AKID", "access_key_secret": "s"}
OIDC = {"provider": "alibaba-sts", "region": "cn-hangzhou", "oidc_token": "eyJ.e30.c2ln"}
ROLE = {"RoleArn": "acs:ram::1234567890123456:role/adminrole", "RoleSessionName": "alice"}
PROVIDER = {"OIDCProviderArn": "acs:ram::1234567890123456:oidc-provider/Idp"}
KEY = {
    "AccessKeyId": "STS.id",
    "AccessKeySecret": f"{CANARY}-secret",
    "SecurityToken": f"{CANARY}-token",
    "Expiration": "2026-01-15T09:30:00Z",
}


def good(**changes: object) -> httpx.Response:
    return answer(200, {"RequestId": "rid", "Credentials": {**KEY, **changes}, "AssumedRoleUser": {"Arn": "a"}})


@pytest.mark.parametrize("name", ["sts_assumerole_basic", "sts_assumerole_policy_special"])
def test_the_signed_call_is_the_recorded_one(prepared: Prepare, name: str) -> None:
    recorded = vector(name)
    (request,), token = prepared.fetch(
        SETTINGS, dict(recorded["request"]["query_decoded"]), answer(200, recorded["sdk_result"]["body"])
    )
    theirs = dict(recorded["request"]["headers"])
    assert (request.method, request.url.path, request.content) == ("POST", "/", b"")
    assert sorted(request.url.params.multi_items()) == sorted(map(tuple, recorded["request"]["query_decoded"]))
    assert request.url.host == "sts.cn-hangzhou.aliyuncs.com"
    for header in ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-content-sha256"):
        assert request.headers[header] == theirs[header]
    told = recorded["sdk_result"]["body"]
    assert {name: token.reveal(name) for name in token.fields} == {
        name: told["Credentials"][name] for name in KEY if name != "Expiration"
    }
    assert token.expires_at == utc(NOW + 3600)
    assert token.metadata["AssumedRoleUser"] == told["AssumedRoleUser"]
    assert (token.metadata["SourceIdentity"], token.metadata["RequestId"]) == ("Alice", told["RequestId"])


def test_the_anonymous_call_is_the_recorded_one(prepared: Prepare) -> None:
    recorded = vector("sts_assumerolewithoidc")
    query = dict(recorded["request"]["query_decoded"])
    settings = {**OIDC, "oidc_token": query.pop("OIDCToken")}
    params = {name: query[name] for name in ("RoleArn", "RoleSessionName", "DurationSeconds", "OIDCProviderArn")}
    (request,), token = prepared.fetch(settings, params, answer(200, recorded["sdk_result"]["body"]))
    ours, theirs = dict(request.url.params), dict(recorded["request"]["query_decoded"])
    assert len(ours.pop("SignatureNonce")) >= 16
    del theirs["SignatureNonce"]
    assert ours == theirs
    assert "authorization" not in request.headers
    for header in ("x-acs-action", "x-acs-version", "content-length"):
        assert request.headers[header] == {name.lower(): text for name, text in recorded["request"]["headers"]}[header]
    assert token.metadata["OIDCTokenInfo"]["Subject"] == "s"


def test_a_temporary_key_can_assume_a_role_too(prepared: Prepare) -> None:
    (request,), _ = prepared.fetch({**SETTINGS, "security_token": "first"}, ROLE, good())
    assert request.headers["x-acs-security-token"] == "first"
    assert "x-acs-security-token" in request.headers["Authorization"]


@pytest.mark.parametrize("name", ["AccessKeyId", "AccessKeySecret", "SecurityToken"])
@pytest.mark.parametrize("value", ["", None, "a b", 5])
def test_half_a_key_is_none(prepared: Prepare, name: str, value: object) -> None:
    error = prepared.refused(ResponseError, SETTINGS, ROLE, good(**{name: value}), match=name)
    assert error.request_id == "rid"
    assert CANARY not in str(error)


@pytest.mark.parametrize("written", ["", None, "soon", 5, "2026-13-01T00:00:00Z"])
def test_the_end_has_to_be_known(prepared: Prepare, written: object) -> None:
    prepared.refused(ResponseError, SETTINGS, ROLE, good(Expiration=written), match="Expiration")


def test_a_key_that_has_ended_is_not_handed_out(prepared: Prepare) -> None:
    error = prepared.refused(UnusableToken, SETTINGS, ROLE, good(Expiration="2026-01-15T08:30:00Z"))
    assert (error.request_id, error.hint) == ("rid", "Check this machine's clock.")


@pytest.mark.parametrize(
    ("status", "code", "kind", "hint"),
    [
        (400, "InvalidParameter.RoleArn", InvalidRequest, "parameters"),
        (400, "InvalidParameter.PolicyGrammar", InvalidRequest, "parameters"),
        (403, "NoPermission", Forbidden, "sts:AssumeRole"),
        (403, "AuthenticationFail.ApiUsername", Unauthorized, "access_key_id"),
        (404, "EntityNotExist.Role", NotFound, "RoleArn"),
        (404, "InvalidAccessKeyId.NotFound", Unauthorized, "access_key_id"),
        (401, "AuthenticationFail.NoPermission", Unauthorized, "trusts"),
        (401, "AuthenticationFail.OIDCToken.Expired", Unauthorized, "new OIDC token"),
        (401, "AuthenticationFail.OIDCToken.AudienceNotMatch", Unauthorized, "audience"),
        (400, "MissingSecurityToken", Unauthorized, "security_token"),
        (500, "InternalError", ServiceUnavailable, "later"),
    ],
)
def test_each_code_says_what_to_do(prepared: Prepare, status: int, code: str, kind: type[ApiError], hint: str) -> None:
    error = prepared.refused(
        ApiError, SETTINGS, ROLE, answer(status, {"RequestId": "rid", "Code": code, "Message": "It is so."})
    )
    assert (type(error), error.code, error.request_id) == (kind, code, "rid")
    assert hint in error.hint


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "RoleArn is missing"),
        ({"RoleArn": ROLE["RoleArn"]}, "RoleSessionName is missing"),
        ({**ROLE, "RoleArn": "adminrole"}, "acs:ram::ACCOUNT:role/NAME"),
        ({**ROLE, "RoleSessionName": "a"}, "2 to 64"),
        ({**ROLE, "RoleSessionName": "a b"}, "2 to 64"),
        ({**ROLE, "DurationSeconds": 899}, "at least 900"),
        ({**ROLE, "DurationSeconds": 43201}, "at most 43200"),
        ({**ROLE, "ExternalId": "x"}, "2 to 1224"),
        ({**ROLE, "SourceIdentity": "acs:me"}, "2 to 64"),
        ({**ROLE, "OIDCProviderArn": "Idp"}, "oidc-provider"),
        ({**ROLE, "OIDCToken": "x"}, "'OIDCToken' is not a parameter"),
    ],
)
def test_wrong_parameters_never_become_a_call(params: dict[str, object], words: str) -> None:
    refuse_params(SETTINGS, params, words)


@pytest.mark.parametrize(
    ("settings", "params", "words"),
    [
        (SETTINGS, {**ROLE, **PROVIDER}, "OIDCProviderArn"),
        (SETTINGS, {**ROLE, "Policy": "[]"}, "JSON object"),
        (SETTINGS, {**ROLE, "Policy": "{"}, "JSON object"),
        (SETTINGS, {**ROLE, "Policy": '{"a": "' + "x" * 2048 + '"}'}, "at most 2048"),
        (OIDC, ROLE, "OIDCProviderArn is missing"),
        (OIDC, {**ROLE, **PROVIDER, "ExternalId": "abc"}, "ExternalId"),
        (OIDC, {**ROLE, **PROVIDER, "SourceIdentity": "abc"}, "SourceIdentity"),
    ],
)
def test_parameters_that_do_not_fit_never_become_a_call(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object], words: str
) -> None:
    prepared.refused(ParameterError, settings, params, match=words)


def test_an_oidc_token_and_an_access_key_exclude_each_other() -> None:
    refuse_settings({**SETTINGS, "oidc_token": "env:X"}, "cannot both be given")


ENV = {"AccessKeyId": "AK_ID", "AccessKeySecret": "AK_SECRET", "SecurityToken": "STS_TOKEN"}


def test_a_profile_names_a_variable_for_each_value() -> None:
    assert Profiles.from_settings({"mine": {**SETTINGS, "env": ENV}})["mine"].env == ENV
    text = ",".join(f"{name}={variable}" for name, variable in ENV.items())
    assert Profiles.from_settings({"mine": {**SETTINGS, "env": text}})["mine"].env == ENV


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("STS", "3 values that belong together: AccessKeyId, AccessKeySecret, SecurityToken"),
        ({"SecurityToken": "STS_TOKEN"}, "belong together"),
        ({**ENV, "Expiration": "END"}, "belong together"),
        ({**ENV, "SecurityToken": "AK_ID"}, "a different variable"),
        ({**ENV, "SecurityToken": "A B"}, "environment variable's name"),
        ({**ENV, "SecurityToken": 5}, "environment variable's name"),
        ({}, "a different variable"),
    ],
)
def test_a_variable_too_few_or_too_many_is_refused(env: object, words: str) -> None:
    refuse_settings({**SETTINGS, "env": env}, words)


def test_a_token_of_one_value_has_one_variable() -> None:
    settings = {"provider": "static", "token": "env:X", "env": {"AccessKeyId": "A"}}
    refuse_settings(settings, "single value")


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    known = prepared(SETTINGS, ROLE)[0].documented
    assert (known.method, known.path) == ("POST", "/")
    assert set(known.query) == {*ROLE, "DurationSeconds", "Policy", "ExternalId", "SourceIdentity"}
    assert prepared(OIDC, ROLE)[0].documented is None


def test_within_a_vpc() -> None:
    made = Profiles.from_settings({"mine": {**SETTINGS, "network": "vpc"}})["mine"]
    assert made.provider.base() == "https://sts-vpc.cn-hangzhou.aliyuncs.com"
