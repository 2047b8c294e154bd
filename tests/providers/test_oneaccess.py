"""OneAccess: the access credential of an application."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    ResponseError,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
    UnusableToken,
)
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.upstream import Upstream
from jupyter_tokens.token import Secret

from ..doubles import CANARY, NOW, answer, drive, vector
from .conftest import Prepare, refuse_params, refuse_settings

SETTINGS = {
    "provider": "oneaccess",
    "endpoint": "https://acme.example.com",
    "client_id": "ONtQq2igSggfFClyGgzmuXR8ubWEP",
    "client_secret": "Xdq+U/mJ pG=19&hé",
}
SAMPLE = {"access_token": CANARY, "token_type": "Bearer", "expires_in": 1719, "scope": "all", "id_token": "ey.ey.EL"}


def body(**changes: object) -> dict[str, object]:
    return {key: value for key, value in {**SAMPLE, **changes}.items() if value is not ...}


def test_the_form_is_the_recorded_one(prepared: Prepare) -> None:
    (request,), token = prepared.fetch(SETTINGS, {}, answer(200, body()))
    recorded = vector("oneaccess_token_form")["request"]
    assert (request.method, str(request.url)) == ("POST", "https://acme.example.com/api/v2/tenant/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.content.decode() == recorded["body_text"]
    assert "authorization" not in request.headers
    assert token.reveal() == CANARY
    assert token.headers() == {"Authorization": f"Bearer {CANARY}"}
    assert token.expires_at == utc(NOW + 1719)
    assert token.obtained_at == utc(NOW)


def test_basic_is_the_recorded_one(prepared: Prepare) -> None:
    settings = {**SETTINGS, "auth_method": "basic", "client_secret": "plainsecret"}
    (request,), _ = prepared.fetch(settings, {}, answer(200, body()))
    recorded = vector("oneaccess_token_basic_query")["request"]
    assert (request.method, request.url.raw_path.decode()) == (recorded["method"], recorded["target"])
    assert request.headers["authorization"] == dict(recorded["headers"])["Authorization"]
    assert request.content == b""


def test_the_id_token_is_as_opaque_as_the_token(prepared: Prepare) -> None:
    _, token = prepared.fetch(SETTINGS, {}, answer(200, body(id_token=CANARY)))
    assert CANARY not in repr(token.metadata)
    assert isinstance(token.metadata["id_token"], Secret)
    assert token.metadata["id_token"].reveal() == CANARY
    assert (token.metadata["scope"], token.metadata["token_type"]) == ("all", "Bearer")


ID_TOKEN = {**SETTINGS, "token": "id_token"}


def test_the_id_token_is_the_token_where_the_profile_says_so(prepared: Prepare) -> None:
    _, token = prepared.fetch(ID_TOKEN, {}, answer(200, body(access_token="another", id_token=CANARY)))
    assert token.reveal() == CANARY
    assert token.headers() == {"Authorization": f"Bearer {CANARY}"}
    assert token.expires_at == utc(NOW + 1719)
    assert set(token.metadata) == {"token_type", "scope", "access_token"}
    assert token.metadata["access_token"].reveal() == "another"
    assert "another" not in repr(token.metadata)


@pytest.mark.parametrize("missing", [..., None, ""])
def test_an_answer_without_the_id_token_says_what_to_do(prepared: Prepare, missing: object) -> None:
    error = prepared.refused(
        ResponseError, ID_TOKEN, {}, answer(200, body(id_token=missing, request_id="rid")), match="no id_token"
    )
    assert "API Authentication" in error.hint
    assert "access_token" in error.hint
    assert (error.status, error.request_id) == (200, "rid")
    assert CANARY not in str(error)


@pytest.mark.parametrize("wrong", [5, ["x"], f"{CANARY}\r\nX: y"])
def test_an_id_token_that_is_no_token(prepared: Prepare, wrong: object) -> None:
    answered = answer(200, body(id_token=wrong))
    provider, call = prepared(ID_TOKEN, {})
    with pytest.raises(ResponseError, match="id_token") as caught:
        drive(provider.retrieve(call), answered)
    assert CANARY not in str(caught.value)
    # Whoever does not ask for it is not stopped by it.
    provider, call = prepared(SETTINGS, {})
    assert drive(provider.retrieve(call), answered)[1].reveal() == CANARY


@pytest.mark.parametrize("settings", [SETTINGS, ID_TOKEN], ids=["access_token", "id_token"])
def test_the_vendors_answer_is_the_same_whichever_token_is_used(prepared: Prepare, settings: dict[str, str]) -> None:
    provider, call = prepared(settings, {})
    _, token = drive(provider.retrieve(call), answer(200, SAMPLE))
    assert provider.answer(token, NOW) == SAMPLE
    assert provider.answer(token, NOW + 719)["expires_in"] == 1000


def test_the_choices_of_token_are_checked() -> None:
    refuse_settings({**SETTINGS, "token": "refresh_token"}, "key 'token' must be one of access_token, id_token")


def test_only_what_is_text_is_told(prepared: Prepare) -> None:
    _, token = prepared.fetch(SETTINGS, {}, answer(200, body(scope=5, id_token=...)))
    assert token.metadata == {"token_type": "Bearer"}


@pytest.mark.parametrize(
    ("given", "life"), [(60, 60), (0.5, 0.5), ("1719", 1719), ("60.0", 60), (..., 1800), (None, 1800)]
)
def test_life(prepared: Prepare, given: object, life: float) -> None:
    _, token = prepared.fetch(SETTINGS, {}, answer(200, body(expires_in=given)))
    assert token.expires_at is not None
    assert token.expires_at - token.obtained_at == timedelta(seconds=life)


@pytest.mark.parametrize("life", [0, -1])
def test_a_token_that_has_expired_is_not_handed_out(prepared: Prepare, life: int) -> None:
    error = prepared.refused(UnusableToken, SETTINGS, {}, answer(200, body(expires_in=life, request_id="rid")))
    assert (error.request_id, error.status) == ("rid", 200)
    assert CANARY not in str(error)


@pytest.mark.parametrize("kind", ["bearer", "BEARER", "Bearer ", "", None, ...])
def test_the_type_may_be_written_in_any_case_or_left_out(prepared: Prepare, kind: object) -> None:
    assert prepared.fetch(SETTINGS, {}, answer(200, body(token_type=kind)))[1].reveal() == CANARY


@pytest.mark.parametrize(
    "given",
    [
        body(access_token=...),
        body(access_token=None),
        body(access_token=5),
        body(access_token=f"{CANARY}\r\nX: y"),
        body(token_type="mac"),
        body(token_type=5),
        body(expires_in="soon"),
        body(expires_in=10**400),
        body(expires_in=10**30),
        body(expires_in=True),
    ],
)
def test_an_answer_that_is_not_as_documented(prepared: Prepare, given: dict[str, object]) -> None:
    error = prepared.refused(ResponseError, SETTINGS, {}, answer(200, given, x_request_id="rid"))
    assert (error.status, error.request_id) == (200, "rid")
    assert CANARY not in str(error) + repr(error)


ERRORS: list[tuple[int, dict[str, object], type[ApiError], str, str]] = [
    (400, {"error_code": "SDK.0001", "error_msg": "Bad."}, InvalidRequest, "SDK.0001", "Bad."),
    (400, {"error": "invalid_client", "error_description": "Bad."}, Unauthorized, "invalid_client", "Bad."),
    (401, {"error": "invalid_client", "error_description": "Bad."}, Unauthorized, "invalid_client", "Bad."),
    (400, {"error_code": "invalid_client", "error_msg": "Bad."}, Unauthorized, "invalid_client", "Bad."),
    (400, {"error": "invalid_grant"}, Unauthorized, "invalid_grant", "Bad Request: the API sent no readable message"),
    (400, {"error": "unauthorized_client"}, Forbidden, "unauthorized_client", "Bad Request"),
    (403, {"error": "access_denied"}, Forbidden, "access_denied", "Forbidden"),
    (401, {"error_code": "X", "error_msg": "Bad"}, Unauthorized, "X", "Bad."),
    (429, {"error_code": "X", "error_msg": "Slow"}, Throttled, "X", "Slow."),
    (500, {"error_code": "X", "error_msg": "Down"}, ServiceUnavailable, "X", "Down."),
    (200, {"error": "invalid_client", "error_description": "Bad."}, Unauthorized, "invalid_client", "Bad."),
    (200, {"error_code": "SDK.0001", "error_msg": "Bad."}, InvalidRequest, "SDK.0001", "Bad."),
]


@pytest.mark.parametrize(("status", "given", "kind", "code", "message"), ERRORS)
def test_documented_errors_in_both_forms(
    *, prepared: Prepare, status: int, given: object, kind: type[ApiError], code: str, message: str
) -> None:
    error = prepared.refused(ApiError, SETTINGS, {}, answer(status, given, x_request_id="rid", retry_after="5"))
    assert (type(error), error.code, error.status, error.request_id) == (kind, code, status, "rid")
    assert error.message.startswith(message)
    assert error.retryable is (kind in {Throttled, ServiceUnavailable})
    assert error.retry_after == 5.0


def test_a_refusal_without_a_document(prepared: Prepare) -> None:
    error = prepared.refused(ServiceUnavailable, SETTINGS, {}, answer(502, "<html>"))
    assert (error.code, error.retryable) == (None, True)


@pytest.mark.parametrize("key", ["endpoint", "client_id", "client_secret"])
def test_settings_that_are_needed(key: str) -> None:
    with pytest.raises(Exception, match=f"key '{key}' is missing"):
        Profiles.from_settings({"mine": {**SETTINGS, key: ""}})["mine"]


def test_there_are_no_parameters() -> None:
    refuse_params(SETTINGS, {"scope": "x"}, "not a parameter")


def test_the_sandboxs_two_tokens_open_two_apis(sandbox: Sandbox, tmp_path: Path) -> None:
    written = sandbox.profiles(tmp_path)["oneaccess"]
    profiles = Profiles.from_settings({"tenant": written, "enterprise": {**written, "token": "id_token"}})
    upstream = Upstream(lambda: profiles, subject=pytest.fail)
    tenant, enterprise = (upstream.fetch(Key(name)) for name in profiles)
    upstream.close()
    for token, users in ((tenant, 200), (enterprise, 401)):
        assert httpx.get(f"{sandbox.url}/api/v2/tenant/users", headers=token.headers()).status_code == users
        assert httpx.get(f"{sandbox.url}/_sandbox/whoami", headers=token.headers()).status_code == 200
    assert enterprise.expires_at is not None


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    known = prepared(SETTINGS, {})[0].documented
    assert (known.method, known.path) == ("POST", "/api/v2/tenant/token")
    # Clients of the proxy send no credentials, and cannot choose another grant.
    assert known.fixed == {"grant_type": "client_credentials"}
    assert known.dropped == ("client_id", "client_secret")
