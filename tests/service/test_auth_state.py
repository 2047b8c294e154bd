"""A real JupyterHub whose users log in by OAuth to the sandbox's OpenID provider: `jupyterhub` reads the token.

The hub has no proxy, which only `make test-scale` installs: nobody opens a server here, and the hub answers by itself.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import Forbidden, LoginNeeded
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sources.local import LocalSource

from ..hearing import free_port
from ..person import Person
from .test_real_hub import ADMIN

SECONDS = 120
CONFIG = """
from jupyterhub.proxy import Proxy

class NoProxy(Proxy):
    should_start = False
    async def add_route(self, routespec, target, data): ...
    async def delete_route(self, routespec): ...
    async def get_all_routes(self): return {{}}

scopes = ["read:users:name!user", "admin:auth_state!user"]
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = {elsewhere!r}
c.JupyterHub.hub_bind_url = {url!r}
c.JupyterHub.authenticator_class = "generic-oauth"
c.Authenticator.enable_auth_state = True
c.Authenticator.allow_all = True
# Every second, in place of every 5 minutes.
c.Authenticator.auth_refresh_age = 1
c.OAuthenticator.client_id, c.OAuthenticator.client_secret = {client!r}
c.OAuthenticator.oauth_callback_url = {url!r} + "/hub/oauth_callback"
c.OAuthenticator.authorize_url = {issuer!r} + "/authorize"
c.OAuthenticator.token_url = {issuer!r} + "/token"
c.OAuthenticator.userdata_url = {issuer!r} + "/userinfo"
c.OAuthenticator.username_claim = "preferred_username"
c.OAuthenticator.scope = ["openid", "profile", "offline_access"]
c.OAuthenticator.extra_authorize_params = {{"prompt": "consent"}}
c.JupyterHub.services = [{{"name": "tests", "api_token": {admin!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "user", "scopes": ["self", *scopes]}},
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "tokens"]}},
]
"""


@pytest.fixture
def hub(tmp_path: Path, sandbox: Sandbox) -> Iterator[httpx.Client]:
    url, elsewhere = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    config, log = tmp_path / "jupyterhub_config.py", tmp_path / "hub.log"
    client = next(iter(sandbox.accounts.openid.items()))
    config.write_text(
        CONFIG.format(url=url, elsewhere=elsewhere, client=client, issuer=f"{sandbox.url}/openid", admin=ADMIN)
    )
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=tmp_path,
            env={**os.environ, "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32)},
            stdout=told,
            stderr=told,
        )
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"token {ADMIN}"}, timeout=60) as api:
            deadline = time.monotonic() + SECONDS
            while not _answers(api):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield api
    finally:
        process.terminate()
        process.wait(SECONDS)


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/hub/api/users").status_code == 200
    except httpx.TransportError:
        return False


def test_the_token_of_a_real_login_to_a_real_hub(
    hub: httpx.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person()
    begun = person.open(f"{hub.base_url}/hub/oauth_login".replace("//hub", "/hub"))
    back = person.open(person.log_in(begun.headers["Location"]))
    assert back.status == 302, back.text

    def server(*scopes: str, user: str = "demo") -> str:
        made = hub.post(f"/hub/api/users/{user}/tokens", json={"scopes": scopes})
        assert made.status_code == 201, made.text
        return str(made.json()["token"])

    monkeypatch.setenv("JUPYTERHUB_API_URL", f"{str(hub.base_url).rstrip('/')}/hub/api")
    monkeypatch.setenv("JUPYTERHUB_USER", "demo")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", server("read:users:name!user", "admin:auth_state!user"))
    with closing(LocalSource(Profiles.from_settings({"hub": {"provider": "jupyterhub"}}))) as source:
        key = source.key("hub")
        first = source.get(key).reveal()
        assert sandbox.issued[first].subject["sub"] == "demo-0001"
        # The hub renews it once it no longer works. No call of the sandbox ends an access token alone.
        del sandbox.issued[first]  # type: ignore[attr-defined]
        deadline = time.monotonic() + SECONDS
        while (second := source.fetch(key).reveal()) == first:
            assert time.monotonic() < deadline
        assert sandbox.issued[second].subject["sub"] == "demo-0001"
        # Without the scope.
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", server("read:users:name!user"))
        with pytest.raises(Forbidden):
            source.fetch(key)
        # Somebody who has not logged in by OAuth.
        assert hub.post("/hub/api/users/other").status_code == 201
        monkeypatch.setenv("JUPYTERHUB_USER", "other")
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", server("admin:auth_state!user", user="other"))
        with pytest.raises(LoginNeeded):
            source.fetch(key)
