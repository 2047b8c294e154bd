"""Real processes are killed, or hang, in the middle of a session, and come back: nobody has to do anything."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import IO, Any
from uuid import uuid4

import httpx
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Accounts

from ..hearing import until_heard
from ..sampling import long

DEADLINE = 300
LOGIN = "t3st-login-of-a-user"

# What a cell calls to wait on a state of the session, which tells when it may have changed.
UNTIL = """
import hashlib, os, threading, time
from jupyter_tokens import get_token
from jupyter_tokens.kernel.session import get_session

session = get_session(get_ipython())

def until(seen):
    changed = threading.Event()
    end = session.watch(changed.set)
    while not seen():
        assert changed.wait(50)
        changed.clear()
    end()

def value():
    return os.environ["ONEACCESS_TOKEN"]

def hash_of_value():
    return hashlib.sha256(value().encode()).hexdigest()

def failed():
    return any(key.profile == "oneaccess" for key in session.failures.keys())

def row():
    return next(row for row in session.statuses() if row.profile == "oneaccess")

def seconds(work):
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
"""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here")


def steady_port() -> int:
    """One that no client's end of a connection takes while nobody listens there."""
    while True:
        with socket.socket() as tried:
            port = random.randint(20_000, 30_000)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Process:
    """Can be killed, or stopped, and goes on as it was. ready : reads what it tells until it is ready."""

    def __init__(self, command: list[str], ready: Callable[[IO[str]], None], **environment: str) -> None:
        self._command = [sys.executable, *command]
        self._environment = {**os.environ, **environment}
        self._ready = ready
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        try:
            self._ready(self._process.stdout)
        except BaseException:
            self._process.kill()
            raise
        # Nobody reads on: but it must not stand still when the pipe is full.
        self._drain = Thread(target=self._process.stdout.read)
        self._drain.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE)
        # Also what it has started has ended, or the pipe would still be open.
        self._drain.join(DEADLINE)
        assert not self._drain.is_alive()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class Api(Process):
    """The sandbox, as everybody can start it."""

    def __init__(self, folder: Path, life: float) -> None:
        self.profiles: dict[str, Any] = {}
        self.url = ""
        file = folder / "accounts.json"
        file.write_text(json.dumps(asdict(Accounts.random())))
        options = [f"--port={steady_port()}", f"--accounts={file}", f"--life={life}"]
        # What a killed one leaves lies in a folder that goes.
        super().__init__(["-m", "jupyter_tokens.cli.app", "sandbox", *options], self._told, TMPDIR=str(folder))

    def _told(self, out: IO[str]) -> None:
        told = json.loads(out.readline())
        self.url, self.profiles = told["url"], told["profiles"]

    def requests(self) -> int:
        return int(httpx.get(f"{self.url}/_sandbox/requests").json()["oneaccess"])

    def knows(self, kernel: Kernel) -> bool:
        """Whether it takes what the kernel's variable holds, which the kernel itself would not tell."""
        kernel.run("import httpx")
        asked = f"httpx.get('{self.url}/_sandbox/whoami', headers={{'Authorization': 'Bearer ' + value()}})"
        return bool(kernel.ask(f"{asked}.json().get('api')") == "oneaccess")


class Server(Process):
    """A Jupyter server that also takes kernels which it has not started, by their connection files in a folder."""

    def __init__(self, folder: Path, config: Path) -> None:
        port = steady_port()
        self.url = f"http://127.0.0.1:{port}"
        self.kernels = folder / "external_kernels"
        self.kernels.mkdir(mode=0o700)
        command = [
            *("-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0"),
            *(f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={LOGIN}"),
            *("--ServerApp.allow_external_kernels=True", f"--ServerApp.external_connection_dir={self.kernels}"),
            "--ServerApp.jpserver_extensions={'jupyter_tokens': True, 'jupyterlab': False}",
        ]
        super().__init__(command, self._told, JUPYTER_CONFIG_PATH=str(config))

    def _told(self, out: IO[str]) -> None:
        assert any(" is running at:" in line for line in out)
        self.ask("GET", "status")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        login = {"Authorization": f"token {LOGIN}"}
        # It says that it runs before anybody can connect.
        with httpx.Client(headers=login, timeout=DEADLINE, transport=httpx.HTTPTransport(retries=8)) as user:
            return user.request(method, f"{self.url}/api/{path}", json=body).raise_for_status().json()


class Kernel:
    """A person before a notebook."""

    def __init__(self, file: str) -> None:
        self._client = BlockingKernelClient()
        self._client.load_connection_file(file)
        # Not by its heartbeat, which on a busy machine is late before the kernel is up.
        self._client.start_channels(hb=False)
        until_heard(self._client, DEADLINE)

    def close(self) -> None:
        self._client.stop_channels()

    def begin(self) -> str:
        self.run("%load_ext jupyter_tokens")
        self.run(UNTIL)
        return self.run("%gettoken oneaccess")

    def run(self, code: str) -> str:
        """All that a cell shows; the cell may fail."""
        shown: list[dict[str, Any]] = []
        self._client.execute_interactive(
            code, output_hook=lambda message: shown.append(message["content"]), timeout=DEADLINE
        )
        return json.dumps(shown, ensure_ascii=False)

    def ask(self, expression: str) -> Any:
        """The value of an expression; the cell must not fail."""
        reply = self._client.execute_interactive(
            "", user_expressions={"x": f"__import__('json').dumps({expression})"}, timeout=DEADLINE
        )
        answer = reply["content"]["user_expressions"]["x"]
        assert answer["status"] == "ok", answer
        return json.loads(eval(answer["data"]["text/plain"]))  # a repr of JSON


def of_the_server(kernel_id: str) -> Path:
    """The connection file of a kernel that a server has started."""
    return Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"kernel-{kernel_id}.json"


def notebook(file: Path) -> closing[Kernel]:
    return closing(Kernel(str(file)))


@pytest.fixture
def life() -> float:
    """Of a token, in real seconds: refreshed after nine and a half."""
    return 12.0


@pytest.fixture
def api(tmp_path: Path, life: float) -> Iterator[Api]:
    api = Api(tmp_path, life)
    yield api
    api.kill()


@pytest.fixture
def server(tmp_path: Path, api: Api) -> Iterator[Server]:
    write_config(tmp_path / "config", api.profiles)
    server = Server(tmp_path, tmp_path / "config")
    yield server
    server.kill()


@pytest.fixture
def kernel(server: Server) -> Iterator[Kernel]:
    """One that no server has started, and that therefore ends with none; it holds a token, and has no profiles."""
    file = server.kernels / f"kernel-{uuid4()}.json"
    write_connection_file(str(file), key=uuid4().hex.encode())
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", str(file)]
    environment = {**os.environ, "JUPYTER_TOKENS_URL": f"{server.url}/jupyter-tokens"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            with notebook(file) as kernel:
                assert "source: Jupyter server" in kernel.begin()
                kernel.run("first = value()")
                yield kernel
        finally:
            process.kill()


def recovers(kernel: Kernel, api: Api) -> None:
    """The variable gets a fresh token, which the API knows."""
    kernel.run("until(lambda: value() != first and not row().error)")
    assert kernel.ask("[value() != first, row().state]") == [True, "fresh"]
    assert api.knows(kernel)


def test_the_server_is_killed_and_comes_back(server: Server, kernel: Kernel, api: Api) -> None:
    server.kill()
    # What lives goes on being served, also past the client's own table.
    assert kernel.ask("get_token('oneaccess').reveal() == value() == first")
    listed = kernel.run("%tokens")
    assert "The Jupyter server is not available" in listed
    assert "Valid tokens are still used." in listed
    assert "$ONEACCESS_TOKEN" in listed
    assert "The Jupyter server is not available" not in kernel.run("%gettoken oneaccess")
    assert "ServerGone" in kernel.run("%gettoken eiam")
    # A refresh in the background fails: no cell does, and the one that runs then tells.
    told = kernel.run("until(failed)\nrow().state, type(row().error).__name__")
    assert "could not be kept fresh" in told
    assert "('aging', 'ServerGone')" in told
    assert "could not" not in kernel.run("1 + 1")
    server.start()
    recovers(kernel, api)
    listed = kernel.run("%tokens")
    assert "gone" not in listed
    assert "source: Jupyter server" in listed


@long
def test_the_server_hangs_and_goes_on(server: Server, kernel: Kernel, api: Api) -> None:
    server.stop()
    kernel.run("looked = seconds(lambda: get_ipython().run_line_magic('tokens', ''))")
    listed = kernel.run("%tokens")
    assert "The Jupyter server does not answer. Valid tokens are still used." in listed
    assert "$ONEACCESS_TOKEN" in listed
    assert kernel.ask("looked") < 20
    # What lives is served at once.
    assert kernel.ask("seconds(lambda: get_token('oneaccess'))") < 4
    assert kernel.ask("get_token('oneaccess').reveal() == value() == first")
    told = kernel.run("until(failed)\ntype(row().error).__name__")
    assert "could not be kept fresh" in told
    assert "TimedOut" in told
    server.go_on()
    recovers(kernel, api)
    listed = kernel.run("%tokens")
    assert "does not answer" not in listed
    assert "source: Jupyter server" in listed


@long
def test_the_api_is_killed_and_comes_back(server: Server, kernel: Kernel, api: Api) -> None:
    api.kill()
    assert kernel.ask("get_token('oneaccess').reveal() == value() == first")
    assert "fresh" in kernel.run("%tokens")
    told = kernel.run("until(failed)\ntype(row().error).__name__")
    assert "could not be kept fresh" in told
    assert "NetworkError" in told
    assert "source: Jupyter server" in kernel.run("%tokens")
    api.start()
    recovers(kernel, api)


@long
@pytest.mark.parametrize("life", [3600.0])
def test_a_kernel_of_the_servers_own_may_be_restarted_and_ends_with_its_server(server: Server, api: Api) -> None:
    known = server.ask("POST", "kernels", {"name": "python3"})["id"]
    with notebook(of_the_server(known)) as kernel:
        assert "source: Jupyter server" in kernel.begin()
        first = kernel.ask("[os.getpid(), hash_of_value()]")
    server.ask("POST", f"kernels/{known}/restart")
    with notebook(of_the_server(known)) as kernel:
        # The new process has the old one's id and key, and nothing else of it; the server still holds the token.
        kernel.run("import os")
        assert kernel.ask("os.environ.get('ONEACCESS_TOKEN')") is None
        assert "source: Jupyter server" in kernel.begin()
        again = kernel.ask("[os.getpid(), hash_of_value()]")
        assert [value != before for value, before in zip(again, first, strict=True)] == [True, False]
        assert api.requests() == 1
        # It waits until nobody has the server's output open any more: the kernel has, for as long as it runs.
        server.kill()
    server.start()
    assert server.ask("GET", "kernels") == []
    with notebook(of_the_server(server.ask("POST", "kernels", {"name": "python3"})["id"])) as kernel:
        assert "source: Jupyter server" in kernel.begin()
    assert api.requests() == 2
