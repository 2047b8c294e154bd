"""SDK-HMAC-SHA256 against what Huawei Cloud recorded and published."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_tokens.providers.signing import sdk_hmac
from jupyter_tokens.providers.signing.canonical import EMPTY_SHA256, AccessKey, canonical_query, sha256
from jupyter_tokens.providers.signing.sdk_hmac import SdkHmacAuth, authorization, timestamp
from jupyter_tokens.token import Secret

from ...doubles import Clock, Script
from .recorded import Signed, recorded

VECTORS = recorded("SDK-HMAC")
every_vector = pytest.mark.parametrize("one", VECTORS.values(), ids=VECTORS)
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
DATE = {"x-sdk-date": "20260115T083000Z"}


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
    assert len(VECTORS) == 5


@every_vector
def test_the_recorded_signature_is_met(one: Signed) -> None:
    assert sign(one) == one.authorization


@every_vector
def test_the_slash_at_the_end_is_added_once(one: Signed) -> None:
    assert sign(one, path=one.path + "/") == one.authorization
    assert sign(one, path="") == sign(one, path="/")


@every_vector
def test_the_order_of_query_and_headers_does_not_matter(one: Signed) -> None:
    headers = dict(reversed(one.signed_headers.items()))
    assert sign(one, query=one.query[::-1], headers=headers) == one.authorization


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
    ]
    signatures = [sign(one, **way).rpartition("=")[2] for way in ways]
    assert one.authorization.rpartition("=")[2] not in signatures
    assert len(set(signatures)) == len(ways)


@given(LETTERS, LETTERS, LETTERS)
def test_signatures_of_different_values_differ(name: str, value: str, other: str) -> None:
    assume(value != other)
    one, two = (
        authorization("GET", "/", [(name, text)], DATE, EMPTY_SHA256, key_id="i", key_secret="s")
        for text in (value, other)
    )
    assert one != two


def test_the_date_has_to_be_signed() -> None:
    with pytest.raises(ValueError, match="X-Sdk-Date"):
        authorization("GET", "/", [], {"host": "h"}, EMPTY_SHA256, key_id="i", key_secret="s")


def signed(one: Signed, *extra: str) -> httpx.Request:
    query = canonical_query(one.query)
    request = httpx.Request(
        one.method,
        f"http://{one.header('host')}{one.path}{'?' + query if query else ''}",
        headers={name: one.header(name) for name in ("content-type", *extra)},
        content=one.body or None,
    )
    return SdkHmacAuth(AccessKey(one.key_id, Secret(one.secret)), clock=one.clock()).sign(request)


def test_the_auth_class_meets_the_published_signature() -> None:
    one = VECTORS["published_huawei_sdk_hmac_published_listvpcs"]
    assert signed(one).headers["Authorization"] == one.authorization


def test_the_auth_class_meets_the_recorded_signature_where_it_signs_the_user_agent_as_the_sdk_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = VECTORS["hw_demanager_token"]
    monkeypatch.setattr(sdk_hmac, "_SIGNED", sdk_hmac._SIGNED | {"user-agent"})
    request = signed(one, "x-project-id", "user-agent")
    assert request.headers["X-Sdk-Date"] == one.header("x-sdk-date")
    assert request.headers["Authorization"] == one.authorization


def test_what_there_is_of_project_domain_and_security_token_is_signed() -> None:
    key = AccessKey("AKID", Secret("secret"), Secret("temporary"))
    headers = {"X-Project-Id": "p", "X-Domain-Id": "d", "Content-Type": "application/json", "Accept": "x"}
    request = SdkHmacAuth(key).sign(httpx.Request("POST", "https://h/a", headers=headers, content=b"{}"))
    names = request.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == "content-type;host;x-domain-id;x-project-id;x-sdk-date;x-security-token"
    assert request.headers["X-Security-Token"] == "temporary"


def test_each_request_has_the_clocks_date() -> None:
    clock = Clock()
    script = Script(httpx.Response(200), httpx.Response(200))
    with httpx.Client(transport=script, auth=SdkHmacAuth(AccessKey("i", Secret("s")), clock=clock)) as client:
        client.get("https://h/")
        clock.advance(1)
        client.get("https://h/")
    assert [request.headers["x-sdk-date"] for request in script.requests] == ["20260115T083000Z", "20260115T083001Z"]


def test_timestamp() -> None:
    assert timestamp(datetime(2026, 1, 5, 3, 4, 5, 999999, tzinfo=UTC)) == "20260105T030405Z"
