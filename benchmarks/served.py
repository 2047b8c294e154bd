"""A Jupyter server with the extension and, beside its routes, those that they are measured against.

`python -m benchmarks.served PORT`, with the profiles in Jupyter's configuration and the upstream in UPSTREAM.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

TOKEN = "benchmark"
_PATIENCE_SECONDS = 120


class Served(NamedTuple):
    """A running server. ready : seconds that it took to initialise, with what that imports. home : its home folder."""

    port: int
    ready: float
    home: Path


@contextmanager
def housed(profiles: dict[str, Any], **more: Any) -> Iterator[tuple[Path, dict[str, str]]]:
    """A home folder with profiles in its configuration, and the environment of a process that lives there."""
    with tempfile.TemporaryDirectory() as home:
        config = Path(home, "jupyter_tokens_config.json")
        config.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}, **more}))
        config.chmod(0o600)
        places = dict.fromkeys(("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"), home)
        yield Path(home), {**os.environ, **places}


def free_port() -> int:
    """A port for a server that binds it later."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def started(command: list[str], environment: dict[str, str], port: int) -> Iterator[subprocess.Popen[str]]:
    """A Jupyter server in a process of its own, as soon as it answers."""
    began = time.perf_counter()
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-m", *command], env=environment, **pipes) as server:
        try:
            while not _answers(port):
                if server.poll() is not None or time.perf_counter() - began > _PATIENCE_SECONDS:
                    raise RuntimeError("The server did not start.")
                time.sleep(0.01)
            yield server
        finally:
            # It has nothing to put in order, and a signal that comes while it starts it may miss.
            server.kill()


@contextmanager
def serving(upstream: str, profiles: dict[str, Any], *, extension: bool = True) -> Iterator[Served]:
    """The server of this module."""
    port = free_port()
    own = {"UPSTREAM": upstream, "EXTENSION": "1" if extension else "", "PYTHONWARNINGS": "ignore"}
    with (
        housed(profiles) as (home, environment),
        started([__name__, str(port)], environment | own, port) as server,
    ):
        assert server.stdout is not None
        yield Served(port, float(server.stdout.readline()), home)


@contextmanager
def telling(command: list[str], environment: dict[str, str] | None = None, errors: int | None = None) -> Iterator[str]:
    """The first line that a process prints, while it runs. errors : where its standard error goes."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": errors, "text": True}
    with subprocess.Popen([sys.executable, "-m", *command], env=environment, **pipes) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline()
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/api")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _main() -> None:
    # Where click is installed, as by tools of this environment, httpx also loads its command line: a third of the time.
    sys.modules["click"] = None  # type: ignore[assignment]
    import aiohttp
    from jupyter_server.auth.decorator import authorized
    from jupyter_server.base.handlers import APIHandler
    from jupyter_server.serverapp import ServerApp
    from tornado import web
    from traitlets.config import Config

    class Trivial(APIHandler):
        auth_resource = "benchmark"

        @web.authenticated
        @authorized
        async def post(self) -> None:
            self.finish('{"trivial": true}')

        get = post

    class Aiohttp(APIHandler):
        auth_resource = "benchmark"
        session: aiohttp.ClientSession | None = None

        @web.authenticated
        @authorized
        async def get(self, path: str) -> None:
            if Aiohttp.session is None:
                Aiohttp.session = aiohttp.ClientSession()
            url = f"{os.environ['UPSTREAM']}/{path}"
            headers = {"Authorization": "Bearer benchmark-token", "Accept": "application/json"}
            async with Aiohttp.session.get(url, headers=headers) as answer:
                self.set_status(answer.status)
                self.finish(await answer.read(), set_content_type=answer.headers["Content-Type"])

    options = {"port": int(sys.argv[1]), "port_retries": 0, "open_browser": False, "allow_root": True}
    given = {"root_dir": os.environ["HOME"], "log_level": logging.INFO}
    if os.environ["EXTENSION"]:
        given["jpserver_extensions"] = {"jupyter_tokens": True}
    app = ServerApp(config=Config(ServerApp={**options, **given}, IdentityProvider={"token": TOKEN}))
    # Without the extensions that happen to be installed.
    app.find_server_extensions = lambda: None
    began = time.perf_counter()
    app.initialize(argv=[])
    print(time.perf_counter() - began, flush=True)
    routes = [("/benchmark/trivial", Trivial), ("/benchmark/aiohttp/(.*)", Aiohttp)]
    app.web_app.add_handlers(".*$", routes)
    app.start()


if __name__ == "__main__":
    _main()
