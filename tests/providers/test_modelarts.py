"""ModelArts: the token of a development environment instance, by key, by login and by a given token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import (
    ApiError,
    ConfigurationError,
    Forbidden,
    InvalidRequest,
    NotFound,
    ParameterError,
    ResponseError,
    SecretError,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
)
from jupyter_tokens.profiles import Profiles
from jupyter_tokens.signing.canonical import EMPTY_SHA256
from jupyter_tokens.signing.sdk_hmac import authorization
from jupyter_tokens.token import Secret

from ..doubles import CANARY, NOW, Clock, answer, drive, vector

PROJECT = "0123456789abcdef0123456789abcdef"
IDS = {"project_id": PROJECT, "instance_id": "6fa459ea-ee8a-3ca4-894e-db77e160355e"}
GIVEN = {"provider": "modelarts", "region": "eu-de", "auth_token": "MIIOTCTOKEN"}
KEY = {"provider": "modelarts", "region": "cn-north-4", "access_key": "AKID", "secret_key": "sk"}
LOGIN = {
    "provider": "modelarts",
    "region": "eu-de",
    "username": "user_name",
    "password": "user_password",
    "domain_name": "domain_name",
}
CHAIN = {"provider": "modelarts", "region": "cn-north-4", "credentials": "chain"}
OPENSTACK = {"provider": "modelarts", "region": "eu-de", "credentials": "openstack"}
GOOD = {"token": "7211546f57cd432790643bb6612da19d"}


def good() -> Any:
    return answer(200, GOOD)


def logged_in(value: str = CANARY, expires: object = "2026-01-16T08:30:00.000000Z", **headers: str) -> Any:
    return answer(201, {"token": {"expires_at": expires}}, x_subject_token=value, **headers)


def test_with_a_given_token_the_call_is_the_recorded_one(prepared) -> None:
    provider, call = prepared(GIVEN, IDS)
    (request,), token = drive(provider.retrieve(call), answer(200, GOOD, x_request_id="rid"))
    recorded = vector("otc_demanager_token")["request"]
    assert request.method == recorded["method"]
    assert request.url.host == "modelarts.eu-de.otc.t-systems.com"
    assert request.url.path == f"/v1/{PROJECT}/demanager/instances/{IDS['instance_id']}/token"
    assert request.headers["x-auth-token"] == dict(recorded["headers"])["X-Auth-Token"]
    assert token.reveal() == GOOD["token"]
    assert token.headers() == {"Authorization": f"token {GOOD['token']}"}
    assert (token.expires_at, token.obtained_at) == (None, utc(NOW))
    assert token.metadata == {"request_id": "rid"}


def test_the_path_is_the_recorded_one(prepared) -> None:
    recorded = vector("hw_demanager_token")["request"]
    _, version, project, _, _, instance, _ = recorded["path"].split("/")
    provider, call = prepared(KEY, {"project_id": project, "instance_id": instance})
    assert version == "v1"
    assert next(provider.retrieve(call)).url.raw_path.decode() == recorded["target"]


@pytest.mark.parametrize("temporary", [{}, {"security_token": "sts"}])
@pytest.mark.parametrize("base", [{}, {"endpoint": "http://127.0.0.1:8080"}, {"endpoint": "https://h.example.com/p/"}])
def test_with_a_key_what_is_sent_is_what_was_signed(prepared, temporary, base) -> None:
    provider, call = prepared({**KEY, **temporary, **base}, IDS)
    (request,), token = drive(provider.retrieve(call), good())
    headers = request.headers
    assert token.reveal() == GOOD["token"]
    assert (headers["x-project-id"], headers["x-sdk-date"]) == (PROJECT, "20260115T083000Z")
    assert headers.get("x-security-token") == temporary.get("security_token")
    assert headers["host"] == request.url.netloc.decode()
    names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert names[:2] == ["content-type", "host"]
    assert set(names) == {"content-type", "host"} | {name for name in headers if name.startswith("x-")}
    expected = authorization(
        "GET",
        request.url.raw_path.decode(),
        [],
        {name: headers[name] for name in names},
        EMPTY_SHA256,
        key_id="AKID",
        key_secret="sk",
    )
    assert headers["authorization"] == expected


def test_ids_are_percent_encoded(prepared) -> None:
    provider, call = prepared(KEY, {"project_id": "p?q", "instance_id": "i #%"})
    assert next(provider.retrieve(call)).url.raw_path == b"/v1/p%3Fq/demanager/instances/i%20%23%25/token"


def test_notebooks_is_the_newer_call_and_keeps_the_token_out_of_the_url(prepared) -> None:
    provider, call = prepared({**GIVEN, "api": "notebooks"}, IDS)
    body = {
        **GOOD,
        "id": "1",
        "name": "n",
        "status": "RUNNING",
        "url": f"https://nb/lab?token={GOOD['token']}",
        "secret": CANARY,
    }
    (request,), token = drive(provider.retrieve(call), answer(200, body))
    assert request.url.path == f"/v1/{PROJECT}/notebooks/{IDS['instance_id']}"
    assert token.metadata["url"] == "https://nb/lab"
    assert GOOD["token"] not in repr(token.metadata)
    assert set(token.metadata) == {"id", "name", "status", "url", "request_id"}


def test_a_login_and_then_the_call(prepared) -> None:
    provider, call = prepared(LOGIN, IDS)
    (login, request), token = drive(provider.retrieve(call), logged_in(), good())
    assert (login.method, str(login.url)) == ("POST", "https://iam.eu-de.otc.t-systems.com/v3/auth/tokens")
    assert json.loads(login.content)["auth"]["scope"] == {"project": {"id": PROJECT}}
    assert request.headers["x-auth-token"] == CANARY
    assert token.reveal() == GOOD["token"]


def test_the_login_is_kept_until_a_minute_before_its_end(prepared, clock: Clock) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in(expires="2026-01-15T08:32:00Z"), good())
    assert len(drive(provider.retrieve(call), good())[0]) == 1
    clock.advance(60)
    assert len(drive(provider.retrieve(call), logged_in(), good())[0]) == 2


def test_each_project_has_a_login_of_its_own(prepared) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in(), good())
    _, other = prepared(LOGIN, {**IDS, "project_id": "other"})
    other = type(call)(call.profile, other.params, call.credential, call.clock)
    assert len(drive(provider.retrieve(other), logged_in(), good())[0]) == 2


def test_a_401_on_a_kept_login_is_answered_by_one_new_login(prepared) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in("old"), good())
    refused = answer(401, {"error_code": "ModelArts.0202", "error_msg": "expired"})
    requests, _ = drive(provider.retrieve(call), refused, logged_in("new"), good())
    assert [request.headers.get("x-auth-token") for request in requests] == ["old", None, "new"]


def test_a_second_401_is_an_error(prepared) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in("old"), good())
    refused = answer(401, {"error_code": "ModelArts.0203", "error_msg": "Invalid token."})
    with pytest.raises(Unauthorized, match="Invalid token"):
        drive(provider.retrieve(call), refused, logged_in("new"), refused)


def test_a_401_on_a_fresh_login_is_an_error_at_once(prepared) -> None:
    provider, call = prepared(LOGIN, IDS)
    with pytest.raises(Unauthorized):
        drive(provider.retrieve(call), logged_in(), answer(401, {"error_code": "ModelArts.0203"}))


def test_a_kept_login_is_forgotten_when_the_new_one_is_refused(prepared) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in("old"), good())
    with pytest.raises(Unauthorized):
        drive(provider.retrieve(call), answer(401, {}), answer(401, {}))
    assert call.credential.tokens == {}


def test_a_login_lasts_as_long_as_user_and_password(prepared) -> None:
    profile = Profiles.of({"mine": LOGIN})["mine"]
    secrets = {key: Secret(LOGIN[key]) for key in ("username", "password", "domain_name")}
    first = profile.provider.credential(secrets)
    assert profile.provider.credential(secrets) is first
    for key in secrets:
        assert profile.provider.credential({**secrets, key: Secret("other")}) is not first


def test_iam_may_be_elsewhere(prepared) -> None:
    provider, call = prepared({**LOGIN, "iam_endpoint": "https://iam.example.com/v3"}, IDS)
    assert str(next(provider.retrieve(call)).url) == "https://iam.example.com/v3/auth/tokens"


@pytest.mark.parametrize(
    "login",
    [
        answer(201, {"token": {"expires_at": "2026-01-16T08:30:00Z"}}, x_openstack_request_id="rid"),
        logged_in(f"{CANARY} x", x_openstack_request_id="rid"),
        logged_in(expires=None, x_openstack_request_id="rid"),
        logged_in(expires="soon", x_openstack_request_id="rid"),
        logged_in(expires=5, x_openstack_request_id="rid"),
        answer(201, {"token": CANARY}, x_subject_token=CANARY, x_openstack_request_id="rid"),
        answer(201, "", x_subject_token=CANARY, x_openstack_request_id="rid"),
        answer(201, "<html>", x_subject_token=CANARY, x_openstack_request_id="rid"),
    ],
    ids=range(8),
)
def test_a_login_that_is_not_as_documented(prepared, login) -> None:
    provider, call = prepared(LOGIN, IDS)
    with pytest.raises(ResponseError) as caught:
        drive(provider.retrieve(call), login)
    assert (caught.value.request_id, caught.value.status) == ("rid", 201)
    assert CANARY not in str(caught.value) + repr(caught.value)
    assert call.credential.tokens == {}


ERRORS: list[tuple[int, str, type[ApiError], bool]] = [
    (400, "ModelArts.6309", NotFound, False),
    (404, "ModelArts.6309", NotFound, False),
    (400, "ModelArts.6327", InvalidRequest, False),
    (400, "ModelArts.6326", InvalidRequest, False),
    (400, "ModelArts.0204", Unauthorized, False),
    (401, "ModelArts.0201", Unauthorized, False),
    (401, "ModelArts.0202", Unauthorized, False),
    (401, "ModelArts.0203", Unauthorized, False),
    (403, "ModelArts.0108", Forbidden, False),
    (403, "ModelArts.0206", Unauthorized, False),
    (403, "ModelArts.0210", Forbidden, False),
    (401, "APIGW.0301", Unauthorized, False),
    (429, "APIGW.0308", Throttled, True),
    (500, "APIGW.9999", ServiceUnavailable, True),
    (400, "Unheard.Of", InvalidRequest, False),
    (200, "ModelArts.6309", NotFound, False),
]


@pytest.mark.parametrize("spelling", ["error_message", "error_msg"])
@pytest.mark.parametrize(("status", "code", "kind", "retryable"), ERRORS)
def test_documented_errors_in_both_spellings(*, prepared, status, code, kind, retryable, spelling: str) -> None:
    provider, call = prepared(KEY, IDS)
    body = {spelling: "It is so.", "error_code": code, "request_id": "rid"}
    with pytest.raises(ApiError) as caught:
        drive(provider.retrieve(call), answer(status, body, retry_after="3"))
    error = caught.value
    assert (type(error), error.code, error.status, error.request_id) == (kind, code, status, "rid")
    assert (error.message, error.retryable, error.retry_after) == ("It is so.", retryable, 3.0)
    assert error.hint or code in {"APIGW.9999", "Unheard.Of"}


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [(401, Unauthorized, False), (403, Forbidden, False), (503, ServiceUnavailable, True)],
)
def test_iams_own_errors_are_nested(prepared, status: int, kind: type[ApiError], retryable: bool) -> None:
    provider, call = prepared(LOGIN, IDS)
    body = {"error": {"code": status, "message": "The username or password is wrong.", "title": "Unauthorized"}}
    with pytest.raises(kind) as caught:
        drive(provider.retrieve(call), answer(status, body, x_openstack_request_id="rid"))
    error = caught.value
    assert error.message == "IAM: The username or password is wrong."
    assert (error.code, error.request_id, error.retryable) == (str(status), "rid", retryable)


@pytest.mark.parametrize("body", ["<html/>", "", "[]", '{"error": "x"}', '{"error_msg": 5}'])
def test_a_refusal_without_a_document(prepared, body: str) -> None:
    provider, call = prepared(KEY, IDS)
    with pytest.raises(ServiceUnavailable) as caught:
        drive(provider.retrieve(call), answer(503, body))
    assert (caught.value.code, caught.value.retryable) == (None, True)


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": None}, {"token": [CANARY]}, {"token": f"{CANARY}\n"}])
def test_an_answer_without_a_token(prepared, body: dict[str, object]) -> None:
    provider, call = prepared(KEY, IDS)
    with pytest.raises(ResponseError) as caught:
        drive(provider.retrieve(call), answer(200, body, x_request_id="rid"))
    assert (caught.value.request_id, caught.value.status) == ("rid", 200)
    assert CANARY not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**GIVEN, "region": ""}, "key 'endpoint' is missing (or give a region)"),
        ({**GIVEN, "region": "a/b"}, "key 'region' must be a region's id"),
        ({**GIVEN, "auth_token": ""}, "key 'access_key' is missing (or give username, auth_token, or credentials)"),
        ({**GIVEN, **KEY}, "key 'auth_token' and access_key exclude each other"),
        ({**LOGIN, **KEY}, "key 'username' and access_key exclude each other"),
        ({**KEY, "secret_key": ""}, "key 'secret_key' is missing"),
        ({**KEY, "credentials": "chain"}, "key 'credentials' and access_key exclude each other"),
        ({**CHAIN, "cloud": "mine"}, "key 'cloud' is for credentials 'openstack' alone"),
        ({**CHAIN, "credentials": "x"}, "key 'credentials' must be one of"),
        ({**LOGIN, "password": ""}, "key 'password' is missing"),
        ({**LOGIN, "domain_name": ""}, "key 'domain_name' is missing"),
        ({**LOGIN, "region": "", "endpoint": "https://h"}, "key 'iam_endpoint' is missing (or give a region)"),
        ({**KEY, "api": "x"}, "key 'api' must be one of demanager, notebooks"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Profiles.of({"mine": settings})["mine"]
    assert words in caught.value.message


def test_the_chain_signs_with_what_it_finds(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "CHAINED")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", CANARY)
    provider, call = prepared(CHAIN, IDS)
    (request,), _ = drive(provider.retrieve(call), good())
    assert "Access=CHAINED," in request.headers["authorization"]


@pytest.fixture
def openstack(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets OpenStack's variables, as after `source openrc`."""

    def source(**changes: str) -> None:
        names = {"AUTH_URL": "https://iam.example.com/v3", "USERNAME": "u", "PASSWORD": CANARY}
        for name, value in {**names, "USER_DOMAIN_NAME": "d", **changes}.items():
            monkeypatch.setenv(f"OS_{name}", value)

    return source


# openstacksdk warns of what it means to drop whenever it is asked.
ignoring = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


@ignoring
def test_a_login_as_openstacks_tools_do(prepared, openstack: Callable[..., None]) -> None:
    openstack()
    provider, call = prepared(OPENSTACK, IDS)
    (login, _), token = drive(provider.retrieve(call), logged_in(), good())
    assert str(login.url) == "https://iam.example.com/v3/auth/tokens"
    user = json.loads(login.content)["auth"]["identity"]["password"]["user"]
    assert user == {"name": "u", "password": CANARY, "domain": {"name": "d"}}
    assert token.reveal() == GOOD["token"]
    # The login is kept for as long as the variables stay the same.
    assert provider.credential({}) is call.credential
    openstack(PASSWORD="another")
    assert provider.credential({}) is not call.credential


@ignoring
def test_a_profiles_own_iam_goes_before_openstacks(prepared, openstack: Callable[..., None]) -> None:
    openstack(AUTH_URL="http://nowhere.example.com")
    provider, call = prepared({**OPENSTACK, "iam_endpoint": "https://iam.mine.example"}, IDS)
    assert next(provider.retrieve(call)).url.host == "iam.mine.example"


@ignoring
def test_a_token_that_openstack_has(prepared, openstack: Callable[..., None]) -> None:
    openstack(AUTH_TYPE="v3token", TOKEN=CANARY)
    provider, call = prepared(OPENSTACK, IDS)
    (request,), _ = drive(provider.retrieve(call), good())
    assert request.headers["x-auth-token"] == CANARY


LOCAL = {"endpoint": "http://127.0.0.1:8080", "region": ""}


@ignoring
@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://127.0.0.1:1"),
        ({}, "http://127.0.0.1:1"),
        (LOCAL, "http://localhost:1"),
        (LOCAL, "https://[::1]:1"),
    ],
)
def test_places_for_a_password(prepared, openstack: Callable[..., None], settings: dict[str, str], url: str) -> None:
    openstack(AUTH_URL=url)
    _, call = prepared({**OPENSTACK, **settings}, IDS)
    assert call.credential.endpoint == url


@ignoring
@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://iam.example.com"),
        ({}, "ftp://127.0.0.1"),
        ({}, "iam.example.com"),
        ({}, "https://[::1"),
        ({**LOCAL, "verify": False}, "https://iam.example.com"),
    ],
)
def test_no_place_for_a_password(prepared, openstack: Callable[..., None], settings: dict[str, Any], url: str) -> None:
    openstack(AUTH_URL=url)
    with pytest.raises(SecretError, match=r"auth_url \(OS_AUTH_URL\) must be https") as caught:
        prepared({**OPENSTACK, **settings}, IDS)
    assert caught.value.unsent
    assert "iam_endpoint" in caught.value.hint


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("value", [None, "", "a/b", "..", "a\n"])
def test_wrong_ids_never_become_a_call(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=name) as caught:
        Profiles.of({"mine": KEY})["mine"].call_params({**IDS, name: value})
    assert caught.value.unsent
