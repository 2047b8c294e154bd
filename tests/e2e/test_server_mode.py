"""A real JupyterLab server with a password login, a real kernel, a sandbox: tokens by the kernel's own proof."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_server.auth.security import passwd

from jupyter_tokens._util.encodings import encoded_forms
from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Sandbox

from ..hearing import free_port, until_heard, until_listening

PASSWORD = "corr3ct-h0rse-b4ttery"
DEADLINE = 300


@dataclass
class Lab:
    """The server, and someone who is logged in."""

    url: str
    process: subprocess.Popen[str]
    user: httpx.Client

    def log_in(self) -> None:
        self.user.get(f"{self.url}/login").raise_for_status()
        form = {"password": PASSWORD, "_xsrf": self.user.cookies["_xsrf"]}
        assert self.user.post(f"{self.url}/login", data=form).status_code == 302

    def post(self, path: str, body: object) -> httpx.Response:
        return self.user.post(f"{self.url}/{path}", json=body, headers={"X-XSRFToken": self.user.cookies["_xsrf"]})


@contextmanager
def lab(tmp_path: Path, config: Path, *options: str) -> Iterator[Lab]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ServerApp.allow_root=True",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.base_url=/team/",
        f"--ServerApp.root_dir={tmp_path}",
        f"--PasswordIdentityProvider.hashed_password={passwd(PASSWORD, 'sha1')}",
        "--debug",
        *options,
    ]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": str(config)}
    # Beside the folder that is served.
    log = tmp_path.with_name(f"{tmp_path.name}.server.log")
    with log.open("w") as out, subprocess.Popen(command, env=environment, stderr=out, text=True) as process:
        try:
            until_listening(port, DEADLINE)
            with httpx.Client(timeout=DEADLINE) as user:
                yield Lab(f"http://127.0.0.1:{port}/team", process, user)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE)


@contextmanager
def kernel(lab: Lab) -> Iterator[BlockingKernelClient]:
    started = lab.post("api/kernels", {"name": "python3"})
    assert started.status_code == 201, started.text
    client = BlockingKernelClient()
    client.load_connection_file(str(Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"kernel-{started.json()['id']}.json"))
    # Not by its heartbeat, which on a busy machine is late before the kernel is up.
    client.start_channels(hb=False)
    try:
        until_heard(client, DEADLINE)
        yield client
    finally:
        client.stop_channels()


def run(client: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """Everything that a cell shows, as the messages' contents."""
    shown: list[dict[str, Any]] = []

    def keep(message: dict[str, Any]) -> None:
        shown.append({"kind": message["msg_type"], **message["content"]})

    client.execute_interactive(code, output_hook=keep, timeout=DEADLINE)
    return shown


def text(shown: list[dict[str, Any]]) -> str:
    return json.dumps(shown, ensure_ascii=False)


@pytest.fixture(autouse=True)
def _logs_tell_nothing(tmp_path: Path, sandbox: Sandbox) -> Iterator[None]:
    """The server's own log, at DEBUG, holds no secret and no token in any form."""
    yield
    values = {PASSWORD, *_secrets(sandbox), *sandbox.issued}
    forms = {form for value in values for form in encoded_forms(value)}
    told = tmp_path.with_name(f"{tmp_path.name}.server.log").read_text()
    assert "ServerApp" in told
    assert not {form for form in forms if form in told}


@pytest.fixture
def config(tmp_path: Path, sandbox: Sandbox) -> Path:
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    folder = tmp_path / "config"
    write_config(folder, sandbox.profiles(secrets))
    return folder


def test_a_notebooks_kernel_gets_tokens_by_its_own_proof_and_holds_no_login(
    tmp_path: Path, config: Path, sandbox: Sandbox
) -> None:
    with lab(tmp_path, config) as server:
        server.log_in()
        with kernel(server) as client:
            # The kernel's own configuration has no profile: only the server can have served.
            run(client, "import os; os.environ['JUPYTER_CONFIG_PATH'] = ''")
            run(client, "%load_ext jupyter_tokens")
            card = text(run(client, "%gettoken oneaccess"))
            assert "source: Jupyter server" in card
            assert "$ONEACCESS_TOKEN" in card
            assert "sandbox" in card
            program = (
                "import httpx\n"
                f"print(httpx.get('{sandbox.url}/api/v2/tenant/users',"
                " headers={'Authorization': 'Bearer ' + os.environ['ONEACCESS_TOKEN']}).status_code)"
            )
            assert "200" in text(run(client, program))
            for name in ("modelarts", "pai-dlc", "eiam", "astra"):
                assert "source: Jupyter server" in text(run(client, f"%gettoken {name}"))
            assert +sandbox.requests == Counter(("modelarts", "pai-dlc", "oneaccess", "astra", "eiam"))
            environment = text(run(client, "print(dict(os.environ))"))
            assert "JUPYTER_TOKENS_URL" in environment
            for secret in (PASSWORD, *_secrets(sandbox)):
                assert secret not in environment
            assert not re.search(r"[?&]token=|JUPYTER_TOKEN['\"]|JPY_API_TOKEN", environment)


def test_two_kernels_share_what_the_server_holds(tmp_path: Path, config: Path, sandbox: Sandbox) -> None:
    with lab(tmp_path, config) as server:
        server.log_in()
        for _ in range(2):
            with kernel(server) as client:
                shown = text(run(client, "from jupyter_tokens import get_token; print(get_token('oneaccess'))"))
                assert "<Token oneaccess …" in shown
        assert sandbox.requests["oneaccess"] == 1


def test_the_vendors_refusal_reaches_the_notebook_with_code_and_request_id(
    tmp_path: Path, config: Path, sandbox: Sandbox
) -> None:
    with lab(tmp_path, config) as server:
        server.log_in()
        with kernel(server) as client:
            run(client, "%load_ext jupyter_tokens")
            (shown,) = [
                content
                for content in run(client, "%gettoken modelarts instance_id=nobody")
                if content["kind"] == "error"
            ]
            lines = "\n".join(shown["traceback"])
            assert "The instance does not exist." in lines
            assert "ModelArts.6309" in lines
            assert "request id" in lines
            assert "Traceback" not in lines


def test_a_server_without_the_extension_is_fallen_back_from_and_the_card_says_so(tmp_path: Path, config: Path) -> None:
    switched_off = "--ServerApp.jpserver_extensions={'jupyter_tokens': False}"
    with lab(tmp_path, config, switched_off) as server:
        server.log_in()
        with kernel(server) as client:
            run(client, "%load_ext jupyter_tokens")
            assert "source: direct" in text(run(client, "%gettoken oneaccess"))


def _secrets(sandbox: Sandbox) -> list[str]:
    accounts = sandbox.accounts
    keyed = (accounts.alibaba, accounts.huawei, accounts.iam, accounts.oneaccess)
    return [secret for pairs in keyed for secret in pairs.values()] + list(accounts.astra)
