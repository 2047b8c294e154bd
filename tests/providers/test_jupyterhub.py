"""The token of the hub's login, from answers as JupyterHub 6.1 gives them; tests/service has a real hub."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from jupyter_tokens.errors import ConfigurationError, Forbidden, LoginNeeded, ResponseError, TokenError
from jupyter_tokens.providers.jupyterhub import REFRESH_SECONDS
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW, answer
from .conftest import Prepare

URL = "http://hub:8081/hub/api"
STATE = {
    "access_token": f"{CANARY}-access",
    "refresh_token": f"{CANARY}-refresh",
    "id_token": jwt.encode({"sub": "alice", "exp": NOW + 3600}, "k" * 32),
    "scope": ["openid", "email"],
    "token_response": {"access_token": f"{CANARY}-access", "expires_in": 3600, "token_type": "Bearer"},
    "oauth_user": {"preferred_username": "alice"},
}
USER = {"kind": "user", "name": "alice", "admin": False, "auth_state": STATE, "roles": ["user"]}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_URL", URL)
    monkeypatch.setenv("JUPYTERHUB_USER", "alice@acme")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", f"{CANARY}-server")


Ask = Callable[..., Token]


@pytest.fixture
def ask(prepared: Prepare) -> Ask:
    def ask(given: Any, status: int = 200, **settings: str) -> Token:
        (request,), token = prepared.fetch({"provider": "jupyterhub", **settings}, {}, answer(status, given))
        assert (request.method, str(request.url)) == ("GET", f"{URL}/users/alice%40acme")
        assert request.headers["Authorization"] == f"token {CANARY}-server"
        return token

    return ask


def test_an_access_token_is_read_again_after_a_while(ask: Ask) -> None:
    token = ask(USER)
    assert (token.reveal(), token.provider) == (f"{CANARY}-access", "jupyterhub")
    assert token.expires_at == token.obtained_at + timedelta(seconds=REFRESH_SECONDS)


def test_a_jwt_says_when_it_ends(ask: Ask) -> None:
    token = ask(USER, token="id_token")
    assert token.reveal() == STATE["id_token"]
    assert token.expires_at == token.obtained_at + timedelta(seconds=3600)


@pytest.mark.parametrize(
    ("status", "given", "kind", "hint"),
    [
        (200, {**USER, "auth_state": None}, LoginNeeded, "enable_auth_state"),
        (200, {**USER, "auth_state": {**STATE, "access_token": None}}, LoginNeeded, "enable_auth_state"),
        (
            200,
            {**USER, "auth_state": {"access_token": jwt.encode({"exp": NOW - 1}, "k" * 32)}},
            LoginNeeded,
            "in again",
        ),
        (200, {key: USER[key] for key in ("kind", "name")}, Forbidden, "admin:auth_state!user"),
        (200, {**USER, "auth_state": {"access_token": "a b"}}, ResponseError, ""),
        (200, [], ResponseError, ""),
        (401, {"status": 401, "message": "Unauthorized"}, Forbidden, "Restart your server"),
        (403, {"status": 403, "message": "Action is not authorized"}, Forbidden, "read:users:name!user"),
        (
            404,
            {"status": 404, "message": "No access to resources or resources not found"},
            Forbidden,
            "admin:auth_state",
        ),
        (503, {"status": 503, "message": "busy"}, TokenError, "later"),
    ],
)
def test_what_the_hub_may_say_instead(ask: Ask, status: int, given: Any, kind: type[TokenError], hint: str) -> None:
    with pytest.raises(kind) as caught:
        ask(given, status)
    assert hint in caught.value.hint
    assert CANARY not in str(caught.value) + repr(caught.value.to_dict())


@pytest.mark.parametrize("name", ["JUPYTERHUB_API_URL", "JUPYTERHUB_USER", "JUPYTERHUB_API_TOKEN"])
def test_elsewhere_there_is_no_hub(ask: Ask, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match="not part of a server that JupyterHub started"):
        ask(USER)


def test_a_hub_that_is_no_url(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_URL", "hub:8081")
    with pytest.raises(ConfigurationError, match="JUPYTERHUB_API_URL is not an http"):
        ask(USER)
