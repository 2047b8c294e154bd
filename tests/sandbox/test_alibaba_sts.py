"""STS of the sandbox: a role and its limits, and keys that sign calls until they expire."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from jupyter_tokens.sandbox.alibaba_sts import PROVIDER_ARN, ROLE_ARN
from jupyter_tokens.sandbox.modelarts import INSTANCE

from .client import ID_TOKEN, PROJECT, Answer, Clock, acs3, call, oneaccess, sdk_hmac

ROLE = {"RoleArn": ROLE_ARN, "RoleSessionName": "alice"}
DLC = {"TargetType": "job", "TargetId": "dlc1"}


def sts(url: str, query: dict[str, str], method: str = "POST", **options: str) -> Answer:
    return acs3(url, method, "/", query, action="AssumeRole", version="2015-04-01", **options)


def oidc(url: str, token: str, **changes: str) -> Answer:
    common = {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "Format": "json",
        "Timestamp": "2026-01-15T08:30:00Z",
        "SignatureNonce": f"nonce-{token}-{changes}",
    }
    given = {**common, **ROLE, "OIDCProviderArn": f"{PROVIDER_ARN}sandbox-idp", "OIDCToken": token, **changes}
    return call(url, "POST", "/?" + urlencode({name: value for name, value in given.items() if value}))


def with_key(url: str, answer: Answer, **changes: Any) -> Answer:
    key = answer.json()["Credentials"]
    given = {"access_key": key["AccessKeyId"], "secret": key["AccessKeySecret"], **changes}
    token = given.pop("token", key["SecurityToken"])
    return acs3(url, query=DLC, **given, **({"x_acs_security_token": token} if token else {}))


def test_a_key_has_three_parts_and_an_end(url: str) -> None:
    answer = sts(url, ROLE).json()
    assert set(answer["Credentials"]) == {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}
    assert answer["Credentials"]["AccessKeyId"].startswith("STS.")
    assert answer["Credentials"]["Expiration"] == "2026-01-15T09:30:00Z"
    assert answer["AssumedRoleUser"]["Arn"].endswith("role/adminrole/alice")
    assert "SourceIdentity" not in answer
    assert sts(url, {**ROLE, "SourceIdentity": "me"}).json()["SourceIdentity"] == "me"
    assert sts(url, {**ROLE, "DurationSeconds": "900"}).json()["Credentials"]["Expiration"] == "2026-01-15T08:45:00Z"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"RoleArn": ""}, 400, "MissingRoleArn"),
        ({"RoleArn": "adminrole"}, 400, "InvalidParameter.RoleArn"),
        ({"RoleArn": ROLE_ARN + "2"}, 404, "EntityNotExist.Role"),
        ({"RoleArn": "acs:ram::1:role/adminrole"}, 404, "EntityNotExist.Role"),
        ({"RoleSessionName": "a"}, 400, "InvalidParameter.RoleSessionName"),
        ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "43201"}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "soon"}, 400, "InvalidParameter.DurationSeconds"),
        ({"Policy": "{}"}, 400, "InvalidParameter.PolicyGrammar"),
        ({"Policy": "no"}, 400, "InvalidParameter.PolicyGrammar"),
        ({"Policy": "x" * 2049}, 400, "InvalidParameter.PolicySize"),
        ({"ExternalId": "x"}, 400, "InvalidParameter.ExternalId"),
        ({"SourceIdentity": "acs:x"}, 400, "InvalidParameter.SourceIdentity"),
        ({"OIDCToken": "x"}, 400, "InvalidOIDCToken"),
    ],
)
def test_a_bad_parameter_is_named(url: str, changes: dict[str, str], status: int, code: str) -> None:
    answer = sts(url, {**ROLE, **changes})
    assert (answer.status, answer.code) == (status, code)


def test_only_a_post_to_the_root(url: str) -> None:
    assert sts(url, ROLE, "GET").code == "UnsupportedHTTPMethod"
    answer = acs3(url, "POST", "/x", ROLE, action="AssumeRole", version="2015-04-01")
    assert answer.code == "InvalidApi.NotFound"


def test_the_key_signs_with_its_token_alone_and_until_it_ends(url: str, clock: Clock) -> None:
    given = sts(url, ROLE)
    assert with_key(url, given).status == 200
    assert with_key(url, given, token="").code == "MissingSecurityToken"
    assert with_key(url, given, token="CAIS0").code == "InvalidSecurityToken.MismatchWithAccessKey"
    assert with_key(url, given, secret="x").code == "SignatureDoesNotMatch"
    clock.now += 3600
    expired = with_key(url, given, now=clock.now)
    assert (expired.status, expired.code) == (400, "InvalidSecurityToken.Expired")


def test_the_key_does_not_sign_at_the_other_cloud(url: str) -> None:
    key = sts(url, ROLE).json()["Credentials"]
    headers = {"X-Security-Token": key["SecurityToken"]}
    path = f"/v1/{PROJECT}/notebooks/{INSTANCE}"
    answer = sdk_hmac(url, path, access_key=key["AccessKeyId"], secret=key["AccessKeySecret"], headers=headers)
    assert (answer.status, "does not exist" in answer.json()["error_msg"]) == (401, True)


def test_a_key_can_assume_a_role_too(url: str) -> None:
    key = sts(url, ROLE).json()["Credentials"]
    keys = {"access_key": key["AccessKeyId"], "secret": key["AccessKeySecret"]}
    assert sts(url, ROLE, **keys, x_acs_security_token=key["SecurityToken"]).status == 200


def test_an_oidc_token_needs_no_signature(url: str) -> None:
    answer = oidc(url, ID_TOKEN)
    assert (answer.status, answer.json()["OIDCTokenInfo"]["Subject"]) == (200, "s")
    assert with_key(url, answer).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"OIDCToken": "eyJ.e30.c2lm"}, 401, "AuthenticationFail.OIDCToken.Invalid"),
        ({"OIDCToken": "x"}, 401, "AuthenticationFail.OIDCToken.Invalid"),
        ({"OIDCToken": ""}, 400, "MissingOIDCToken"),
        ({"OIDCProviderArn": ""}, 400, "MissingOIDCProviderArn"),
        ({"OIDCProviderArn": "acs:ram::1:oidc-provider/x"}, 401, "AuthenticationFail.NoPermission"),
        ({"OIDCProviderArn": f"{PROVIDER_ARN}other"}, 401, "AuthenticationFail.OIDCToken.Invalid"),
        ({"ExternalId": "abc"}, 400, "InvalidExternalId"),
        ({"Timestamp": "2026-01-15T08:00:00Z"}, 400, "InvalidTimeStamp.Expired"),
        ({"Timestamp": "now"}, 400, "InvalidTimeStamp.Format"),
        ({"Timestamp": ""}, 400, "MissingTimestamp"),
        ({"SignatureNonce": ""}, 400, "MissingSignatureNonce"),
        ({"Format": "xml"}, 400, "InvalidParameter.Format"),
    ],
)
def test_what_is_wrong_with_an_oidc_call(url: str, changes: dict[str, str], status: int, code: str) -> None:
    answer = oidc(url, changes.get("OIDCToken", ID_TOKEN), **changes)
    assert (answer.status, answer.code) == (status, code)


def test_a_token_that_the_sandbox_handed_out_is_one_of_its_identity_provider(url: str, clock: Clock) -> None:
    given = oneaccess(url).json()["id_token"]
    assert oidc(url, given).status == 200
    clock.now += 1800
    assert oidc(url, given, Timestamp="2026-01-15T09:00:00Z").code == "AuthenticationFail.OIDCToken.Expired"


def test_a_nonce_is_good_for_one_call(url: str) -> None:
    assert oidc(url, ID_TOKEN).status == 200
    assert oidc(url, ID_TOKEN).code == "SignatureNonceUsed"
