"""Huawei Cloud's and T Cloud's credentials."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jupyter_tokens.credentials.huawei import IamLogin, IamToken, access_key, expiry_of, login_request
from jupyter_tokens.token import Secret

from ..doubles import CANARY, NOW, Clock, vector


def login(endpoint: str = "https://iam.example.com") -> IamLogin:
    return IamLogin(endpoint, "user_name", Secret("user_password"), "domain_name")


def test_a_given_key() -> None:
    secrets = {"access_key": Secret("AKID"), "secret_key": Secret("s")}
    key = access_key(secrets)
    assert (key.id, key.secret.reveal(), key.security_token) == ("AKID", "s", None)
    temporary = access_key({**secrets, "security_token": Secret("t")})
    assert temporary.security_token is not None
    assert temporary.security_token.reveal() == "t"


@pytest.mark.parametrize("end", ["", "/", "/v3", "/v3/"])
def test_the_login_goes_to_keystone_whichever_way_the_endpoint_is_written(end: str) -> None:
    request = login_request(login(f"https://iam.example.com{end}"), "p", {"User-Agent": "me"})
    assert request.headers["user-agent"] == "me"
    assert (request.method, str(request.url)) == ("POST", "https://iam.example.com/v3/auth/tokens")


def test_the_login_is_the_recorded_one_but_for_its_scope() -> None:
    body = json.loads(login_request(login(), "project", {}).content)
    recorded = json.loads(vector("otc_iam_token")["request"]["body_text"])
    assert body["auth"]["identity"] == recorded["auth"]["identity"]
    assert body["auth"]["scope"] == {"project": {"id": "project"}}
    assert login_request(login(), "p", {}).headers["content-type"] == "application/json"


def test_a_cached_token_serves_until_a_minute_before_its_end() -> None:
    clock, held = Clock(), login()
    assert held.cached("p", clock) is None
    held.tokens["p"] = IamToken(Secret("t"), NOW + 61)
    assert held.cached("p", clock) is held.tokens["p"]
    assert held.cached("other", clock) is None
    clock.advance(1)
    assert held.cached("p", clock) is None


def test_the_same_login_is_known_by_all_that_it_says() -> None:
    assert login().same_as(login())
    for change in ({"endpoint": "x"}, {"username": "x"}, {"password": Secret("x")}, {"domain_name": "x"}):
        assert not login().same_as(replace(login(), **change))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-15T08:30:00.000000Z", NOW),
        ("2026-01-15T08:30:00Z", NOW),
        ("2026-01-15T08:30:00", NOW),
        ("2026-01-15T10:30:00+02:00", NOW),
    ],
)
def test_expires_at_is_utc_unless_it_says_otherwise(text: str, seconds: float) -> None:
    assert expiry_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00:00Z"])
def test_expires_at_that_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        expiry_of(text)


def test_nothing_shows_a_secret() -> None:
    held = replace(login(), password=Secret(CANARY))
    held.tokens["p"] = IamToken(Secret(CANARY), NOW)
    shown = [held, held.tokens, held.tokens["p"], dir(held)]
    assert CANARY not in repr(shown) + f"{held}" + json.dumps(shown, default=str)
