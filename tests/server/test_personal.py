"""Where profiles can be edited without anyone having switched it on, and what the form is told of the machine."""

from __future__ import annotations

from functools import partial
from typing import Any

import keyring
import pytest
from jupyter_server.auth import AllowAllAuthorizer, PasswordIdentityProvider
from keyring.core import load_keyring
from traitlets.config import Config

from ..doubles import CANARY
from .conftest import Call, told


async def may_edit(call: Call) -> bool:
    return bool(told(await call("GET", "profiles"))["may_edit"])


async def test_on_a_server_of_ones_own(call: Call, profiles: Any) -> None:
    assert await may_edit(call)


class Team(AllowAllAuthorizer):
    """An Authorizer of somebody's own."""


class Hub(PasswordIdentityProvider):
    """A login of somebody's own, such as JupyterHub's."""


ELSEWHERE = {
    "ServerApp.ip": "0.0.0.0",
    "ServerApp.authorizer_class": Team,
    "ServerApp.identity_provider_class": Hub,
    "TokensExtension.allow_edit": False,
}


class TestNotElsewhere:
    @pytest.fixture(params=ELSEWHERE)
    def jp_server_config(self, jp_server_config: Config, request: pytest.FixtureRequest) -> Config:
        owner, _, name = request.param.partition(".")
        jp_server_config[owner][name] = ELSEWHERE[request.param]
        return jp_server_config

    async def test_it_is_off(self, call: Call, profiles: Any) -> None:
        assert not await may_edit(call)


async def test_says_where_this_machine_keeps_secrets(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for backend, stores in (
        ("keyring.backends.fail.Keyring", ["file"]),
        ("keyrings.alt.file.PlaintextKeyring", ["keyring", "file"]),
        ("no.such.backend.Keyring", ["file"]),
    ):
        monkeypatch.setattr(keyring, "get_keyring", partial(load_keyring, backend))
        assert told(await call("GET", "providers"))["secret_stores"] == stores


async def test_lists_what_can_be_imported_by_name(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", CANARY)
    answer = await call("GET", "import")
    (one,) = [one for one in told(answer)["found"] if one["title"] == "ACME_API_KEY"]
    settings = {"provider": "static", "token": "env:ACME_API_KEY", "env": "ACME_API_KEY"}
    assert one == {"title": "ACME_API_KEY", "profile": "acme", "settings": settings}
    assert CANARY not in answer.body.decode()
    made = await call("PUT", "profiles/acme", one["settings"])
    assert made.code == 201
    assert told(await call("POST", "profiles/acme/token", {"reveal": True}))["value"] == CANARY
