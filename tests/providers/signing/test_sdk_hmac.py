"""SDK-HMAC-SHA256 against what Huawei Cloud recorded and published."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from jupyter_tokens.providers.signing import sdk_hmac
from jupyter_tokens.providers.signing.canonical import EMPTY_SHA256, AccessKey, canonical_query
from jupyter_tokens.providers.signing.sdk_hmac import SdkHmacAuth, authorization, timestamp
from jupyter_tokens.token import Secret

from ...doubles import Clock, Script
from .recorded import Signed, recorded, sign

VECTORS = recorded("SDK-HMAC")
every_vector = pytest.mark.parametrize("one", VECTORS.values(), ids=VECTORS)


@every_vector
def test_the_slash_at_the_end_is_added_once(one: Signed) -> None:
    assert sign(authorization, one, path=one.path + "/") == one.authorization
    assert sign(authorization, one, path="") == sign(authorization, one, path="/")


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
