"""The IAM login: Keystone's password method, its scopes and its form of errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .client import PASSWORD, PROJECT, USER, Answer, Clock, call, login

JSON = {"Content-Type": "application/json"}


def post(url: str, body: Any, headers: dict[str, str] = JSON) -> Answer:
    content = body if isinstance(body, str) else json.dumps(body)
    return call(url, "POST", "/v3/auth/tokens", headers, content)


def auth(**changes: Any) -> dict[str, Any]:
    user = {"name": USER, "password": PASSWORD, "domain": {"name": "d"}, **changes}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}


def test_a_login_is_answered_with_201_and_the_token_in_a_header(url: str) -> None:
    answer = login(url)
    assert answer.status == 201
    value = answer.headers["x-subject-token"]
    assert len(value) > 200
    assert value not in answer.body.decode()
    token = answer.json()["token"]
    assert token["expires_at"] == "2026-01-16T08:30:00.000000Z"
    assert token["project"] == {"id": PROJECT, "name": "sandbox"}
    assert token["user"]["name"] == USER
    assert PASSWORD not in answer.body.decode()


def test_a_projects_name_stands_for_the_default_project(url: str) -> None:
    project = login(url, scope={"project": {"name": "eu-de"}}).json()["token"]["project"]
    assert project == {"id": PROJECT, "name": "eu-de"}


def test_other_scopes(url: str) -> None:
    assert "project" not in login(url, scope=None).json()["token"]
    assert login(url, scope={"domain": {"id": "d"}}).json()["token"]["domain"] == {"id": "d"}
    assert login(url, scope={"project": {"id": "not-hex"}}).status == 401


@pytest.mark.parametrize("who", [{"password": "wrong"}, {"user": "nobody"}, {"user": "nobody", "password": ""}])
def test_a_wrong_user_or_password_is_refused_in_the_same_words(url: str, who: dict[str, str]) -> None:
    answer = login(url, **who)
    assert answer.status == 401
    wrong = {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}
    assert answer.json() == {"error": wrong}


@pytest.mark.parametrize(
    "body",
    [
        "not JSON",
        "[" * 100_000,
        [],
        {},
        {"auth": {"identity": {"methods": ["token"]}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": 7}}}},
        {"auth": {"identity": {"methods": ["password", "totp"]}}},
        {"auth": {"identity": {"methods": ["password"]}}},
        auth(name=7),
        auth(password=None),
        auth(domain={}),
        auth(domain={"id": 7}),
        auth(domain="d"),
        {"auth": {**auth()["auth"], "scope": {}}},
        {"auth": {**auth()["auth"], "scope": "project"}},
        {"auth": {**auth()["auth"], "scope": {"project": {"id": 7}}}},
    ],
    ids=range(16),
)
def test_a_body_of_another_form_is_a_bad_request(url: str, body: Any) -> None:
    answer = post(url, body)
    assert (answer.status, answer.json()["error"]["title"]) == (400, "Bad Request")


def test_a_password_that_is_no_text_at_all_is_wrong(url: str) -> None:
    assert post(url, auth(password="\ud800")).status == 401


def test_only_json_only_post_and_only_here(url: str) -> None:
    assert post(url, auth(), {"Content-Type": "text/plain"}).status == 400
    assert call(url, "GET", "/v3/auth/tokens").status == 405
    assert call(url, "GET", "/v3/auth/projects").status == 404


def by_token(url: str, value: str) -> Answer:
    scope = {"project": {"id": PROJECT}}
    return post(url, {"auth": {"identity": {"methods": ["token"], "token": {"id": value}}, "scope": scope}})


def test_a_token_logs_in_to_another_scope_and_lives_no_longer(url: str, clock: Clock) -> None:
    first = login(url, scope=None)
    clock.now += 3600
    second = by_token(url, first.headers["x-subject-token"])
    assert second.status == 201
    token = second.json()["token"]
    assert (token["project"]["id"], token["user"]["name"]) == (PROJECT, USER)
    assert token["expires_at"] == first.json()["token"]["expires_at"]


def test_a_token_that_is_unknown_or_has_expired_does_not_log_in(url: str, clock: Clock) -> None:
    assert by_token(url, "MIIunknown").status == 401
    value = login(url).headers["x-subject-token"]
    clock.now += 24 * 3600
    assert by_token(url, value).status == 401


@pytest.mark.parametrize("headers", [JSON, {**JSON, "X-Idp-Id": ""}])
def test_an_id_token_needs_its_provider(url: str, headers: dict[str, str]) -> None:
    body = json.dumps({"auth": {"id_token": {"id": "x"}}})
    assert call(url, "POST", "/v3.0/OS-AUTH/id-token/tokens", headers, body).status == 400
