"""ACS3: each thing that the gateway refuses before it looks at the action, and the quirks that it takes."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from jupyter_tokens.sandbox import Sandbox

from .client import (
    ALIBABA,
    ALIBABA_SECRET,
    NOW,
    Clock,
    acs3,
    acs3_request,
    address,
    call,
    eiam,
    raw_request,
    send,
)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("x_acs_action", "MissingAction"),
        ("x_acs_version", "MissingVersion"),
        ("x_acs_date", "MissingTimestamp"),
        ("x_acs_signature_nonce", "MissingSignatureNonce"),
        ("x_acs_content_sha256", "MissingContentSha256"),
    ],
)
def test_a_missing_header_is_named(url: str, header: str, code: str) -> None:
    answer = acs3(url, **{header: ""})
    assert (answer.status, answer.code) == (400, code)


def test_no_authorization_at_all(url: str) -> None:
    method, target, headers = acs3_request(url)
    del headers["Authorization"]
    assert send(url, raw_request(method, target, headers)).code == "MissingAccessKeyId"


@pytest.mark.parametrize(
    "authorization",
    [
        "ACS3-HMAC-SHA256",
        f"ACS3-HMAC-SHA256 Credential={ALIBABA},SignedHeaders=host",
        f"ACS3-HMAC-SM3 Credential={ALIBABA},SignedHeaders=host,Signature={'0' * 64}",
        f"ACS3-HMAC-SHA256 Credential={ALIBABA},SignedHeaders=host,Signature={'0' * 63}",
        "Basic eDp5",
    ],
)
def test_an_authorization_of_another_form_is_incomplete(url: str, authorization: str) -> None:
    method, target, headers = acs3_request(url)
    headers["Authorization"] = authorization
    assert send(url, raw_request(method, target, headers)).code == "IncompleteSignature"


def test_two_authorizations_are_ambiguous(url: str) -> None:
    method, target, headers = acs3_request(url)
    pairs = [*headers.items(), ("authorization", headers["Authorization"])]
    assert send(url, raw_request(method, target, pairs)).code == "IncompleteSignature"


def test_every_vendor_header_and_the_host_must_be_signed(url: str) -> None:
    method, target, headers = acs3_request(url)
    added = {**headers, "x-acs-security-token": "CAIS"}
    answer = send(url, raw_request(method, target, added))
    assert answer.code == "IncompleteSignature"
    assert "x-acs-security-token" in answer.json()["Message"]
    without_host = {**headers, "Authorization": headers["Authorization"].replace("=host;", "=")}
    answer = send(url, raw_request(method, target, without_host))
    assert "header host" in answer.json()["Message"]


def test_a_body_needs_its_content_type_signed(url: str) -> None:
    method, target, headers = acs3_request(url, "POST", body=b"{}")
    unsigned = {**headers, "Content-Type": "application/json", "Content-Length": "2"}
    assert send(url, raw_request(method, target, unsigned, b"{}")).code == "IncompleteSignature"
    # Signed, it gets as far as the API, which does not know the method.
    assert acs3(url, "POST", body=b"{}", content_type="application/json").code == "InvalidApi.NotFound"


@pytest.mark.parametrize("change", [("host;", "host;absent;"), ("host;", "host;host;"), ("host", "Host")])
def test_signed_headers_must_fit_the_request(url: str, change: tuple[str, str]) -> None:
    method, target, headers = acs3_request(url)
    headers["Authorization"] = headers["Authorization"].replace(*change)
    assert send(url, raw_request(method, target, headers)).code == "IncompleteSignature"


@pytest.mark.parametrize("date", ["20260115T083000Z", "2026-01-15 08:30:00", "2026-13-15T08:30:00Z"])
def test_a_date_of_another_form(url: str, date: str) -> None:
    assert acs3(url, x_acs_date=date).code == "InvalidTimeStamp.Format"


def test_the_window_is_fifteen_minutes_to_the_second(url: str) -> None:
    assert acs3(url, now=NOW - 900).status == 200
    assert acs3(url, now=NOW + 900).status == 200
    assert acs3(url, now=NOW - 901).code == "InvalidTimeStamp.Expired"
    assert acs3(url, now=NOW + 901).code == "InvalidTimeStamp.Expired"


def test_an_unknown_key_is_not_found_and_a_wrong_secret_does_not_match(url: str) -> None:
    unknown = acs3(url, access_key="LTAIunknown")
    assert (unknown.status, unknown.code) == (404, "InvalidAccessKeyId.NotFound")
    wrong = acs3(url, secret="another")
    assert (wrong.status, wrong.code) == (400, "SignatureDoesNotMatch")
    assert set(wrong.json()) == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert wrong.json()["RequestId"] == wrong.headers["x-acs-request-id"]
    assert wrong.headers["content-type"] == "application/json;charset=utf-8"
    assert ALIBABA_SECRET not in wrong.body.decode()


def test_the_content_hash_must_be_that_of_the_body(url: str) -> None:
    """Even where the header and the signature agree with each other about another body."""
    method, target, headers = acs3_request(url)
    headers["x-acs-content-sha256"] = hashlib.sha256(b"another").hexdigest()
    signed = headers["Authorization"].split("SignedHeaders=")[1].split(",")[0]
    canonical = "\n".join(
        [method, "/api/v1/tokens", "", *(f"{name}:{headers[name]}" for name in signed.split(";")), "", signed]
    )
    for body_hash in (headers["x-acs-content-sha256"], hashlib.sha256(b"").hexdigest()):
        digest = hashlib.sha256(f"{canonical}\n{body_hash}".encode()).hexdigest()
        key, text = ALIBABA_SECRET.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode()
        signature = hmac.new(key, text, hashlib.sha256).hexdigest()
        headers["Authorization"] = f"ACS3-HMAC-SHA256 Credential={ALIBABA},SignedHeaders={signed},Signature={signature}"
        assert send(url, raw_request(method, target, headers)).code == "SignatureDoesNotMatch"


def test_a_nonce_is_used_up_by_a_right_signature_only(url: str) -> None:
    assert acs3(url, x_acs_signature_nonce="n", secret="wrong").code == "SignatureDoesNotMatch"
    assert acs3(url, x_acs_signature_nonce="n").status == 200
    assert acs3(url, x_acs_signature_nonce="n").code == "SignatureNonceUsed"
    assert acs3(url, x_acs_signature_nonce="m").status == 200


def test_a_nonce_is_forgotten_once_its_date_refuses_it_anyway(sandbox: Sandbox, clock: Clock) -> None:
    assert acs3(sandbox.url, x_acs_signature_nonce="n", now=NOW + 900).status == 200
    clock.now += 1800
    assert acs3(sandbox.url, x_acs_signature_nonce="n", now=NOW + 900).code == "SignatureNonceUsed"
    clock.now += 1
    assert acs3(sandbox.url, x_acs_signature_nonce="n", now=NOW + 900).code == "InvalidTimeStamp.Expired"
    assert acs3(sandbox.url, x_acs_signature_nonce="n", now=clock.now).status == 200


def test_any_security_token_will_do_but_an_empty_one(url: str) -> None:
    assert acs3(url, x_acs_security_token="CAIStest/with+slash==", x_acs_accesskey_id=ALIBABA).status == 200
    method, target, headers = acs3_request(url, x_acs_security_token=" ")
    assert send(url, raw_request(method, target, headers)).code == "InvalidSecurityToken.Malformed"


@pytest.mark.parametrize("header", ["x_acs_bearer_token", "x_acs_signature_type"])
def test_bearer_credentials_are_refused_by_name(url: str, header: str) -> None:
    assert acs3(url, **{header: "BEARERTOKEN"}).code == "UnsupportedSignatureType"
    assert eiam(url, {"SignatureType": "BEARERTOKEN"}).code == "UnsupportedSignatureType"


def test_a_retry_with_its_signed_headers_is_taken(url: str) -> None:
    assert acs3(url, x_acs_retry_attempts="1", x_acs_retry_delay="100").status == 200


def test_a_whole_url_as_host_is_taken(url: str) -> None:
    answer = acs3(url, host=url, query={"TargetType": "never"})
    assert answer.json()["HostId"] == "{}:{}".format(*address(url))
    assert acs3(url, host=url).status == 200


def test_an_unsigned_content_type_without_a_body_is_taken(url: str) -> None:
    method, target, headers = acs3_request(url)
    headers["Content-Type"] = "application/octet-stream"
    assert send(url, raw_request(method, target, headers)).status == 200


@pytest.mark.parametrize("wire", ["a+b*~%2F", "a%20b%2A%7E%2f", "a+b%2a~/"])
def test_the_query_is_decoded_before_it_is_verified(url: str, wire: str) -> None:
    """Form-encoded, raw or percent-encoded on the wire, it is one and the same signature."""
    method, _, headers = acs3_request(url, query={"TargetId": "a b*~/"})
    assert send(url, raw_request(method, f"/api/v1/tokens?TargetId={wire}", headers)).status == 200


def test_authentication_comes_before_action_version_and_path(url: str) -> None:
    assert acs3(url, action="Nonsense", secret="wrong").code == "SignatureDoesNotMatch"
    unknown = acs3(url, action="Nonsense")
    assert (unknown.status, unknown.code) == (404, "InvalidApi.NotFound")
    version = acs3(url, version="2020-12-04")
    assert (version.status, version.code) == (404, "InvalidVersion")
    assert acs3(url, path="/api/v1/nonsense").code == "InvalidApi.NotFound"
    assert acs3(url, "DELETE").code == "InvalidApi.NotFound"


def test_a_plain_get_is_refused(url: str) -> None:
    assert call(url, "GET", "/").code == "MissingAction"
    assert call(url, "GET", "/api/v1/tokens").code == "MissingAction"
