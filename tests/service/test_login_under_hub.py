"""A person logs in as herself on her own server under a real hub, through the hub's proxy, by a browser's redirects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_tokens.sandbox import Sandbox

from ..person import Person
from .test_real_hub import RealHub, hub_with_a_login

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore::ResourceWarning")]


class Browser:
    """Alice's, logged in at the hub and at her server."""

    def __init__(self, hub: RealHub) -> None:
        self.hub = hub
        self.client = httpx.Client(base_url=hub.url, follow_redirects=True, timeout=60)
        form = self.client.get("/user/alice/tree", headers={"Sec-Fetch-Mode": "navigate"})
        assert form.url.path == "/hub/login"
        xsrf = re.findall(r'name="_xsrf"\s+value="([^"]+)"', form.text)[0]
        sent = {"username": "alice", "password": "any", "_xsrf": xsrf}
        answer = self.client.post("/hub/login", params=form.url.params, data=sent)
        assert answer.url.path.startswith("/user/alice/")

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        [xsrf] = [c.value for c in self.client.cookies.jar if c.name == "_xsrf" and c.path == "/user/alice/"]
        headers = {"X-XSRFToken": (xsrf or "").strip('"'), "Origin": self.hub.url}
        return self.client.request(method, f"/user/alice/jupyter-tokens/{path}", json=body, headers=headers)


@pytest.fixture
def hub(tmp_path: Path, sandbox: Sandbox) -> Iterator[RealHub]:
    with hub_with_a_login(tmp_path, sandbox) as made:
        yield made


def test_by_a_page_and_out_again(hub: RealHub) -> None:
    browser = Browser(hub)
    with closing(browser.client):
        needed = browser.ask("POST", "profiles/mine/token", {})
        assert needed.json()["reason"] == "login"
        begun = browser.ask("POST", "profiles/mine/login", {}).json()
        came_back = Person().log_in(begun["url"])
        # By the address that the browser knows, which is the proxy's.
        assert came_back.startswith(f"{hub.url}/user/alice/jupyter-tokens/login/callback?")
        page = browser.client.get(came_back, headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"})
        assert page.status_code == 200
        assert "demo" in page.text
        assert browser.ask("POST", "profiles/mine/token", {}).status_code == 200
        [entry] = [e for e in browser.ask("GET", "profiles").json()["profiles"] if e["name"] == "mine"]
        assert entry["login"]["who"] == "demo"
        assert browser.ask("DELETE", "profiles/mine/login").json() == {"was_logged_in": True, "revoked": True}
        assert browser.ask("POST", "profiles/mine/token", {}).json()["reason"] == "login"


def test_somebody_elses_browser_does_not_finish_it(hub: RealHub) -> None:
    browser = Browser(hub)
    with closing(browser.client):
        begun = browser.ask("POST", "profiles/mine/login", {}).json()
        came_back = Person().log_in(begun["url"])
        stranger = httpx.get(came_back, timeout=60)
        # The callback leads nowhere else, not even to a login.
        assert stranger.status_code == 403
        assert "location" not in stranger.headers
        assert browser.ask("POST", "profiles/mine/token", {}).json()["reason"] == "login"
