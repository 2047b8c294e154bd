"""STS and IAM's securitytokens of the sandbox: who gets a temporary key, and what the key signs until it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_tokens.sandbox.huawei_sts import AGENCY_URN
from jupyter_tokens.sandbox.modelarts import INSTANCE

from .client import ID_TOKEN, NOW, PROJECT, Answer, Clock, acs3, call, login, oneaccess, sdk_hmac

PROVIDER_URN = "iam::sandbox:oidc-provider:"
AGENCY = {"agency_urn": AGENCY_URN, "agency_session_name": "alice"}
JSON = {"Content-Type": "application/json"}
LONG = {"access_key_id", "secret_access_key", "security_token", "expiration"}


def assume(url: str, body: Any = AGENCY, path: str = "/v5/agencies/assume", **options: Any) -> Answer:
    headers = {**JSON, **options.pop("headers", {})}
    return sdk_hmac(url, path, method="POST", body=json.dumps(body), headers=headers, **options)


def oidc(url: str, token: str = ID_TOKEN, **changes: Any) -> Answer:
    given = {**AGENCY, "provider_urn": f"{PROVIDER_URN}sandbox-idp", "id_token": token, **changes}
    return call(url, "POST", "/v5/agencies/assume-with-oidc", JSON, json.dumps(given))


def security_tokens(url: str, identity: Any, token: str = "") -> Answer:
    headers = {**JSON, **({"X-Auth-Token": token} if token else {})}
    body = json.dumps({"auth": {"identity": identity}})
    return call(url, "POST", "/v3.0/OS-CREDENTIAL/securitytokens", headers, body)


def by_token(**changes: Any) -> dict[str, Any]:
    return {"methods": ["token"], "token": changes}


def by_agency(**changes: Any) -> dict[str, Any]:
    role = {"agency_name": "ag", "domain_name": "dom", **changes}
    return {"methods": ["assume_role"], "assume_role": {name: value for name, value in role.items() if value}}


@pytest.fixture
def token(url: str) -> str:
    return login(url).headers["x-subject-token"]


def with_key(url: str, key: tuple[str, str, str], now: float = NOW) -> Answer:
    """Calls another API with a temporary key."""
    headers = {"X-Project-Id": PROJECT, "X-Security-Token": key[2]}
    options: dict[str, Any] = {"access_key": key[0], "secret": key[1], "headers": headers, "now": now}
    return sdk_hmac(url, f"/v1/{PROJECT}/notebooks/{INSTANCE}", **options)


def key_of(answer: Answer) -> tuple[str, str, str]:
    told = answer.json()
    told = told.get("credentials") or told["credential"]
    names = LONG & told.keys() and ("access_key_id", "secret_access_key", "security_token")
    first, second, third = (told[name] for name in names or ("access", "secret", "securitytoken"))
    return first, second, third


def test_a_key_has_three_parts_and_an_end(url: str) -> None:
    told = assume(url, {**AGENCY, "source_identity": "me"}).json()
    assert set(told["credentials"]) == LONG
    assert told["credentials"]["expiration"] == "2026-01-15T09:30:00.000Z"
    assert told["assumed_agency"]["urn"] == "sts::sandbox:assumed-agency:admin/alice"
    assert told["source_identity"] == "me"
    short = assume(url, {**AGENCY, "duration_seconds": 900}).json()["credentials"]
    assert short["expiration"] == "2026-01-15T08:45:00.000Z"


@pytest.mark.parametrize("way", ["assume", "oidc", "token", "agency"])
def test_the_key_signs_with_its_token_alone_and_until_it_ends(url: str, clock: Clock, token: str, way: str) -> None:
    answer = {
        "assume": lambda: assume(url),
        "oidc": lambda: oidc(url),
        "token": lambda: security_tokens(url, by_token(), token),
        "agency": lambda: security_tokens(url, by_agency(), token),
    }[way]()
    key = key_of(answer)
    assert with_key(url, key).status == 200
    for wrong in ((key[0], key[1], ""), (key[0], key[1], "hQpj"), (key[0], "x", key[2])):
        assert with_key(url, wrong).code == "APIGW.0301"
    clock.now += 3600 if way in ("assume", "oidc") else 900
    expired = with_key(url, key, clock.now)
    assert (expired.status, "expired" in expired.json()["error_msg"]) == (401, True)


def test_the_key_does_not_sign_at_the_other_cloud(url: str, token: str) -> None:
    for answer in (assume(url), security_tokens(url, by_token(), token)):
        key_id, secret, security_token = key_of(answer)
        refused = acs3(url, access_key=key_id, secret=secret, x_acs_security_token=security_token)
        assert (refused.status, refused.code) == (404, "InvalidAccessKeyId.NotFound")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"agency_urn": None}, 400, "STS5.0001"),
        ({"agency_urn": "admin"}, 400, "STS5.0001"),
        ({"agency_urn": "iam::sandbox:agency:missing"}, 404, "STS5.1106"),
        ({"agency_session_name": "a"}, 400, "STS5.0001"),
        ({"agency_session_name": "a b"}, 400, "STS5.0001"),
        ({"duration_seconds": 899}, 400, "STS5.0001"),
        ({"duration_seconds": 43201}, 400, "STS5.0001"),
        ({"duration_seconds": "900"}, 400, "STS5.0001"),
        ({"policy": "no"}, 400, "STS5.0001"),
        ({"policy": "x" * 4097}, 400, "STS5.0001"),
        ({"policy_ids": "p"}, 400, "STS5.0001"),
        ({"policy_ids": ["p"] * 21}, 400, "STS5.0001"),
        ({"external_id": "x"}, 400, "STS5.0001"),
        ({"source_identity": "a b"}, 400, "STS5.0001"),
        ({"token_code": "123456"}, 400, "STS5.0001"),
        ({"token_code": "1", "serial_number": "x"}, 400, "STS5.0001"),
        ({"tags": [{"key": "k"}]}, 400, "STS5.0001"),
        ({"transitive_tag_keys": [5]}, 400, "STS5.0001"),
        ({"id_token": "xxxx"}, 400, "STS5.0001"),
    ],
)
def test_a_bad_parameter_is_refused(url: str, changes: dict[str, Any], status: int, code: str) -> None:
    body = {name: value for name, value in {**AGENCY, **changes}.items() if value is not None}
    answer = assume(url, body)
    assert (answer.status, answer.code) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_every_parameter_is_taken(url: str) -> None:
    more = {
        "policy": "{}",
        "policy_ids": ["p1"],
        "external_id": "ext",
        "serial_number": "iam::sandbox:mfa:me",
        "token_code": "123456",
        "tags": [{"key": "team", "value": "a"}],
        "transitive_tag_keys": ["team"],
        "duration_seconds": 43200,
    }
    assert assume(url, {**AGENCY, **more}).status == 200


def test_only_a_signed_post_of_json_and_only_here(url: str) -> None:
    assert call(url, "POST", "/v5/agencies/assume", JSON, json.dumps(AGENCY)).code == "APIGW.0301"
    assert assume(url, [], headers={}).code == "STS5.0001"
    assert assume(url, headers={"Content-Type": "text/plain"}).code == "STS5.0001"
    assert call(url, "POST", "/v5/agencies/assume-with-oidc", JSON, "[" * 100_000).code == "STS5.0001"
    assert sdk_hmac(url, "/v5/agencies/assume").code == "APIGW.0106"
    assert assume(url, path="/v5/agencies/other").code == "APIGW.0101"


def test_a_temporary_key_assumes_an_agency_for_an_hour_at_most(url: str) -> None:
    key = key_of(assume(url))
    chained: dict[str, Any] = {"access_key": key[0], "secret": key[1], "headers": {"X-Security-Token": key[2]}}
    assert assume(url, {**AGENCY, "duration_seconds": 3600}, **chained).status == 200
    assert assume(url, {**AGENCY, "duration_seconds": 3601}, **chained).status == 400


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"token": "eyJ.e30.c2lm"}, 401),
        ({"token": "x"}, 400),
        ({"provider_urn": f"{PROVIDER_URN}other"}, 401),
        ({"provider_urn": "idp"}, 400),
        ({"agency_urn": "iam::sandbox:agency:missing"}, 404),
        ({"external_id": "abc"}, 400),
    ],
)
def test_an_id_token_needs_no_signature(url: str, changes: dict[str, Any], status: int) -> None:
    assert oidc(url, **changes).status == status


def test_a_token_that_the_sandbox_handed_out_is_one_of_its_identity_provider(url: str, clock: Clock) -> None:
    given = oneaccess(url).json()["id_token"]
    assert oidc(url, given).status == 200
    clock.now += 1800
    assert oidc(url, given).status == 401


def test_the_token_in_the_header_wins(url: str, token: str) -> None:
    assert security_tokens(url, by_token(id=token)).status == 201
    assert security_tokens(url, by_token(id="wrong"), token).status == 201
    assert security_tokens(url, by_token(id=token), "wrong").status == 401
    assert security_tokens(url, by_token()).status == 400
    assert security_tokens(url, by_token(id="wrong")).status == 401


def test_a_key_of_iam_lives_fifteen_minutes_unless_told_otherwise(url: str, token: str) -> None:
    told = security_tokens(url, by_token(), token).json()["credential"]
    assert set(told) == {"access", "secret", "securitytoken", "expires_at"}
    assert told["expires_at"] == "2026-01-15T08:45:00.000000Z"
    # As T Cloud's SDK writes it.
    misspelt = security_tokens(url, by_token(**{"duration-secods": 86400}), token).json()["credential"]
    assert misspelt["expires_at"] == told["expires_at"]
    day = security_tokens(url, by_token(duration_seconds=86400), token).json()["credential"]
    assert day["expires_at"] == "2026-01-16T08:30:00.000000Z"


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        (by_agency(), 201),
        (by_agency(domain_name=None, domain_id="d", session_user={"name": "alice"}), 201),
        (by_agency(agency_name=None, xrole_name="ag"), 201),
        ({**by_token(), "policy": {"Version": "1.1", "Statement": []}}, 201),
        ({"methods": ["token"]}, 201),
        ({"methods": ["assume_role"]}, 400),
        (by_agency(agency_name=None), 400),
        (by_agency(domain_name=None), 400),
        (by_agency(session_user={"name": "four"}), 400),
        (by_agency(session_user="alice"), 400),
        (by_agency(agency_name="missing"), 404),
        (by_token(duration_seconds=899), 400),
        (by_token(duration_seconds=86401), 400),
        (by_token(duration_seconds=True), 400),
        ({**by_token(), "policy": {"Version": "5.0", "Statement": []}}, 400),
        ({**by_token(), "policy": "{}"}, 400),
        ({"methods": ["password"]}, 400),
        ({"methods": "token"}, 400),
    ],
    ids=range(18),
)
def test_what_iam_takes(url: str, token: str, identity: Any, status: int) -> None:
    assert security_tokens(url, identity, token).status == status


def test_an_agency_needs_a_token_of_iam(url: str, clock: Clock, token: str) -> None:
    assert security_tokens(url, by_agency()).status == 400
    clock.now += 24 * 3600
    assert security_tokens(url, by_agency(), token).status == 401
