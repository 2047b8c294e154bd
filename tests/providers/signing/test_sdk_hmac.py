"""SDK-HMAC-SHA256 against what Huawei Cloud recorded and published."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jupyter_tokens.providers.signing import sdk_hmac
from jupyter_tokens.providers.signing.canonical import AccessKey, sha256
from jupyter_tokens.providers.signing.sdk_hmac import authorization, signed_headers, timestamp
from jupyter_tokens.token import Secret

from .recorded import Signed, recorded, sign

VECTORS = recorded("SDK-HMAC")
every_vector = pytest.mark.parametrize("one", VECTORS.values(), ids=VECTORS)


@every_vector
def test_the_slash_at_the_end_is_added_once(one: Signed) -> None:
    assert sign(authorization, one, path=one.path + "/") == one.authorization
    assert sign(authorization, one, path="") == sign(authorization, one, path="/")


def test_the_date_has_to_be_signed() -> None:
    with pytest.raises(ValueError, match="X-Sdk-Date"):
        authorization("GET", "/", [], {"host": "h"}, sha256(b""), key_id="i", key_secret="s")


def added(one: Signed, *names: str) -> dict[str, str]:
    """The headers that we add to it, if it has the headers `names`."""
    given = {name: one.header(name) for name in ("host", "content-type", *names)}
    key = AccessKey(one.key_id, Secret(one.secret))
    return signed_headers((one.method, one.path, one.query), given, one.body, key, date=one.header("x-sdk-date"))


def test_the_published_signature_is_met() -> None:
    one = VECTORS["published_huawei_sdk_hmac_published_listvpcs"]
    assert added(one)["Authorization"] == one.authorization


def test_the_recorded_signature_is_met_where_the_user_agent_is_signed_as_by_the_sdk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = VECTORS["hw_demanager_token"]
    monkeypatch.setattr(sdk_hmac, "_SIGNED", sdk_hmac._SIGNED | {"user-agent"})
    headers = added(one, "x-project-id", "user-agent")
    assert headers["x-sdk-date"] == one.header("x-sdk-date")
    assert headers["Authorization"] == one.authorization


def test_what_there_is_of_project_domain_and_security_token_is_signed() -> None:
    key = AccessKey("AKID", Secret("secret"), Secret("temporary"))
    given = {"host": "h", "x-project-id": "p", "x-domain-id": "d", "content-type": "application/json", "accept": "x"}
    headers = signed_headers(("POST", "/a", ()), given, b"{}", key, date="d")
    names = headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == "content-type;host;x-domain-id;x-project-id;x-sdk-date;x-security-token"
    assert headers["x-security-token"] == "temporary"


def test_timestamp() -> None:
    assert timestamp(datetime(2026, 1, 5, 3, 4, 5, 999999, tzinfo=UTC)) == "20260105T030405Z"
