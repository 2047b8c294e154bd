"""A real JupyterHub with its proxy, the block of `hub-config`, and two users' servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import HEADER
from jupyter_tokens.sandbox import Sandbox

from ..hearing import free_port
from .test_command import run

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore::ResourceWarning")]
ALICE_AND_BOB = {"alice": "physics", "bob": "chemistry"}
ADMIN = "hub-t0ken-of-the-tests-0123456789"


def environments() -> Iterator[dict[str, str]]:
    """Of all processes that this one may look at."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            yield process.environ()


class RealHub:
    """python, python_path : what runs users' servers and the service, and where it finds packages.

    service_user : as whom the service runs. users : with their groups. more : configuration. external : whether the
    hub leaves it to others to start the service, on port `service_port` and with the configuration in `service_config`.
    """

    def __init__(
        self,
        folder: Path,
        sandbox: Sandbox,
        *,
        python: str = sys.executable,
        python_path: str = "",
        service_user: str | None = None,
        users: Mapping[str, str] = ALICE_AND_BOB,
        more: str = "",
        external: bool = False,
    ) -> None:
        self.folder = folder
        self.service_port = free_port()
        self.url, self.hub, proxy = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
        service = f"http://127.0.0.1:{self.service_port}"
        self.told = f"{service}/services/jupyter-tokens"
        self.service = f"{self.told}/v1"
        self.service_config = config = folder / "service"
        config.mkdir(mode=0o700)
        settings = {
            "TokenProfiles": {"profiles": {"shared": sandbox.profiles(config)["oneaccess"]}},
            "TokenService": {"grants": {"shared": {"groups": ["physics"]}}, "cache_max_age": 2},
        }
        file = config / "jupyter_tokens_config.json"
        file.write_text(json.dumps(settings))
        file.chmod(0o600)
        block = run("hub-config", "--url", service, *(["--external"] if external else [])).stdout
        runs_as = "" if service_user is None else f'    "user": "{service_user}",\n'
        block = block.replace("/etc/jupyter-tokens", str(config)).replace('    "user": "jupyter-tokens",\n', runs_as)
        block = block.replace(sys.executable, python)
        if python_path:
            block = block.replace('{"JUPYTER_CONFIG_DIR"', f'{{"PYTHONPATH": "{python_path}", "JUPYTER_CONFIG_DIR"')
            more += f'c.Spawner.environment.update({{"PYTHONPATH": "{python_path}"}})\n'
        groups = {
            group: {"users": [name for name in users if users[name] == group]} for group in users.values() if group
        }
        self.config = folder / "jupyterhub_config.py"
        self.config.write_text(f"""
c.JupyterHub.bind_url = {self.url!r}
c.JupyterHub.hub_bind_url = {self.hub!r}
c.ConfigurableHTTPProxy.api_url = {proxy!r}
c.ConfigurableHTTPProxy.should_start = True
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.SimpleLocalProcessSpawner.home_dir_template = {str(folder)!r} + "/home/{{username}}"
c.JupyterHub.load_groups = {groups!r}
c.JupyterHub.services.append({{"name": "tests", "api_token": {ADMIN!r}}})
c.JupyterHub.load_roles.append({{"name": "tests", "services": ["tests"],
    "scopes": ["admin:users", "admin:servers", "admin:groups", "access:servers"]}})
{block}
{more}
""")
        self.api = httpx.Client(base_url=self.url, headers={"Authorization": f"token {ADMIN}"}, timeout=60)
        self.process: subprocess.Popen[bytes] | None = None
        self._left: list[psutil.Process] = []

    def begin(self) -> None:
        """Starts the hub, and waits until it answers."""
        paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
        command = [sys.executable, "-m", "jupyterhub", "-f", str(self.config)]
        env = {**os.environ, "PATH": os.pathsep.join(paths)}
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log)
        self.until(lambda: self.api.get("/hub/api/users").status_code == 200)

    def kill(self) -> None:
        """Ends the hub as a crash does: its proxy, its users' servers and its service are left alone."""
        assert self.process is not None
        self._left += psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Has the hub end all that it has started."""
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            self._left += psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            for child in self._left:
                if child.is_running():
                    child.kill()

    def until(self, ask: Any, seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := ask():
                    return found
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.2)

    def prefix(self, user: str, server: str = "") -> str:
        """The path of a user's server."""
        return f"/user/{user}/{server}/" if server else f"/user/{user}/"

    def starts(self, user: str, server: str = "") -> str:
        """Start a user's server, by its name if it has one; returns its hub token."""
        route = f"/hub/api/users/{user}/servers/{server}" if server else f"/hub/api/users/{user}/server"
        assert self.api.post(route).status_code in {201, 202}
        prefix = self.prefix(user, server)
        self.until(lambda: self.api.get(f"{prefix}api/status").status_code == 200, 180)
        for told in environments():
            if told.get("JUPYTERHUB_SERVICE_PREFIX") == prefix and told.get("JUPYTER_TOKENS_SERVICE_URL") == self.told:
                return told["JUPYTERHUB_API_TOKEN"]
        raise AssertionError("no process of the server")

    def asks(self, token: str) -> httpx.Response:
        shown = {"Authorization": f"token {token}"}
        return httpx.post(f"{self.service}/token", headers=shown, json={"profile": "shared"}, timeout=60)


@contextmanager
def running_hub(made: RealHub) -> Iterator[RealHub]:
    try:
        made.begin()
        yield made
    finally:
        made.end()
        made.api.close()


@contextmanager
def hub_with_a_login(folder: Path, sandbox: Sandbox, more: str = "") -> Iterator[RealHub]:
    """Alice's server runs, and she has a profile `mine`, with which she can log in."""
    made = RealHub(folder, sandbox, more=more)
    config = folder / "home" / "alice" / ".jupyter"
    config.mkdir(mode=0o700, parents=True)
    file = config / "jupyter_tokens_config.json"
    file.write_text(json.dumps({"TokenProfiles": {"profiles": {"mine": sandbox.neighbours(config)["openid"]}}}))
    file.chmod(0o600)
    with running_hub(made):
        made.api.post("/hub/api/users/alice")
        made.starts("alice")
        yield made


@pytest.fixture
def real_hub(tmp_path: Path, sandbox: Sandbox) -> Iterator[RealHub]:
    with running_hub(RealHub(tmp_path, sandbox)) as made:
        yield made


def page(real_hub: RealHub, user: str) -> tuple[httpx.Client, str]:
    """The page as a user sees it who logs in at the hub, by a browser's redirects through the proxy."""
    navigates = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "User-Agent": "tests"}
    browser = httpx.Client(base_url=real_hub.url, headers=navigates, follow_redirects=True, timeout=60)
    form = browser.get("/services/jupyter-tokens/")
    assert form.url.path == "/hub/login"
    xsrf = re.findall(r'name="_xsrf"\s+value="([^"]+)"', form.text)[0]
    sent = {"username": user, "password": "any", "_xsrf": xsrf}
    answer = browser.post("/hub/login", params=form.url.params, data=sent)
    assert (answer.status_code, answer.url.path) == (200, "/services/jupyter-tokens/")
    return browser, answer.text


def test_who_gets_what_of_a_real_hub(real_hub: RealHub, sandbox: Sandbox) -> None:
    for user in ("alice", "bob"):
        real_hub.api.post(f"/hub/api/users/{user}")
    alice, bob = real_hub.starts("alice"), real_hub.starts("bob")
    # By the user's own server, and past it: what its hub token is good for.
    route = "jupyter-tokens/profiles/shared/token"
    assert real_hub.api.post(f"/user/alice/{route}", json={}).status_code == 200
    assert real_hub.api.post(f"/user/bob/{route}", json={}).status_code == 404
    assert real_hub.asks(alice).status_code == 200
    assert real_hub.asks(bob).json()["reason"] == "not_granted"
    assert sandbox.requests["oneaccess"] == 1
    # The page, with a handle that is revoked there.
    handle = Handle.new("shared", {})
    facts = {"id": handle.id, "key": handle.key.hex(), "profile": "shared"}
    shown = {"Authorization": f"token {alice}"}
    assert httpx.post(f"{real_hub.service}/handles", headers=shown, json=facts, timeout=60).status_code == 200
    mine, text = page(real_hub, "alice")
    others, nothing = page(real_hub, "bob")
    with closing(mine), closing(others):
        assert "shared" in text
        assert handle.id in text
        assert handle.id not in nothing
        assert alice not in text
        xsrf = re.findall(r'name="_xsrf" value="([^"]+)"', text)[0]
        left = mine.post("/services/jupyter-tokens/", data={"revoke": handle.id, "_xsrf": xsrf})
        assert left.status_code == 200
        assert "revoked" in left.text
    proof = {HEADER: handle.prove("token", b"{}", time=int(time.time()), nonce=handle.id)}
    refused = httpx.post(f"{real_hub.service}/handles/{handle.id}/token", headers=proof, content=b"{}", timeout=60)
    assert "revoked" in refused.json()["message"]
    # Out of the group.
    left = real_hub.api.request("DELETE", "/hub/api/groups/physics/users", json={"users": ["alice"]})
    assert left.status_code == 200
    real_hub.until(lambda: real_hub.asks(alice).status_code == 403, 30)
    real_hub.until(lambda: real_hub.api.post(f"/user/alice/{route}", json={}).status_code in {403, 404}, 30)
    # A stopped server's token.
    real_hub.api.request("DELETE", "/hub/api/users/bob/server")
    real_hub.until(lambda: real_hub.asks(bob).json()["reason"] == "token", 60)
