"""What the APIs behind Alibaba Cloud's gateway share."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
)
from jupyter_tokens.providers import alibaba
from jupyter_tokens.providers.signing.acs3 import authorization
from jupyter_tokens.providers.signing.canonical import AccessKey, sha256
from jupyter_tokens.token import Secret

from ..doubles import answer
from .conftest import Prepare, refuse_settings

PAI = {"provider": "pai-dlc", "region": "cn-hangzhou", "access_key_id": "AKID", "access_key_secret": "secret"}
EIAM = {**PAI, "provider": "eiam"}
IDS = {"InstanceId": "i", "ApplicationId": "a", "ApplicationTokenId": "t"}
SCOPED = {"InstanceId": "i", "ApplicationId": "a", "Audience": "https://example.com", "ScopeValues": ["a", "b c"]}
ROLE = {"RoleArn": "acs:ram::1234567890123456:role/adminrole", "RoleSessionName": "alice"}
APIS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "pai-dlc": (PAI, {}),
    "eiam": (EIAM, IDS),
    "pai-dsw": ({**PAI, "provider": "pai-dsw"}, {"InstanceId": "dsw-1", "Audience": "a b"}),
    "eiam-oauth": ({**PAI, "provider": "eiam-oauth"}, SCOPED),
    "alibaba-sts": ({**PAI, "provider": "alibaba-sts"}, ROLE),
}
every_api = pytest.mark.parametrize(("settings", "params"), APIS.values(), ids=APIS)

ERRORS: list[tuple[int, str, type[ApiError], bool]] = [
    (404, "InvalidAccessKeyId.NotFound", Unauthorized, False),
    (400, "InvalidAccessKeyId.Inactive", Unauthorized, False),
    (400, "InvalidAccessKeyId.Other", Unauthorized, False),
    (400, "InvalidSecurityToken.Expired", Unauthorized, False),
    (400, "SignatureDoesNotMatch", Unauthorized, False),
    (400, "IncompleteSignature", Unauthorized, False),
    (400, "InvalidTimeStamp.Expired", Unauthorized, False),
    (400, "InvalidTimeStamp.Format", Unauthorized, False),
    (400, "SignatureNonceUsed", Unauthorized, False),
    (400, "MissingInstanceId", InvalidRequest, False),
    (400, "InvalidTargetType", InvalidRequest, False),
    (400, "InvalidParameter.TargetId", InvalidRequest, False),
    (400, "ValidationError", InvalidRequest, False),
    (404, "InvalidInstanceId.NotFound", NotFound, False),
    (400, "Throttling", Throttled, True),
    (400, "Throttling.User", Throttled, True),
    (400, "Throttling.Api", Throttled, True),
    (503, "Throttling.System", Throttled, True),
    (403, "NoPermission", Forbidden, False),
    (403, "Forbidden.RAM", Forbidden, False),
    (404, "InvalidApi.NotFound", NotFound, False),
    (500, "InternalError", ServiceUnavailable, True),
    (503, "ServiceUnavailable", ServiceUnavailable, True),
    (400, "Unheard.Of", InvalidRequest, False),
]
every_error = pytest.mark.parametrize(("status", "code", "kind", "retryable"), ERRORS, ids=[row[1] for row in ERRORS])


@every_api
@every_error
@pytest.mark.parametrize("lower", [False, True], ids=["upper case", "lower case"])
def test_documented_errors_are_mapped(
    *,
    prepared: Prepare,
    settings: dict[str, str],
    params: dict[str, object],
    status: int,
    code: str,
    kind: type[ApiError],
    retryable: bool,
    lower: bool,
) -> None:
    body = {"RequestId": "rid", "HostId": "h", "Code": code, "Message": "It is so.", "Recommend": "https://x"}
    if lower:
        body = {"requestId": "rid", "code": code, "message": "It is so."}
    error = prepared.refused(ApiError, settings, params, answer(status, body))
    assert (type(error), error.code, error.message, error.request_id) == (kind, code, "It is so.", "rid")
    assert (error.status, error.retryable, error.retry_after) == (status, retryable, None)
    assert "{" not in error.hint


@every_api
def test_throttling_tells_milliseconds_in_a_header_of_its_own(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object]
) -> None:
    throttled = answer(400, {"Code": "Throttling.User", "Message": "m"}, x_acs_retry_after="1500")
    error = prepared.refused(Throttled, settings, params, throttled)
    assert error.retry_after == 1.5


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("pai-dlc", "paidlc:GetToken"),
        ("eiam", "eiam:ObtainApplicationToken"),
        ("pai-dsw", "paidsw:GetToken"),
        ("eiam-oauth", "eiam:GenerateOauthToken"),
        ("alibaba-sts", "sts:AssumeRole"),
    ],
)
def test_a_missing_permission_is_named(prepared: Prepare, name: str, action: str) -> None:
    body = {"Code": "Forbidden.RAM", "Message": "m", "AccessDeniedDetail": {"AuthAction": action}}
    settings, params = APIS[name]
    error = prepared.refused(Forbidden, settings, params, answer(403, body))
    assert action in error.hint


@every_api
@pytest.mark.parametrize("body", ["<html/>", "", "[]", '{"Code": 5, "Message": {}}', '{"Code": null}'])
def test_a_refusal_that_is_no_error_document_is_judged_by_its_status(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object], body: str
) -> None:
    error = prepared.refused(ServiceUnavailable, settings, params, answer(503, body, x_acs_request_id="rid"))
    assert (error.request_id, error.retryable) == ("rid", True)


@every_api
@pytest.mark.parametrize("base", [{}, {"endpoint": "http://127.0.0.1:8080"}, {"endpoint": "https://h.example.com/"}])
@pytest.mark.parametrize("sts", [{}, {"security_token": "sts/token=="}])
def test_what_is_sent_is_what_was_signed(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object], base: dict[str, str], sts: dict[str, str]
) -> None:
    request = prepared.request({**settings, **base, **sts}, params)
    headers = request.headers
    assert headers["host"] == request.url.netloc.decode()
    assert headers["x-acs-date"] == "2026-01-15T08:30:00Z"
    assert headers["x-acs-content-sha256"] == sha256(b"")
    assert headers.get("x-acs-security-token") == sts.get("security_token")
    names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert set(names) == {name for name in headers if name.startswith("x-acs-")} | {"host"}
    path, _, query = request.url.raw_path.decode().partition("?")
    expected = authorization(
        request.method,
        path,
        parse_qsl(query, keep_blank_values=True),
        {name: headers[name] for name in names},
        sha256(b""),
        key_id="AKID",
        key_secret="secret",
    )
    assert headers["authorization"] == expected
    assert request.content == b""


@every_api
def test_every_request_has_a_nonce_of_its_own(
    prepared: Prepare, settings: dict[str, str], params: dict[str, object]
) -> None:
    nonces = {prepared.request(settings, params).headers["x-acs-signature-nonce"] for _ in range(20)}
    assert len(nonces) == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"region": ""}, "key 'endpoint' is missing (or give region)"),
        ({"region": "a.b/"}, "key 'region' must be a region's id"),
        ({"access_key_id": ""}, "key 'access_key_id' is missing"),
        ({"access_key_secret": ""}, "key 'access_key_secret' is missing"),
        ({"credentials": "chain"}, "key 'credentials' and access_key_id cannot both be given"),
        ({"credentials": "chain", "access_key_id": ""}, "cannot both be given"),
        ({"credentials": "x"}, "key 'credentials' must be chain"),
    ],
)
@every_api
def test_settings_that_do_not_go_together(
    settings: dict[str, str], params: dict[str, object], change: dict[str, str], words: str
) -> None:
    assert words in refuse_settings({**settings, **change}).message


def test_the_chain_is_asked_only_where_a_profile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    key = AccessKey("FOUND", Secret("s"))
    monkeypatch.setattr(alibaba, "chain", lambda: key)
    settings = {"provider": "pai-dlc", "region": "cn-hangzhou", "credentials": "chain"}
    assert Profiles.from_settings({"mine": settings})["mine"].provider.credential({}) is key
    given = {"access_key_id": Secret("AKID"), "access_key_secret": Secret("s")}
    assert Profiles.from_settings({"mine": PAI})["mine"].provider.credential(given).id == "AKID"
