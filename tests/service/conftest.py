"""The service on a real port, before a hub that tests own, and the sandbox behind it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.service.app import TokenService

from ..doubles import Clock
from ..leaks import Leaks
from ..server import conftest as of_server
from ..sources.conftest import redis_server  # noqa: F401 (a fixture)

PREFIX = "/services/jupyter-tokens/"
ACCESS = "access:services!service=jupyter-tokens"
SECRETS, sandbox = of_server.SECRETS, of_server.sandbox
ALICE, BOB, CAROL = "hub-t0ken-of-alice-0001", "hub-t0ken-of-bob-000002", "hub-t0ken-of-carol-00003"
ROOT, SERVICES_OWN = "hub-t0ken-of-an-admin-04", "hub-t0ken-of-the-service"
NARROW, SERVICE, PROMETHEUS = "hub-t0ken-without-scope", "hub-t0ken-of-a-service", "hub-t0ken-of-prometheus"


@contextmanager
def serving(application: web.Application, port: int = 0) -> Iterator[int]:
    """An application on a thread of its own; yields the port. Open connections are closed at the end."""
    ready, told = threading.Event(), []
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        server = HTTPServer(application)
        sockets = bind_sockets(port, "127.0.0.1")
        server.add_sockets(sockets)
        told.append(sockets[0].getsockname()[1])
        ready.set()
        await ending.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield told[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(30)
        loop.close()


def user(name: str, *groups: str, scopes: tuple[str, ...] = (), server: str | None = "") -> dict[str, Any]:
    """As JupyterHub describes the owner of a token."""
    of_server = [] if server is None else [f"access:servers!server={name}/{server}"]
    return {"kind": "user", "name": name, "groups": list(groups), "scopes": [ACCESS, *of_server, *scopes]}


@dataclass
class Hub:
    """Who has which token, and how often that was asked. codes : of logins, and the token that each is good for."""

    owners: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    status: int = 200
    hangs: bool = False
    port: int = 0

    def application(self) -> web.Application:
        hub = self

        class Whoami(web.RequestHandler):
            async def get(self) -> None:
                if hub.hangs:
                    await asyncio.Event().wait()
                token = self.request.headers["Authorization"].removeprefix("token ")
                hub.asked.append(token)
                owner = hub.owners.get(token)
                self.set_status(hub.status if hub.status != 200 else 200 if owner else 403)
                self.finish(json.dumps(owner or {"status": 403, "message": "Forbidden"}))

        class Exchange(web.RequestHandler):
            def post(self) -> None:
                assert self.get_body_argument("client_secret") == SERVICES_OWN
                assert self.get_body_argument("code_verifier")
                self.finish(json.dumps({"access_token": hub.codes.pop(self.get_body_argument("code"))}))

        return web.Application([(r"/hub/api/user", Whoami), (r"/hub/api/oauth2/token", Exchange)])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(
        {
            ALICE: user("alice", "physics"),
            BOB: user("bob", "chemistry", scopes=("custom:jupyter-tokens:use:pai-dlc",), server="big"),
            CAROL: user("carol"),
            ROOT: user("root", "admins"),
            NARROW: {"kind": "user", "name": "alice", "groups": ["physics"], "scopes": ["read:users:name!user=alice"]},
            SERVICE: {"kind": "service", "name": "cull", "scopes": [ACCESS]},
            PROMETHEUS: {"kind": "service", "name": "prometheus", "scopes": [ACCESS, "read:metrics"]},
        }
    )
    with serving(hub.application()) as port:
        hub.port = port
        monkeypatch.setenv("JUPYTERHUB_API_URL", f"http://127.0.0.1:{port}/hub/api")
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", SERVICES_OWN)
        yield hub


GRANTS = {
    "oneaccess": {"groups": ["physics"]},
    "pai-dlc": {"scopes": ["custom:jupyter-tokens:use:pai-dlc"]},
    "mine": {"groups": ["physics", "chemistry"]},
    "wrong": {"groups": ["physics"]},
}


@pytest.fixture
def profiles(sandbox: Sandbox, config_dir: Path) -> dict[str, Any]:
    """The sandbox's; one with a secret for each user; one that is wrong."""
    secrets = config_dir / "secrets"
    secrets.mkdir(mode=0o700)
    written: dict[str, Any] = dict(sandbox.profiles(secrets))
    for name in ("alice", "bob"):
        file = secrets / f"mine-{name}"
        file.write_text(SECRETS["oneaccess"])
        file.chmod(0o600)
    written["mine"] = {**written["oneaccess"], "client_secret": f"file:{secrets}/mine-{{user}}"}
    written["wrong"] = {"provider": "oneaccess", "endpoint": "ftp://nowhere"}
    write(config_dir, written, GRANTS)
    return written


def write(config_dir: Path, profiles: dict[str, Any], grants: dict[str, Any]) -> None:
    file = config_dir / "jupyter_tokens_config.json"
    settings = {"TokenProfiles": {"profiles": profiles}, "TokenService": {"grants": grants, "admin_groups": ["admins"]}}
    file.write_text(json.dumps(settings))
    file.chmod(0o600)


@pytest.fixture
def service(profiles: dict[str, Any], hub: Hub, clock: Clock) -> Iterator[TokenService]:
    service = TokenService.configured()
    # The sandbox checks when a request was signed.
    clock.wall = time.time()
    service.clock = clock
    yield service
    service.close()


class Browser:
    """Keeps cookies, and sends what a browser does."""

    def __init__(self, port: int, hub: Hub) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.hub = hub

    def get(self, path: str = "") -> httpx.Response:
        return self.client.get(PREFIX + path, headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"})

    def log_in(self, token: str) -> httpx.Response:
        """As the hub does it: a code for the browser, which the service exchanges."""
        to_hub = self.get()
        assert to_hub.status_code == 302
        asked = parse_qs(urlsplit(to_hub.headers["Location"]).query)
        assert asked["redirect_uri"] == [f"{PREFIX}oauth_callback"]
        self.hub.codes["c0de-of-a-login"] = token
        return self.get(f"oauth_callback?code=c0de-of-a-login&state={asked['state'][0]}")

    def page(self, token: str) -> str:
        assert self.log_in(token).headers["Location"] == PREFIX
        answer = self.get()
        assert answer.status_code == 200
        return answer.text

    def press(self, text: str, **form: str) -> httpx.Response:
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', text)
        headers = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
        return self.client.post(PREFIX, data={**form, **({"_xsrf": xsrf[1]} if xsrf else {})}, headers=headers)


@pytest.fixture
def application(service: TokenService) -> web.Application:
    return service.application(PREFIX)


@pytest.fixture
def port(application: web.Application) -> Iterator[int]:
    with serving(application) as port:
        yield port


@pytest.fixture
def browse(port: int, hub: Hub) -> Iterator[Callable[[], Browser]]:
    opened: list[Browser] = []

    def browse() -> Browser:
        opened.append(Browser(port, hub))
        return opened[-1]

    yield browse
    for browser in opened:
        browser.client.close()


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(port: int, leaks: Leaks) -> Iterator[Ask]:
    """Asks the service; the answer comes back whatever its status."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:

        def ask(method: str, path: str, token: str | None = None, body: Any = None, **options: Any) -> httpx.Response:
            headers = {**options.pop("headers", {}), **({} if token is None else {"Authorization": f"token {token}"})}
            content = None if body is None else json.dumps(body)
            answer = client.request(method, PREFIX + path, headers=headers, content=content, timeout=60, **options)
            assert answer.headers["Cache-Control"] == "no-store"
            if answer.status_code >= 400:
                leaks.told(f"body of {answer.status_code}", answer.text)
            return answer

        yield ask
