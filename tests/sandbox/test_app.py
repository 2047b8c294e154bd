"""Whose call is whose, and what all APIs share."""

from __future__ import annotations

import time

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sandbox.api import MAX_ISSUED, Issued, World

from .client import NOW, Clock, acs3, call, eiam, login, oneaccess
from .test_eiam import IDS
from .test_pai_dlc import claims


@pytest.mark.parametrize(
    ("method", "target", "headers", "api"),
    [
        ("GET", "/accounts/x", {}, "astra"),
        ("GET", "/api/v2/tenant/x", {}, "oneaccess"),
        ("POST", "/v3/auth/tokens", {}, "iam"),
        ("GET", "/api/v1/tokens", {}, "pai-dlc"),
        ("POST", "/", {}, "eiam"),
        ("POST", "/", {"x-acs-version": "2020-12-03"}, "pai-dlc"),
        ("GET", "/x", {"x-acs-version": "2021-12-01"}, "eiam"),
        ("GET", "/x", {"x-acs-action": "Other"}, "pai-dlc"),
        ("GET", "/v1/x", {}, "modelarts"),
        ("GET", "/x", {"Authorization": "SDK-HMAC-SHA256 x"}, "modelarts"),
    ],
)
def test_a_call_is_counted_for_the_api_it_is_meant_for(
    sandbox: Sandbox, method: str, target: str, headers: dict[str, str], api: str
) -> None:
    assert call(sandbox.url, method, target, headers).status >= 400
    assert {name for name, count in sandbox.requests.items() if count} == {api}


def test_what_is_nobodys_is_not_found_and_not_counted(sandbox: Sandbox) -> None:
    assert call(sandbox.url, "GET", "/favicon.ico").status == 404
    assert not sandbox.requests.total()


@pytest.mark.parametrize("target", ["/", "/api/v2/tenant/token", "/v1/x", "/accounts/x", "/api/v1/tokens"])
def test_who_only_looks_whether_it_is_there_is_answered_and_not_counted(sandbox: Sandbox, target: str) -> None:
    assert call(sandbox.url, "HEAD", target).status >= 400
    assert not sandbox.requests.total()


def test_two_sandboxes_know_nothing_of_each_other() -> None:
    with running() as one, running(Sandbox()) as other:
        client_id, secret = next(iter(one.accounts.oneaccess.items()))
        assert oneaccess(one.url, client_id=client_id, client_secret=secret).status == 200
        assert oneaccess(other.url, client_id=client_id, client_secret=secret).status == 400


def test_life_ends_tokens_earlier_and_none_later(accounts: Accounts, clock: Clock) -> None:
    with running(accounts=accounts, clock=clock, life=20) as sandbox:
        assert oneaccess(sandbox.url).json()["expires_in"] == 20
        assert login(sandbox.url).json()["token"]["expires_at"] == "2026-01-15T08:30:20.000000Z"
        assert eiam(sandbox.url, IDS).json()["ApplicationToken"]["ExpirationTime"] == (NOW + 20) * 1000
        assert claims(acs3(sandbox.url))["exp"] == NOW + 20
        assert claims(acs3(sandbox.url, query={"ExpireTime": "5"}))["exp"] == NOW + 5


def test_a_sandbox_that_exists_takes_no_options() -> None:
    with pytest.raises(TypeError, match="life"), running(Sandbox(), life=5):
        pass


def test_the_oldest_issued_tokens_are_forgotten() -> None:
    world = World(Accounts.random(), time.time)
    for number in range(MAX_ISSUED + 1):
        world.issue(str(number), Issued("oneaccess", None))
    assert world.find("0") is None
    assert world.find("1") is not None
    assert world.find(str(MAX_ISSUED)) is not None
    assert str(MAX_ISSUED) not in repr(world)
