"""Where it all happens: folders that nothing else uses, a server with a password login, and the secrets of the run."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_server.auth.security import passwd

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Accounts

from ..hearing import free_port
from ..labextension.served import DEADLINE, Served, environment
from .places import CLIENT
from .traces import Trace
from .vendors import Vendors

OWN = ("literal", "command", "start", "typed", "stored", "removed", "given", "edited", "panel")
"""Profiles of OneAccess with a client and a secret of their own, by how they come by it."""

# Not the server's own records alone: those of all libraries.
_SERVER = """\
import logging
logging.basicConfig(level=logging.DEBUG)
c = get_config()
c.EventLogger.handlers = [logging.FileHandler({events!r})]
"""
# A kernel's own log, as with `--debug`, and those of all libraries in it. They go into files, for otherwise they are in
# the server's log. What a cell logs itself, with the root logger, is the user's own doing.
_KERNEL = """\
import logging
_own = get_ipython().kernel.parent.log
_own.addHandler(logging.FileHandler({own!r}))
_others = logging.FileHandler({others!r})
_others.addFilter(lambda record: record.name not in ("root", _own.name))
logging.root.addHandler(_others)
for _each in (_own, logging.root):
    _each.setLevel(logging.DEBUG)
"""


def _secret(name: str) -> str:
    """One with all that JSON, URLs, HTML and base64 write otherwise."""
    return f'c4n4ry "{name}" & <{secrets.token_hex(8)}>/+=\\%'


@dataclass
class House:
    """folder : everything is below it. made : the secrets of the run, by whose each is.

    work : what the server serves, and where it runs. secrets : files of mode 0600, as an administrator lays them down.
    profile : the browser's.
    """

    folder: Path
    made: dict[str, str] = field(default_factory=dict, repr=False)
    traces: list[Trace] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.home, self.work, self.secrets = self.folder / "home", self.folder / "work", self.folder / "secrets"
        self.logs, self.profile = self.folder / "logs", self.folder / "browser"
        for path in (self.home, self.work, self.secrets, self.logs, self.home / "tmp"):
            path.mkdir(mode=0o700)
        self.variables = {
            **{name: it for name, it in environment(self.home).items() if name != "PYTEST_CURRENT_TEST"},
            "TMPDIR": str(self.home / "tmp"),
            "JUPYTER_CONFIG_PATH": "",
            "SHELL": "/bin/bash",
        }
        names = ("alibaba", "huawei", "iam", "oneaccess", "astra", "wrong", "mistyped", "login", *OWN)
        self.made = {name: _secret(name) for name in names}
        # What Astra calls an API token is a header as it is.
        self.made["astra"] = f"c4n4ry.{secrets.token_urlsafe(24)}"

    def accounts(self) -> Accounts:
        made = self.made
        return Accounts(
            alibaba={"LTAI5tEverything": made["alibaba"]},
            huawei={"HWEVERYTHING": made["huawei"]},
            iam={"everyone": made["iam"]},
            oneaccess={"client": made["oneaccess"], **{f"client-{name}": made[name] for name in OWN}},
            astra=[made["astra"]],
        )

    def note(self, kind: str, name: str, text: str | bytes) -> None:
        """Keeps what left a process for the search."""
        self.traces.append(Trace(kind, name, text.encode() if isinstance(text, str) else text))

    def configure(self, vendors: Vendors) -> None:
        """Writes the profiles, and how server and kernels log."""
        client = {"provider": "oneaccess", "endpoint": vendors.url}
        profiles = vendors.profiles(self.secrets)
        written = {
            **profiles,
            "openid": vendors.openid(self.secrets),
            "device": {**vendors.openid(self.secrets), "grant": "device_code"},
            "wrong": {**client, "client_id": "client", "client_secret": self._file("wrong"), "env": "WRONG_TOKEN"},
            "iam": {
                **{name: it for name, it in profiles["modelarts"].items() if name not in {"access_key", "secret_key"}},
                "iam_endpoint": vendors.url,
                "username": "everyone",
                "password": self._file("iam"),
                "domain_name": "sandbox",
                "env": "IAM_TOKEN",
            },
            "short": {**profiles["pai-dlc"], "params": {"ExpireTime": 5}, "env": "SHORT_TOKEN"},
            "literal": {**client, "client_id": "client-literal", "client_secret": self.made["literal"]},
            "command": {
                **client,
                "client_id": "client-command",
                "client_secret": f"command:cat {self._file('command').removeprefix('file:')}",
            },
            "start": {
                **client,
                "client_id": "client-start",
                "client_secret": self._file("start"),
                "env": "START_TOKEN",
                "inject_at_start": True,
            },
        }
        config = self.home / "config"
        write_config(config, written)
        (config / "jupyter_server_config.py").write_text(_SERVER.format(events=str(self.logs / "events.log")))
        startup = self.home / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        logs = {"own": str(self.logs / "ipykernel.log"), "others": str(self.logs / "libraries.log")}
        (startup / "log.py").write_text(_KERNEL.format(**logs))
        for plugin, values in _SETTINGS.items():
            file = config / "lab" / "user-settings" / "@{}.jupyterlab-settings".format(plugin.replace(":", "/"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))

    def _file(self, name: str) -> str:
        path = self.secrets / name
        path.touch(mode=0o600)
        path.write_text(self.made[name], encoding="utf-8")
        return f"file:{path}"


_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")
_SETTINGS: Mapping[str, Any] = {
    "jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # What the browser knows of a widget goes into the file.
    "jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
}


class Server(Served):
    """JupyterLab, and someone who is logged in with a password and keeps every answer."""

    token = ""

    def __init__(self, house: House, vendors: Vendors) -> None:
        port = free_port()
        options = {
            "ServerApp.port_retries": 0,
            "ServerApp.base_url": "/team/",
            "ServerApp.root_dir": house.work,
            "PasswordIdentityProvider.hashed_password": passwd(house.made["login"], "sha1"),
            "TokensExtension.allow_edit": True,
            "TokensExtension.scan_on_save": "redact",
        }
        flags = ("--no-browser", "--expose-app-in-browser", "--allow-root", "--debug", f"--port={port}")
        command = [sys.executable, "-m", "jupyterlab", *flags, *(f"--{name}={it}" for name, it in options.items())]
        sandbox: Any = vendors
        super().__init__(f"http://127.0.0.1:{port}/team", house.work, house.home, sandbox, command)
        self._house = house
        self._user = httpx.Client(timeout=DEADLINE, trust_env=False)

    def ask(self, method: str, path: str, body: Any = None, *, note: str = "", **headers: str) -> httpx.Response:
        """note : what sets this call apart from others to the same path."""
        if "_xsrf" not in self._user.cookies:
            self._log_in()
        url = f"{self.url}/{path}"
        content = None if body is None else json.dumps(body).encode()
        sent = {"X-XSRFToken": self._user.cookies["_xsrf"], **headers}
        answer = self._user.request(method, url, content=content, headers=sent)
        self.keep(answer, note)
        return answer

    def keep(self, answer: httpx.Response, note: str = "") -> None:
        """An answer, and the address that was asked: all but the body of a request, which is its sender's."""
        name = f"{answer.request.method} {plain(answer.request.url.path)}{note and f' ({note})'}"
        head = "\n".join(f"{key}: {value}" for key, value in answer.headers.multi_items())
        self._house.note(CLIENT, name, f"{answer.request.url}\n{head}\n\n".encode() + answer.content)

    def _log_in(self) -> None:
        self._user.get(f"{self.url}/login").raise_for_status()
        form = {"password": self._house.made["login"], "_xsrf": self._user.cookies["_xsrf"]}
        assert self._user.post(f"{self.url}/login", data=form).is_redirect

    @contextmanager
    def running(self) -> Iterator[Server]:
        with pytest.MonkeyPatch.context() as patch:
            # Under pytest's own variable ipykernel does not watch the file descriptors.
            patch.delenv("PYTEST_CURRENT_TEST", raising=False)
            self.start()
        try:
            yield self
        finally:
            self.stop()
            self._user.close()


def plain(path: str) -> str:
    """A path without what is different in each run."""
    return _ID.sub("{id}", path.removeprefix("/team/"))
