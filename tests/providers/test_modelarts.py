"""ModelArts: the token of a development environment instance, by key, by login and by a given token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    ResponseError,
    SecretError,
    ServiceUnavailable,
    Throttled,
    TokenError,
    Unauthorized,
    UnusableToken,
)
from jupyter_tokens.providers.signing.canonical import sha256
from jupyter_tokens.providers.signing.sdk_hmac import authorization
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sandbox.modelarts import FROZEN, INSTANCE, LEASE_SECONDS, LEASED, NOT_RUNNING, OLD_INSTANCE
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.upstream import Upstream
from jupyter_tokens.token import Secret, Token

from ..doubles import CANARY, NOW, Clock, answer, drive, vector
from .conftest import Prepare, refuse_params, refuse_settings

PROJECT = "0123456789abcdef0123456789abcdef"
IDS = {"project_id": PROJECT, "instance_id": "6fa459ea-ee8a-3ca4-894e-db77e160355e"}
GIVEN = {"provider": "modelarts", "region": "eu-de", "auth_token": "MIIOTCTOKEN"}
KEY = {"provider": "modelarts", "region": "cn-north-4", "access_key": "AKID", "secret_key": "sk"}
APIS = ("notebooks", "demanager")
every_api = pytest.mark.parametrize("api", APIS)
NO_INSTANCE = {"error_msg": "The instance does not exist.", "error_code": "ModelArts.6309"}
NO_API = {"error_msg": "The API does not exist", "error_code": "APIGW.0101", "request_id": "rid-1"}
NOTEBOOK = vector("hw_notebook_show_basic")["sdk_result"]["body"]
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


def good() -> httpx.Response:
    return answer(200, GOOD)


def logged_in(value: str = CANARY, expires: object = "2026-01-16T08:30:00.000000Z", **headers: str) -> httpx.Response:
    return answer(201, {"token": {"expires_at": expires}}, x_subject_token=value, **headers)


@pytest.mark.parametrize(
    ("api", "name"), [("demanager", "otc_demanager_token"), ("notebooks", "otc_notebook_show_x_auth_token")]
)
def test_with_a_given_token_the_call_is_the_recorded_one(prepared: Prepare, api: str, name: str) -> None:
    recorded = vector(name)["request"]
    instance = recorded["path"].removesuffix("/token").rpartition("/")[2]
    (request,), token = prepared.fetch(
        {**GIVEN, "api": api}, {"project_id": PROJECT, "instance_id": instance}, answer(200, GOOD, x_request_id="rid")
    )
    assert request.method == recorded["method"]
    assert request.url.host == "modelarts.eu-de.otc.t-systems.com"
    assert request.url.path == recorded["path"]
    assert request.headers["x-auth-token"] == dict(recorded["headers"])["X-Auth-Token"]
    assert token.reveal() == GOOD["token"]
    assert token.headers() == {"Authorization": f"token {GOOD['token']}"}
    assert (token.expires_at, token.obtained_at) == (None, utc(NOW))
    assert token.metadata == {"request_id": "rid"}


@pytest.mark.parametrize("name", ["hw_demanager_token", "hw_notebook_show_basic", "hw_notebook_show_sts"])
def test_with_a_key_the_call_is_the_recorded_one(prepared: Prepare, name: str) -> None:
    recorded = vector(name)
    keys, target = recorded["credentials"], recorded["request"]["target"]
    settings = {name: keys[name] for name in ("access_key", "secret_key", "security_token") if name in keys}
    api = "demanager" if "demanager" in target else "notebooks"
    instance = target.removesuffix("/token").rpartition("/")[2]
    ids = {"project_id": keys["project_id"], "instance_id": instance}
    request = prepared.request({**KEY, **settings, "api": api}, ids)
    assert request.url.raw_path.decode() == target
    theirs = {name.lower(): value for name, value in recorded["request"]["headers"]}
    ours = {name: theirs[name] for name in ("x-project-id", "x-sdk-date", "x-security-token") if name in theirs}
    assert {name: request.headers[name] for name in ours} == ours


@every_api
@pytest.mark.parametrize("temporary", [{}, {"security_token": "sts"}])
@pytest.mark.parametrize("base", [{}, {"endpoint": "http://127.0.0.1:8080"}, {"endpoint": "https://h.example.com/p/"}])
def test_with_a_key_what_is_sent_is_what_was_signed(
    *, prepared: Prepare, temporary: dict[str, str], base: dict[str, str], api: str
) -> None:
    (request,), token = prepared.fetch({**KEY, **temporary, **base, "api": api}, IDS, good())
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
        sha256(b""),
        key_id="AKID",
        key_secret="sk",
    )
    assert headers["authorization"] == expected


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ("demanager", b"/v1/p%3Fq/demanager/instances/%7Bi%7D%20%23%25/token"),
        ("notebooks", b"/v1/p%3Fq/notebooks/%7Bi%7D%20%23%25"),
    ],
)
def test_ids_are_percent_encoded(prepared: Prepare, api: str, path: bytes) -> None:
    assert prepared.request({**KEY, "api": api}, {"project_id": "p?q", "instance_id": "{i} #%"}).url.raw_path == path


def test_the_notebooks_url_and_status_are_metadata_without_the_token(prepared: Prepare) -> None:
    body = {
        **GOOD,
        "id": "1",
        "name": "n",
        "status": "RUNNING",
        "url": f"https://nb/lab?token={GOOD['token']}#x",
        "secret": CANARY,
    }
    (request,), token = prepared.fetch({**GIVEN, "api": "notebooks"}, IDS, answer(200, body))
    assert request.url.path == f"/v1/{PROJECT}/notebooks/{IDS['instance_id']}"
    assert (token.metadata["url"], token.metadata["status"]) == ("https://nb/lab", "RUNNING")
    assert GOOD["token"] not in repr(token.metadata)
    assert set(token.metadata) == {"id", "name", "status", "url", "request_id"}


# Which call: `auto`


def paths(requests: list[Any]) -> list[str]:
    """The calls by the setting's names."""
    return ["demanager" if "demanager" in request.url.path else "notebooks" for request in requests]


def test_notebooks_comes_first_and_alone_where_it_has_the_instance(prepared: Prepare) -> None:
    provider, call = prepared(KEY, IDS)
    assert provider.api == "auto"
    requests, token = drive(provider.retrieve(call), answer(200, NOTEBOOK))
    assert paths(requests) == ["notebooks"]
    assert token.reveal() == NOTEBOOK["token"]


@pytest.mark.parametrize(
    "missing",
    [
        answer(404, NO_INSTANCE),
        answer(400, NO_INSTANCE),
        answer(200, NO_INSTANCE),
        answer(404, NO_API),
        answer(404, "<html>"),
        answer(404, ""),
    ],
    ids=["404", "400", "200", "no such API", "HTML", "empty"],
)
@pytest.mark.parametrize("settings", [KEY, GIVEN], ids=["key", "token"])
def test_demanager_is_called_where_notebooks_has_no_such_instance_and_is_remembered(
    prepared: Prepare, settings: dict[str, str], missing: Any
) -> None:
    provider, call = prepared(settings, IDS)
    requests, token = drive(provider.retrieve(call), missing, good())
    assert paths(requests) == ["notebooks", "demanager"]
    assert token.reveal() == GOOD["token"]
    assert paths(drive(provider.retrieve(call), good())[0]) == ["demanager"]
    # Remembered as what to try first, not as the only call.
    requests, token = drive(provider.retrieve(call), answer(400, NO_INSTANCE), answer(200, NOTEBOOK))
    assert paths(requests) == ["demanager", "notebooks"]
    assert paths(drive(provider.retrieve(call), answer(200, NOTEBOOK))[0]) == ["notebooks"]


def test_each_profile_remembers_for_itself(prepared: Prepare) -> None:
    prepared.fetch(KEY, IDS, answer(404, NO_API), good())
    other, other_call = prepared(KEY, IDS)
    assert paths(drive(other.retrieve(other_call), answer(200, NOTEBOOK))[0]) == ["notebooks"]


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
def test_any_other_refusal_is_the_answer(prepared: Prepare, status: int) -> None:
    error = prepared.refused(ApiError, KEY, IDS, answer(status, {"error_code": "X", "error_msg": "No."}))
    assert (error.status, error.message) == (status, "No.")


@every_api
def test_an_explicit_call_is_the_only_one(prepared: Prepare, api: str) -> None:
    for missing in (answer(404, NO_API), answer(400, NO_INSTANCE)):
        prepared.refused(NotFound, {**KEY, "api": api}, IDS, missing)


def test_where_neither_has_the_instance_the_error_says_what_each_answered(prepared: Prepare) -> None:
    second = answer(
        400, {"error_message": "The instance does not exist.", "error_code": "ModelArts.6309"}, x_request_id="rid-2"
    )
    error = prepared.refused(NotFound, KEY, IDS, answer(404, NO_API), second)
    assert (error.code, error.status, error.request_id) == ("APIGW.0101", 404, "rid-1")
    assert error.message == (
        "notebooks: The API does not exist. "
        "demanager (HTTP 400, code ModelArts.6309, request id rid-2): The instance does not exist."
    )
    assert error.hint


def test_where_demanager_has_the_instance_and_refuses_it_its_code_and_hint_count(prepared: Prepare) -> None:
    stopped = answer(
        400, {"error_msg": "The instance is not running.", "error_code": "ModelArts.6327"}, x_request_id="rid-2"
    )
    error = prepared.refused(InvalidRequest, KEY, IDS, answer(404, NO_API), stopped)
    assert (error.code, error.request_id, error.hint) == ("ModelArts.6327", "rid-2", "Start the instance.")
    assert error.message.startswith("demanager: The instance is not running. notebooks (HTTP 404, code APIGW.0101, ")
    assert "rid-1" in error.message


def test_a_busy_demanager_is_tried_again(prepared: Prepare) -> None:
    error = prepared.refused(ServiceUnavailable, KEY, IDS, answer(404, NO_API), answer(503, "", retry_after="4"))
    assert (error.retryable, error.retry_after) == (True, 4.0)


def test_one_login_is_enough_for_both_calls(prepared: Prepare) -> None:
    requests, _ = prepared.fetch(LOGIN, IDS, logged_in("first"), answer(404, NO_API), good())
    assert [request.headers.get("x-auth-token") for request in requests] == [None, "first", "first"]


@pytest.mark.parametrize("path", [None, *APIS])
def test_the_proxys_client_chooses_the_call_by_its_path(prepared: Prepare, path: str | None) -> None:
    provider, call = prepared(KEY, IDS)
    known = provider.documented
    both = dict(zip(APIS, (known.path, *known.others), strict=True))
    asked = replace(call, path=both[path] if path else "")
    flow = provider.exchange(asked)
    assert paths([next(flow)]) == [path or "notebooks"]
    # The vendor's answer is the client's, whatever it is.
    with pytest.raises(StopIteration) as stop:
        flow.send(missing := answer(404, NO_API))
    assert stop.value.value is missing


@every_api
def test_an_explicit_call_is_the_only_path_of_the_proxy(prepared: Prepare, api: str) -> None:
    provider, _ = prepared({**KEY, "api": api}, IDS)
    assert api in provider.documented.path
    assert provider.documented.others == ()


# The notebook's state and lease


@pytest.mark.parametrize(
    "status", ["RUNNING", "INIT", "CREATING", "STARTING", "SNAPSHOTTING", "UNHEARD_OF", 5, ["x"], None]
)
def test_a_notebook_that_runs_or_will_run_soon_has_its_token(prepared: Prepare, status: object) -> None:
    _, token = prepared.fetch(KEY, IDS, answer(200, {**NOTEBOOK, "status": status}))
    assert token.reveal() == NOTEBOOK["token"]
    assert token.metadata["status"] == status


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("STOPPED", "Start the instance."),
        ("STOPPING", "Start the instance."),
        ("FROZEN", "Check the account's balance."),
        ("DELETED", "See the instance in the ModelArts console."),
        ("START_FAILED", "See the instance in the ModelArts console."),
    ],
)
def test_the_token_of_a_notebook_that_cannot_be_opened_is_not_handed_out(
    prepared: Prepare, status: str, hint: str
) -> None:
    body = {**NOTEBOOK, "token": CANARY, "status": status}
    error = prepared.refused(UnusableToken, KEY, IDS, answer(200, body, x_request_id="rid"), match=status)
    assert (error.hint, error.request_id, error.status) == (hint, "rid", 200)
    assert CANARY not in str(error)


LEASE = {
    "create_at": int(NOW - 600) * 1000,
    "update_at": int(NOW) * 1000,
    "duration": 3_600_000,
    "enable": True,
    "type": "timing",
}


@pytest.mark.parametrize(
    ("lease", "left"),
    [
        (LEASE, 3000),
        ({**LEASE, "duration": 7_200_500}, 6600.5),
        ({**LEASE, "enable": False}, None),
        ({**LEASE, "type": "idle"}, None),
        ({name: value for name, value in LEASE.items() if name != "type"}, None),
        ({**LEASE, "create_at": None}, None),
        ({**LEASE, "duration": None}, None),
        # A notebook that is there though its lease has ended: it was prolonged.
        ({**LEASE, "duration": 600_000}, None),
        (NOTEBOOK["lease"], None),
        ([], None),
        (None, None),
    ],
)
def test_a_timed_lease_is_the_limit_of_the_tokens_life(prepared: Prepare, lease: object, left: float | None) -> None:
    _, token = prepared.fetch(KEY, IDS, answer(200, {**NOTEBOOK, "lease": lease}))
    assert token.expires_at == (None if left is None else utc(NOW + left))


@pytest.mark.parametrize("wrong", [{"create_at": "soon"}, {"duration": True}, {"duration": 10**30}])
def test_a_lease_that_is_not_as_documented(prepared: Prepare, wrong: dict[str, object]) -> None:
    prepared.refused(ResponseError, KEY, IDS, answer(200, {**NOTEBOOK, "lease": {**LEASE, **wrong}}))


def test_a_login_and_then_the_call(prepared: Prepare) -> None:
    (login, request), token = prepared.fetch(LOGIN, IDS, logged_in(), good())
    assert (login.method, str(login.url)) == ("POST", "https://iam.eu-de.otc.t-systems.com/v3/auth/tokens")
    assert json.loads(login.content)["auth"]["scope"] == {"project": {"id": PROJECT}}
    assert request.headers["x-auth-token"] == CANARY
    assert token.reveal() == GOOD["token"]


def test_the_login_is_kept_until_a_minute_before_its_end(prepared: Prepare, clock: Clock) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in(expires="2026-01-15T08:32:00Z"), good())
    assert len(drive(provider.retrieve(call), good())[0]) == 1
    clock.advance(60)
    assert len(drive(provider.retrieve(call), logged_in(), good())[0]) == 2


def test_each_project_has_a_login_of_its_own(prepared: Prepare) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in(), good())
    _, other = prepared(LOGIN, {**IDS, "project_id": "other"})
    other = type(call)(call.profile, other.params, call.credential, call.clock)
    assert len(drive(provider.retrieve(other), logged_in(), good())[0]) == 2


def test_a_401_on_a_kept_login_is_answered_by_one_new_login(prepared: Prepare) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in("old"), good())
    refused = answer(401, {"error_code": "ModelArts.0202", "error_msg": "expired"})
    requests, _ = drive(provider.retrieve(call), refused, logged_in("new"), good())
    assert [request.headers.get("x-auth-token") for request in requests] == ["old", None, "new"]


def test_a_second_401_is_an_error(prepared: Prepare) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in("old"), good())
    refused = answer(401, {"error_code": "ModelArts.0203", "error_msg": "Invalid token."})
    with pytest.raises(Unauthorized, match="Invalid token"):
        drive(provider.retrieve(call), refused, logged_in("new"), refused)


def test_a_401_on_a_fresh_login_is_an_error_at_once(prepared: Prepare) -> None:
    prepared.refused(Unauthorized, LOGIN, IDS, logged_in(), answer(401, {"error_code": "ModelArts.0203"}))


def test_a_kept_login_is_forgotten_when_the_new_one_is_refused(prepared: Prepare) -> None:
    provider, call = prepared(LOGIN, IDS)
    drive(provider.retrieve(call), logged_in("old"), good())
    with pytest.raises(Unauthorized):
        drive(provider.retrieve(call), answer(401, {}), answer(401, {}))
    assert call.credential.tokens == {}


def test_a_login_lasts_as_long_as_user_and_password(prepared: Prepare) -> None:
    profile = Profiles.from_settings({"mine": LOGIN})["mine"]
    secrets = {key: Secret(LOGIN[key]) for key in ("username", "password", "domain_name")}
    first = profile.provider.credential(secrets)
    assert profile.provider.credential(secrets) is first
    for key in secrets:
        assert profile.provider.credential({**secrets, key: Secret("other")}) is not first


def test_iam_may_be_elsewhere(prepared: Prepare) -> None:
    assert (
        str(prepared.request({**LOGIN, "iam_endpoint": "https://iam.example.com/v3"}, IDS).url)
        == "https://iam.example.com/v3/auth/tokens"
    )


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
def test_a_login_that_is_not_as_documented(prepared: Prepare, login: httpx.Response) -> None:
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
    # T Cloud's spelling.
    (401, "APIG.0301", Unauthorized, False),
    (429, "APIG.0308", Throttled, True),
    # With another status these codes mean something else.
    (401, "ModelArts.0210", Unauthorized, False),
    (400, "ModelArts.0206", InvalidRequest, False),
    (403, "ModelArts.0204", Forbidden, False),
    (200, "ModelArts.6309", NotFound, False),
]


@every_api
@pytest.mark.parametrize("spelling", ["error_message", "error_msg"])
@pytest.mark.parametrize(("status", "code", "kind", "retryable"), ERRORS)
def test_documented_errors_in_both_spellings(
    *, prepared: Prepare, status: int, code: str, kind: type[ApiError], retryable: bool, spelling: str, api: str
) -> None:
    body = {spelling: "It is so.", "error_code": code, "request_id": "rid"}
    error = prepared.refused(ApiError, {**KEY, "api": api}, IDS, answer(status, body, retry_after="3"))
    assert (type(error), error.code, error.status, error.request_id) == (kind, code, status, "rid")
    assert (error.message, error.retryable, error.retry_after) == ("It is so.", retryable, 3.0)
    assert error.hint or code in {"APIGW.9999", "Unheard.Of", "ModelArts.0206"}


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [(401, Unauthorized, False), (403, Forbidden, False), (503, ServiceUnavailable, True)],
)
def test_iams_own_errors_are_nested(prepared: Prepare, status: int, kind: type[ApiError], retryable: bool) -> None:
    body = {"error": {"code": status, "message": "The username or password is wrong.", "title": "Unauthorized"}}
    error = prepared.refused(kind, LOGIN, IDS, answer(status, body, x_openstack_request_id="rid"))
    assert error.message == "IAM: The username or password is wrong."
    assert (error.code, error.request_id, error.retryable) == (str(status), "rid", retryable)


@pytest.mark.parametrize("body", ["<html/>", "", "[]", '{"error": "x"}', '{"error_msg": 5}'])
def test_a_refusal_without_a_document(prepared: Prepare, body: str) -> None:
    error = prepared.refused(ServiceUnavailable, KEY, IDS, answer(503, body))
    assert (error.code, error.retryable) == (None, True)


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": None}, {"token": [CANARY]}, {"token": f"{CANARY}\n"}])
def test_an_answer_without_a_token(prepared: Prepare, body: dict[str, object]) -> None:
    error = prepared.refused(ResponseError, KEY, IDS, answer(200, body, x_request_id="rid"))
    assert (error.request_id, error.status) == ("rid", 200)
    assert CANARY not in str(error) + repr(error)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**GIVEN, "region": ""}, "key 'endpoint' is missing (or give region)"),
        ({**GIVEN, "region": "a/b"}, "key 'region' must be a region's id"),
        ({**GIVEN, "auth_token": ""}, "key 'access_key' is missing (or give username or auth_token or credentials)"),
        ({**GIVEN, **KEY}, "key 'auth_token' and access_key cannot both be given"),
        ({**LOGIN, **KEY}, "key 'username' and access_key cannot both be given"),
        ({**KEY, "secret_key": ""}, "key 'secret_key' is missing"),
        ({**KEY, "credentials": "chain"}, "key 'credentials' and access_key cannot both be given"),
        ({**CHAIN, "cloud": "mine"}, "key 'cloud' is not used with credentials chain"),
        ({**CHAIN, "credentials": "x"}, "key 'credentials' must be one of"),
        ({**LOGIN, "password": ""}, "key 'password' is missing"),
        ({**LOGIN, "domain_name": ""}, "key 'domain_name' is missing"),
        ({**LOGIN, "region": "", "endpoint": "https://h"}, "key 'iam_endpoint' is missing (or give region)"),
        ({**KEY, "api": "x"}, "key 'api' must be one of auto, notebooks, demanager"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, str], words: str) -> None:
    assert words in refuse_settings(settings).message


def test_the_chain_signs_with_what_it_finds(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "CHAINED")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", CANARY)
    (request,), _ = prepared.fetch(CHAIN, IDS, good())
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
def test_a_login_as_openstacks_tools_do(prepared: Prepare, openstack: Callable[..., None]) -> None:
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
def test_a_profiles_own_iam_goes_before_openstacks(prepared: Prepare, openstack: Callable[..., None]) -> None:
    openstack(AUTH_URL="http://nowhere.example.com")
    assert (
        prepared.request({**OPENSTACK, "iam_endpoint": "https://iam.mine.example"}, IDS).url.host == "iam.mine.example"
    )


@ignoring
def test_a_token_that_openstack_has(prepared: Prepare, openstack: Callable[..., None]) -> None:
    openstack(AUTH_TYPE="v3token", TOKEN=CANARY)
    (request,), _ = prepared.fetch(OPENSTACK, IDS, good())
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
def test_places_for_a_password(
    prepared: Prepare, openstack: Callable[..., None], settings: dict[str, str], url: str
) -> None:
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
def test_no_place_for_a_password(
    prepared: Prepare, openstack: Callable[..., None], settings: dict[str, Any], url: str
) -> None:
    openstack(AUTH_URL=url)
    with pytest.raises(SecretError, match=r"auth_url \(OS_AUTH_URL\) must be https") as caught:
        prepared({**OPENSTACK, **settings}, IDS)
    assert caught.value.unsent
    assert "iam_endpoint" in caught.value.hint


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("value", [None, "", "a/b", "..", "a\n"])
def test_wrong_ids_never_become_a_call(name: str, value: object) -> None:
    refuse_params(KEY, {**IDS, name: value}, name)


# On the sandbox, over a real socket


@pytest.fixture
def fetched(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Token]]:
    """Fetches by one profile that leads to the sandbox, with a key or a login, as `settings` says at first."""
    opened: list[Upstream] = []

    def fetch(instance: str, **settings: str) -> Token:
        if not opened:
            written = {**sandbox.profiles(tmp_path)["modelarts"], **settings}
            if "username" in settings:
                del written["access_key"], written["secret_key"]
            profiles = Profiles.from_settings({"mine": written})
            opened.append(Upstream(lambda: profiles, subject=pytest.fail))
        return opened[0].fetch(Key("mine", (("project_id", PROJECT), ("instance_id", instance))))

    yield fetch
    for upstream in opened:
        upstream.close()


@pytest.fixture(params=["key", "login"])
def way(request: pytest.FixtureRequest, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The two ways to authenticate."""
    if request.param == "key":
        return {}
    ((username, password),) = sandbox.accounts.iam.items()
    monkeypatch.setenv("IAM_PASSWORD", password)
    return {"iam_endpoint": sandbox.url, "username": username, "password": "env:IAM_PASSWORD", "domain_name": "acme"}


def test_each_kind_of_instance_is_found(
    sandbox: Sandbox, fetched: Callable[..., Token], way: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "jupyter_tokens.providers")
    running = fetched(INSTANCE, **way)
    assert (running.metadata["status"], running.expires_at) == ("RUNNING", None)
    assert sandbox.requests["modelarts"] == 1
    leased = fetched(LEASED)
    assert leased.expires_at is not None
    assert 0 < (leased.expires_at - leased.obtained_at).total_seconds() <= LEASE_SECONDS
    assert "does not have" not in caplog.text
    old = fetched(OLD_INSTANCE)
    assert set(old.metadata) == {"request_id"}
    assert sandbox.requests["modelarts"] == 4
    assert "mine: the API notebooks does not have the instance" in caplog.text
    fetched(OLD_INSTANCE)
    assert sandbox.requests["modelarts"] == 5
    assert sandbox.requests["iam"] == (1 if way else 0)


def test_a_region_without_the_notebooks_api(
    sandbox: Sandbox, fetched: Callable[..., Token], way: dict[str, str]
) -> None:
    sandbox.plan({"api": "modelarts", "kind": 404})
    assert set(fetched(INSTANCE, **way).metadata) == {"request_id"}
    assert sandbox.requests["modelarts"] == 2


@pytest.mark.parametrize(
    ("instance", "kind", "words"),
    [
        (NOT_RUNNING, UnusableToken, "STOPPED"),
        (FROZEN, UnusableToken, "FROZEN"),
        ("nobody", NotFound, "demanager (HTTP 400, code ModelArts.6309, request id "),
    ],
)
def test_an_instance_that_gives_no_token(
    fetched: Callable[..., Token], way: dict[str, str], instance: str, kind: type[TokenError], words: str
) -> None:
    with pytest.raises(kind, match=re.escape(words)) as caught:
        fetched(instance, **way)
    assert caught.value.request_id
    assert caught.value.hint


@pytest.mark.parametrize(("api", "code"), [("notebooks", "ModelArts.6309"), ("demanager", "ModelArts.6327")])
def test_an_explicit_call_answers_alone(
    sandbox: Sandbox, fetched: Callable[..., Token], way: dict[str, str], api: str, code: str
) -> None:
    with pytest.raises(ApiError) as caught:
        fetched({"notebooks": OLD_INSTANCE, "demanager": NOT_RUNNING}[api], api=api, **way)
    assert caught.value.code == code
    assert sandbox.requests["modelarts"] == 1


def test_a_list_that_is_refused(prepared: Prepare) -> None:
    provider, call = prepared(GIVEN, IDS)
    with pytest.raises(NotFound) as caught:
        drive(provider.list_values(call, "instance_id"), answer(404, NO_API))
    assert (caught.value.code, caught.value.request_id) == ("APIGW.0101", "rid-1")
