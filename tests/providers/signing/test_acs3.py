"""ACS3-HMAC-SHA256 against what Alibaba Cloud recorded and published."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_tokens.providers.signing.acs3 import authorization, fresh_nonce, signed_headers, timestamp
from jupyter_tokens.providers.signing.canonical import AccessKey, sha256
from jupyter_tokens.token import Secret

from .recorded import Signed, recorded, sign

VECTORS = recorded("ACS3")
every_vector = pytest.mark.parametrize("one", VECTORS.values(), ids=VECTORS)
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@every_vector
def test_a_lower_case_method_and_an_empty_path_are_the_same(one: Signed) -> None:
    assert sign(authorization, one, method=one.method.lower()) == one.authorization
    assert sign(authorization, one, path="") == sign(authorization, one, path="/")


@given(LETTERS, LETTERS)
def test_signatures_of_different_secrets_differ(value: str, other: str) -> None:
    # HMAC pads a key with zeros, so those at the end do not count.
    assume(value.rstrip("\0") != other.rstrip("\0"))
    assume(max(len(value.encode()), len(other.encode())) <= 64)
    one, two = (
        authorization("GET", "/", [], {"host": "h"}, sha256(b""), key_id="i", key_secret=text)
        for text in (value, other)
    )
    assert one != two


def added(one: Signed) -> dict[str, str]:
    """The headers that we add to it, before those of the SDK that need not be signed."""
    given = {name: one.header(name) for name in ("host", "x-acs-action", "x-acs-version")}
    token = Secret(one.security_token) if one.security_token else None
    key = AccessKey(one.key_id, Secret(one.secret), token)
    date, nonce = one.header("x-acs-date"), one.header("x-acs-signature-nonce")
    return given | signed_headers((one.method, one.path, one.query), given, one.body, key, date=date, nonce=nonce)


@every_vector
def test_the_recorded_date_nonce_and_hash_are_sent(one: Signed) -> None:
    headers = added(one)
    for name in ("x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"):
        assert headers[name] == one.header(name)


def test_the_published_signature_is_met() -> None:
    one = VECTORS["published_alibaba_acs3_published_runinstances"]
    assert added(one)["Authorization"] == one.authorization


@every_vector
def test_all_that_has_to_be_signed_is_signed(one: Signed) -> None:
    """The SDK signs more headers than have to be: over what we send, the pure function is the judge."""
    headers = added(one)
    names = signed_names(headers).split(";")
    assert set(names) == headers.keys() - {"Authorization"}
    expected = sign(authorization, one, headers={name: headers[name] for name in names})
    assert headers["Authorization"] == expected


def headers_of(headers: dict[str, str], body: bytes = b"", token: str | None = None) -> dict[str, str]:
    key = AccessKey("AKID", Secret("secret"), Secret(token) if token else None)
    return signed_headers(("POST", "/", ()), {"host": "h", **headers}, body, key, date="d", nonce="n")


def signed_names(headers: dict[str, str]) -> str:
    return headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]


def test_an_sts_token_is_sent_and_signed() -> None:
    headers = headers_of({}, token="sts")
    assert headers["x-acs-security-token"] == "sts"
    assert "x-acs-security-token" in signed_names(headers)


def test_content_type_is_signed_only_where_there_is_a_body() -> None:
    given = {"content-type": "application/json", "accept": "x"}
    assert signed_names(headers_of(given)).startswith("host;")
    with_body = headers_of(given, b"{}")
    assert signed_names(with_body).startswith("content-type;host;")
    assert with_body["x-acs-content-sha256"] == sha256(b"{}")


def test_no_nonce_comes_twice() -> None:
    nonces = {fresh_nonce() for _ in range(3)}
    assert len(nonces) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", nonce) for nonce in nonces)


def test_timestamp() -> None:
    assert timestamp(datetime(2026, 1, 5, 3, 4, 5, 999999, tzinfo=UTC)) == "2026-01-05T03:04:05Z"
