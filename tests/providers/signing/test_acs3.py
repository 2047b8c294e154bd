"""ACS3-HMAC-SHA256 against what Alibaba Cloud recorded and published."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_tokens.providers.signing.acs3 import Acs3Auth, authorization, timestamp
from jupyter_tokens.providers.signing.canonical import EMPTY_SHA256, AccessKey, canonical_query, sha256
from jupyter_tokens.token import Secret

from ...doubles import Clock, Script
from .recorded import Signed, recorded

VECTORS = recorded("ACS3")
every_vector = pytest.mark.parametrize("one", VECTORS.values(), ids=VECTORS)
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def sign(one: Signed, **changes: object) -> str:
    given_ = {
        "method": one.method,
        "path": one.path,
        "query": one.query,
        "headers": one.signed_headers,
        "payload_hash": sha256(one.body),
        "key_id": one.key_id,
        "key_secret": one.secret,
        **changes,
    }
    return authorization(**given_)


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) == 12


@every_vector
def test_the_recorded_signature_is_met(one: Signed) -> None:
    assert sign(one) == one.authorization


@every_vector
def test_the_order_of_query_and_headers_does_not_matter(one: Signed) -> None:
    headers = dict(reversed(one.signed_headers.items()))
    assert sign(one, query=one.query[::-1], headers=headers) == one.authorization


@every_vector
def test_a_lower_case_method_and_an_empty_path_are_the_same(one: Signed) -> None:
    assert sign(one, method=one.method.lower()) == one.authorization
    assert sign(one, path="") == sign(one, path="/")


@every_vector
def test_one_changed_character_changes_the_signature(one: Signed) -> None:
    def changed(text: str) -> str:
        return text[:-1] + ("x" if text[-1] != "x" else "y")

    ways = [
        {"method": "PUT"},
        {"path": one.path + "x"},
        {"query": (*one.query, ("a", "b"))},
        {"payload_hash": changed(sha256(one.body))},
        {"key_secret": changed(one.secret)},
        *({"headers": {**one.signed_headers, name: changed(value)}} for name, value in one.signed_headers.items()),
        *(
            {"query": (*one.query[:place], (name, changed(value)), *one.query[place + 1 :])}
            for place, (name, value) in enumerate(one.query)
        ),
    ]
    signatures = [sign(one, **way).rpartition("=")[2] for way in ways]
    assert one.authorization.rpartition("=")[2] not in signatures
    assert len(set(signatures)) == len(ways)


@given(LETTERS, LETTERS, LETTERS)
def test_signatures_of_different_values_differ(name: str, value: str, other: str) -> None:
    assume(value != other)
    one, two = (
        authorization("GET", "/", [(name, text)], {"host": "h"}, EMPTY_SHA256, key_id="i", key_secret="s")
        for text in (value, other)
    )
    assert one != two


@given(LETTERS, LETTERS)
def test_signatures_of_different_secrets_differ(value: str, other: str) -> None:
    # HMAC pads a key with zeros, so those at the end do not count.
    assume(value.rstrip("\0") != other.rstrip("\0"))
    assume(max(len(value.encode()), len(other.encode())) <= 64)
    one, two = (
        authorization("GET", "/", [], {"host": "h"}, EMPTY_SHA256, key_id="i", key_secret=text)
        for text in (value, other)
    )
    assert one != two


def request_of(one: Signed) -> httpx.Request:
    query = canonical_query(one.query)
    return httpx.Request(
        one.method,
        f"http://{one.header('host')}{one.path}{'?' + query if query else ''}",
        headers={name: one.header(name) for name in ("x-acs-action", "x-acs-version")},
        content=one.body or None,
    )


def auth_of(one: Signed) -> Acs3Auth:
    token = Secret(one.security_token) if one.security_token else None
    key = AccessKey(one.key_id, Secret(one.secret), token)
    return Acs3Auth(key, clock=one.clock(), nonce=lambda: one.header("x-acs-signature-nonce"))


@every_vector
def test_the_auth_class_sends_the_recorded_date_nonce_and_hash(one: Signed) -> None:
    signed = auth_of(one).sign(request_of(one))
    for name in ("x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256", "host"):
        assert signed.headers[name] == one.header(name)


def test_the_auth_class_meets_the_published_signature() -> None:
    one = VECTORS["published_alibaba_acs3_published_runinstances"]
    assert auth_of(one).sign(request_of(one)).headers["Authorization"] == one.authorization


@every_vector
def test_the_auth_class_signs_all_that_has_to_be_signed(one: Signed) -> None:
    """The SDK signs more headers than have to be: over what our class sent, the pure function is the judge."""
    signed = auth_of(one).sign(request_of(one))
    names = signed.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert set(names) >= {name for name in signed.headers if name.startswith("x-acs-")} | {"host"}
    parts = urlsplit(str(signed.url))
    expected = authorization(
        signed.method,
        parts.path,
        parse_qsl(parts.query, keep_blank_values=True),
        {name: signed.headers[name] for name in names},
        one.header("x-acs-content-sha256"),
        key_id=one.key_id,
        key_secret=one.secret,
    )
    assert signed.headers["Authorization"] == expected


def key(token: str | None = None) -> AccessKey:
    return AccessKey("AKID", Secret("secret"), Secret(token) if token else None)


def signed_names(request: httpx.Request) -> str:
    return request.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]


def test_an_sts_token_is_sent_and_signed() -> None:
    request = Acs3Auth(key("sts")).sign(httpx.Request("GET", "https://h/"))
    assert request.headers["x-acs-security-token"] == "sts"
    assert "x-acs-security-token" in signed_names(request)


def test_content_type_is_signed_only_where_there_is_a_body() -> None:
    headers = {"Content-Type": "application/json"}
    without = Acs3Auth(key()).sign(httpx.Request("GET", "https://h/", headers=headers))
    with_body = Acs3Auth(key()).sign(httpx.Request("POST", "https://h/", headers=headers, content=b"{}"))
    assert "content-type" not in signed_names(without)
    assert signed_names(with_body).startswith("content-type;host;")
    assert with_body.headers["x-acs-content-sha256"] == sha256(b"{}")


def test_each_request_has_a_nonce_of_its_own_and_the_clocks_date() -> None:
    auth = Acs3Auth(key(), clock=Clock())
    script = Script(*(httpx.Response(200) for _ in range(3)))
    with httpx.Client(transport=script, auth=auth) as client:
        for _ in range(3):
            client.post("https://h/", content=b"body")
    nonces = {request.headers["x-acs-signature-nonce"] for request in script.requests}
    assert len(nonces) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", nonce) for nonce in nonces)
    assert {request.headers["x-acs-date"] for request in script.requests} == {"2026-01-15T08:30:00Z"}


def test_timestamp() -> None:
    assert timestamp(datetime(2026, 1, 5, 3, 4, 5, 999999, tzinfo=UTC)) == "2026-01-05T03:04:05Z"
