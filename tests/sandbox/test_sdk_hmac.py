"""SDK-HMAC: what the gateway refuses with APIGW.0301, what it takes, and the lock that is off by default."""

from __future__ import annotations

import pytest

from jupyter_tokens.sandbox import Accounts, running

from .client import (
    HUAWEI,
    HUAWEI_SECRET,
    NOW,
    PROJECT,
    Answer,
    Clock,
    encoded,
    raw_request,
    sdk_hmac,
    sdk_hmac_request,
    send,
)

PATH = f"/v1/{PROJECT}/demanager/instances/6fa459ea-ee8a-3ca4-894e-db77e160355e/token"


def refused(answer: Answer, why: str = "") -> bool:
    body = answer.json()
    return (
        (answer.status, answer.code) == (401, "APIGW.0301")
        and body["error_msg"].startswith("Incorrect IAM authentication information: ")
        and why in body["error_msg"]
        and body["request_id"] == answer.headers["x-request-id"]
        and HUAWEI_SECRET not in str(body)
    )


def test_a_signed_request_may_be_sent_twice(url: str) -> None:
    request = sdk_hmac_request(url, PATH)
    for _ in range(2):
        assert send(url, raw_request(*request)).status == 200


def test_an_unknown_key_and_a_wrong_secret_look_alike(url: str) -> None:
    assert refused(sdk_hmac(url, PATH, access_key="NOBODY"), "verify aksk signature fail")
    assert refused(sdk_hmac(url, PATH, secret="wrong"), "verify aksk signature fail")


def test_the_window_is_fifteen_minutes_to_the_second(url: str) -> None:
    assert sdk_hmac(url, PATH, now=NOW - 900).status == 200
    assert sdk_hmac(url, PATH, now=NOW + 900).status == 200
    assert refused(sdk_hmac(url, PATH, now=NOW - 901), "expired")
    assert refused(sdk_hmac(url, PATH, now=NOW + 901), "expired")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer x",
        "SDK-HMAC-SHA256",
        f"SDK-HMAC-SHA256 Access={HUAWEI}, SignedHeaders=x-sdk-date",
        f"SDK-HMAC-SHA256 Access={HUAWEI}, SignedHeaders=x-sdk-date, Signature=zz",
    ],
)
def test_an_authorization_of_another_form(url: str, authorization: str) -> None:
    method, target, headers = sdk_hmac_request(url, PATH)
    headers["Authorization"] = authorization
    assert refused(send(url, raw_request(method, target, headers)), "malformed")


def test_the_date_must_be_there_signed_and_well_formed(url: str) -> None:
    method, target, headers = sdk_hmac_request(url, PATH)
    unsigned = headers["Authorization"].replace(";x-sdk-date", "")
    assert refused(send(url, raw_request(method, target, {**headers, "Authorization": unsigned})), "not signed")
    assert refused(send(url, raw_request(method, target, {**headers, "X-Sdk-Date": "yesterday"})), "malformed")
    del headers["X-Sdk-Date"]
    assert refused(send(url, raw_request(method, target, headers)), "SignedHeaders")


def test_a_security_token_must_be_signed(url: str) -> None:
    assert sdk_hmac(url, PATH, headers={"X-Security-Token": "sts"}).status == 200
    method, target, headers = sdk_hmac_request(url, PATH)
    added = {**headers, "X-Security-Token": "sts"}
    assert refused(send(url, raw_request(method, target, added)), "x-security-token is not signed")


@pytest.mark.parametrize("body", ["", "text"])
def test_an_unsigned_payload_is_taken_where_the_header_says_so(url: str, body: str) -> None:
    answer = sdk_hmac(url, "/v1/x", method="POST", body=body, headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.code) == (404, "APIGW.0101")


def test_a_signed_json_body_is_covered(url: str) -> None:
    given = {"Content-Type": "application/json"}
    assert sdk_hmac(url, "/v1/x", method="POST", body="{}", headers=given).code == "APIGW.0101"
    method, target, headers = sdk_hmac_request(url, "/v1/x", method="POST", body="{}", headers=given)
    headers["Content-Length"] = "2"
    assert refused(send(url, raw_request(method, target, headers, b"[]")))


def test_query_and_path_are_decoded_before_they_are_verified(url: str) -> None:
    query = [("marker", "a b*~é"), ("limit", "2")]
    method, target, headers = sdk_hmac_request(url, "/v1/a%20b/vpcs", query)
    assert send(url, raw_request(method, target, headers)).code == "APIGW.0101"
    reordered = f"/v1/a%20b/vpcs?limit=2&marker={encoded('a b*~é')}"
    assert send(url, raw_request(method, reordered, headers)).code == "APIGW.0101"
    assert sdk_hmac(url, "/v1/ends/").code == "APIGW.0101"
    assert sdk_hmac(url, "/v2/elsewhere").code == "APIGW.0101"


def test_a_key_is_locked_only_where_that_was_asked_for(url: str) -> None:
    for _ in range(10):
        assert refused(sdk_hmac(url, PATH, secret="wrong"))
    assert sdk_hmac(url, PATH).status == 200


def test_five_failures_in_a_row_lock_the_key_for_five_minutes() -> None:
    clock = Clock()
    with running(accounts=Accounts(huawei={HUAWEI: HUAWEI_SECRET}), clock=clock, lock_after=5) as sandbox:
        for _ in range(4):
            assert refused(sdk_hmac(sandbox.url, PATH, secret="wrong"))
        assert sdk_hmac(sandbox.url, PATH).status == 200  # The row is broken.
        for _ in range(5):
            assert refused(sdk_hmac(sandbox.url, PATH, secret="wrong"))
        assert refused(sdk_hmac(sandbox.url, PATH), "reach the limit")
        clock.now += 300
        assert sdk_hmac(sandbox.url, PATH, now=clock.now).status == 200
