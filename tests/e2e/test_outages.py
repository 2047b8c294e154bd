"""A real server and a real API go away in the middle of a session, and come back: nobody has to do anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Sandbox, running

from ..hearing import until_heard

DEADLINE = 60
LIFE = 15.0
"""Of a token, in real seconds: refreshed after twelve."""

# A Jupyter server that closes its door and its connections at SIGUSR1, and opens the door again at SIGUSR2. Its kernels
# live on meanwhile, as they would with a provisioner that keeps them apart from it.
SERVER = """
import asyncio, signal, sys
from jupyter_server.serverapp import ServerApp
from tornado.netutil import bind_sockets

app = ServerApp.instance()
app.initialize(sys.argv[1:])

async def close():
    app.http_server.stop()
    await app.http_server.close_all_connections()
    print("closed", flush=True)

async def open_again():
    app.http_server.add_sockets(bind_sockets(app.port, "127.0.0.1"))
    print("open", flush=True)

async def ready():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: asyncio.ensure_future(close()))
    loop.add_signal_handler(signal.SIGUSR2, lambda: asyncio.ensure_future(open_again()))
    print(f"http://127.0.0.1:{app.port}", flush=True)

app.io_loop.add_callback(lambda: app.io_loop.call_later(0, lambda: asyncio.ensure_future(ready())))
app.start()
"""

# What a cell calls to wait on a state of the session, which tells when it may have changed.
UNTIL = """
import os, threading
from jupyter_tokens import get_token
from jupyter_tokens.kernel.session import session_of

session = session_of(get_ipython())

def until(seen):
    changed = threading.Event()
    end = session.watch(changed.set)
    while not seen():
        assert changed.wait(50)
        changed.clear()
    end()

def value():
    return os.environ["ONEACCESS_TOKEN"]

def failed():
    return any(key.profile == "oneaccess" for key in session._errors)

def row():
    return next(row for row in session.statuses() if row.profile == "oneaccess")
"""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of another kind")


class Server:
    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def close(self) -> None:
        self._tell(signal.SIGUSR1, "closed")
        with pytest.raises(httpx.TransportError):
            httpx.get(self.url, timeout=DEADLINE)

    def open(self) -> None:
        self._tell(signal.SIGUSR2, "open")
        assert httpx.get(f"{self.url}/api", timeout=DEADLINE).status_code == 200

    def _tell(self, what: signal.Signals, answer: str) -> None:
        self.process.send_signal(what)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == answer


@contextmanager
def serving(folder: Path, config: Path) -> Iterator[Server]:
    command = [
        *(
            sys.executable,
            "-c",
            SERVER,
            "--ServerApp.allow_root=True",
            "--ServerApp.port=0",
            "--ServerApp.ip=127.0.0.1",
        ),
        *("--ServerApp.open_browser=False", f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=t3st-login"),
        *("--ServerApp.jpserver_extensions={'jupyter_tokens': True, 'jupyterlab': False}", "--log-level=ERROR"),
    ]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": str(config)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process, process.stdout.readline().strip())
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE)


class Kernel:
    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> str:
        """All that a cell shows; the cell may fail."""
        shown: list[dict[str, Any]] = []
        self._client.execute_interactive(
            code, output_hook=lambda message: shown.append(message["content"]), timeout=DEADLINE
        )
        return json.dumps(shown, ensure_ascii=False)

    def ask(self, expression: str) -> Any:
        """The value of an expression; the cell must not fail."""
        reply = self._client.execute("", user_expressions={"x": f"__import__('json').dumps({expression})"})
        answer = self._client._recv_reply(reply, timeout=DEADLINE)["content"]["user_expressions"]["x"]
        assert answer["status"] == "ok", answer
        return json.loads(eval(answer["data"]["text/plain"]))  # a repr of JSON


@contextmanager
def kernel(server: Server) -> Iterator[Kernel]:
    login = {"Authorization": "token t3st-login"}
    started = httpx.post(f"{server.url}/api/kernels", json={"name": "python3"}, headers=login, timeout=DEADLINE)
    assert started.status_code == 201, started.text
    client = BlockingKernelClient()
    client.load_connection_file(str(Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"kernel-{started.json()['id']}.json"))
    client.start_channels(hb=False)
    try:
        until_heard(client, DEADLINE)
        yield Kernel(client)
    finally:
        client.stop_channels()


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(life=LIFE)


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[ExitStack]:
    """What stops the sandbox when it is closed."""
    with ExitStack() as stack:
        stack.enter_context(running(sandbox))
        yield stack


@pytest.fixture
def session(tmp_path: Path, sandbox: Sandbox, api: ExitStack) -> Iterator[tuple[Server, Kernel]]:
    """A notebook that holds a token of its server's, and has no profiles of its own."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    write_config(tmp_path / "config", sandbox.profiles(secrets))
    with serving(tmp_path, tmp_path / "config") as server, kernel(server) as client:
        client.run("import os; os.environ['JUPYTER_CONFIG_PATH'] = ''")
        client.run("%load_ext jupyter_tokens")
        client.run(UNTIL)
        assert "served: server" in client.run("%gettoken oneaccess")
        yield server, client


def test_the_server_goes_and_comes_back(session: tuple[Server, Kernel], sandbox: Sandbox) -> None:
    server, kernel = session
    kernel.run("first = value()")
    server.close()
    # What lives goes on being served, also past the client's own table.
    assert kernel.ask("get_token('oneaccess').reveal() == value() == first")
    listed = kernel.run("%tokens")
    assert "The Jupyter server is gone" in listed
    assert "What still lives goes on being used." in listed
    assert "$ONEACCESS_TOKEN" in listed
    assert "The Jupyter server is gone" not in kernel.run("%gettoken oneaccess")
    assert "ServerGone" in kernel.run("%gettoken eiam")
    # A refresh in the background fails: no cell does, and the one that runs then tells.
    told = kernel.run("until(failed)\n1 + 1")
    assert "could not be kept fresh" in told
    assert '"2"' in told
    assert "could not" not in kernel.run("1 + 1")
    assert kernel.ask("[row().state, type(row().error).__name__]") == ["aging", "ServerGone"]
    server.open()
    kernel.run("until(lambda: value() != first)")
    kernel.run("until(lambda: not row().error)")
    assert kernel.ask("[value() != first, row().state]") == [True, "fresh"]
    listed = kernel.run("%tokens")
    assert "gone" not in listed
    assert "served: server" in listed
    asked = f"httpx.get('{sandbox.url}/_sandbox/whoami', headers={{'Authorization': 'Bearer ' + value()}})"
    kernel.run("import httpx")
    assert kernel.ask(f"{asked}.json()['api']") == "oneaccess"


def test_the_api_goes_and_comes_back(session: tuple[Server, Kernel], sandbox: Sandbox, api: ExitStack) -> None:
    _, kernel = session
    port = urlsplit(sandbox.url).port
    assert port is not None
    kernel.run("first = value()")
    api.close()
    assert kernel.ask("get_token('oneaccess').reveal() == value() == first")
    assert "fresh" in kernel.run("%tokens")
    assert "could not be kept fresh" in kernel.run("until(failed)")
    assert kernel.ask("type(row().error).__name__") == "NetworkError"
    assert "served: server" in kernel.run("%tokens")
    with running(sandbox, port=port):
        kernel.run("until(lambda: value() != first and not row().error)")
        assert kernel.ask("[value() != first, row().state]") == [True, "fresh"]
