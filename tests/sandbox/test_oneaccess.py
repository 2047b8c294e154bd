"""OneAccess: form and Basic, both forms of errors, reuse, and the call that takes the token."""

from __future__ import annotations

import base64

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running

from .client import BEARER, CLIENT, CLIENT_SECRET, Answer, Clock, call, form, oneaccess

PATH = "/api/v2/tenant/token"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
GRANT = "grant_type=client_credentials"


def basic(url: str, secret: str = CLIENT_SECRET, target: str = f"{PATH}?{GRANT}", body: str = "") -> Answer:
    value = base64.b64encode(f"{CLIENT}:{secret}".encode()).decode()
    return call(url, "POST", target, {"Authorization": f"Basic {value}", **(FORM if body else {})}, body)


def users(url: str, token: str, method: str = "GET") -> Answer:
    return call(url, method, "/api/v2/tenant/users", {"Authorization": f"Bearer {token}"})


def test_a_form_and_basic_with_the_query_are_answered_alike(url: str) -> None:
    for answer in (oneaccess(url), basic(url), basic(url, target=PATH, body=GRANT)):
        assert answer.status == 200
        body = answer.json()
        assert set(body) == {"access_token", "token_type", "expires_in", "scope", "id_token"}
        assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 1800, "all")
        assert body["id_token"].count(".") == 2
        assert answer.headers["cache-control"] == "no-store"


def test_wrong_credentials_are_an_oauth_error(url: str) -> None:
    for answer, status in (
        (oneaccess(url, client_secret="wrong"), 400),
        (oneaccess(url, client_id="nobody"), 400),
        (oneaccess(url, client_id="nobody", client_secret=""), 400),
        (oneaccess(url, client_secret=""), 400),
        (basic(url, "wrong"), 401),
        (call(url, "POST", f"{PATH}?{GRANT}", {"Authorization": "Basic !!"}), 401),
        (call(url, "POST", f"{PATH}?{GRANT}", {"Authorization": "Basic /w=="}), 401),
        (call(url, "POST", f"{PATH}?{GRANT}", {"Authorization": "Bearer x"}), 401),
    ):
        assert answer.status == status
        assert answer.json() == {"error": "invalid_client", "error_description": "Bad client credentials"}
        assert ("www-authenticate" in answer.headers) == (status == 401)


def test_bad_parameters_are_the_documented_error(url: str) -> None:
    credentials = {"client_id": CLIENT, "client_secret": CLIENT_SECRET}
    body = form(grant_type="client_credentials", **credentials)
    for answer in (
        oneaccess(url, grant_type=""),
        call(url, "POST", PATH),
        call(url, "POST", PATH, {"Content-Type": "application/json"}, body),
        call(url, "POST", PATH, {}, body),
        call(url, "POST", PATH, FORM, f"{body}&{GRANT}"),
        call(url, "POST", f"{PATH}?{body}"),  # A secret in a URL ends in access logs.
    ):
        assert answer.status == 400
        assert answer.json()["error_code"] == "invalid_parameter"
        assert answer.json()["error_msg"]
    unsupported = oneaccess(url, grant_type="password")
    assert (unsupported.status, unsupported.code) == (400, "unsupported_grant_type")


def test_a_new_token_does_not_end_the_old_one(url: str) -> None:
    first, second = (oneaccess(url).json()["access_token"] for _ in range(2))
    assert first != second
    assert users(url, first).status == users(url, second).status == 200


def test_the_id_token_is_for_other_apis_than_the_tenants_and_lives_as_long(sandbox: Sandbox, clock: Clock) -> None:
    given = oneaccess(sandbox.url).json()
    shown = {"Authorization": f"Bearer {given['id_token']}"}
    assert users(sandbox.url, given["id_token"]).status == 401
    there = call(sandbox.url, "GET", "/_sandbox/whoami", shown)
    assert there.json()["subject"] == {"client_id": CLIENT, "token": "id_token"}
    clock.now += given["expires_in"]
    assert call(sandbox.url, "GET", "/_sandbox/whoami", shown).status == 401


def test_with_reuse_a_live_token_comes_again_with_what_is_left(accounts: Accounts, clock: Clock) -> None:
    with running(accounts=accounts, clock=clock, reuse=True) as sandbox:
        first = oneaccess(sandbox.url).json()
        clock.now += 81
        second = oneaccess(sandbox.url).json()
        assert second["access_token"] == first["access_token"]
        assert second["id_token"] == first["id_token"]
        assert second["expires_in"] == 1719  # the vendor's sample
        clock.now += 1719
        third = oneaccess(sandbox.url).json()
        assert third["access_token"] != first["access_token"]
        assert third["expires_in"] == 1800


def test_using_a_token_is_not_counted_and_meets_no_fault(sandbox: Sandbox) -> None:
    token = oneaccess(sandbox.url).json()["access_token"]
    sandbox.plan({"api": "oneaccess", "kind": "500", "times": 1})
    assert users(sandbox.url, token).status == 200
    assert users(sandbox.url, "none").status == 401
    assert sandbox.requests["oneaccess"] == 1
    assert oneaccess(sandbox.url).status == 500
    assert sandbox.requests["oneaccess"] == 2


def test_users_are_shown_to_a_live_token_only(sandbox: Sandbox, clock: Clock) -> None:
    token = oneaccess(sandbox.url).json()["access_token"]
    shown = users(sandbox.url, token)
    assert (shown.status, shown.json()["total"]) == (200, len(shown.json()["users"]))
    clock.now += 1800
    for answer in (
        users(sandbox.url, token),
        users(sandbox.url, BEARER),
        call(sandbox.url, "GET", "/api/v2/tenant/users"),
    ):
        assert (answer.status, answer.json()["error_code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", PATH, 405), ("POST", "/api/v2/tenant/users", 405), ("GET", "/api/v2/tenant/groups", 404)],
)
def test_other_paths_and_methods(url: str, method: str, path: str, status: int) -> None:
    assert call(url, method, path).status == status
