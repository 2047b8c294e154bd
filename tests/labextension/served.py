"""A real JupyterLab or Notebook server in a process of its own, with the sandbox behind it and a home of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nbformat

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Sandbox

from ..hearing import free_port
from .recording import confidential, every_form

DEADLINE = 300
KERNELS = {"python": ("python3", "Python 3"), "R": ("ir", "R")}


@dataclass
class Served:
    """A running server. url : with its base path, without the login."""

    url: str
    root: Path
    home: Path
    sandbox: Sandbox
    command: list[str] = field(repr=False)
    process: subprocess.Popen[str] | None = None

    token = "c4n4ry-login-of-the-server"

    def start(self) -> None:
        with (self.home / "server.log").open("a") as log:
            self.process = subprocess.Popen(self.command, env=environment(self.home), stdout=log, stderr=log, text=True)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.ask("GET", "api/status").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError((self.home / "server.log").read_text()[-3000:])

    def stop(self) -> None:
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            # With faulthandler, the log then shows what each thread was waiting for.
            process.send_signal(signal.SIGABRT)
            process.wait(DEADLINE)
            log = (self.home / "server.log").read_text()
            assert waits_for_anyio_alone(log), log[-9000:]

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(method, f"{self.url}/{path}", json=body, headers=headers, timeout=DEADLINE)

    def value_of(self, profile: str) -> str:
        """The token that the server holds."""
        answer = self.ask("POST", f"jupyter-tokens/profiles/{profile}/token", {"reveal": True})
        return str(answer.json()["value"])

    def forget_all(self) -> None:
        """As if nobody had been here before: tokens, logins, handles, kernels."""
        for profile in self.ask("GET", "jupyter-tokens/profiles").json()["profiles"]:
            if profile["login"] is not None:
                self.ask("DELETE", f"jupyter-tokens/profiles/{profile['name']}/login")
            elif profile["state"] != "none":
                self.ask("DELETE", f"jupyter-tokens/profiles/{profile['name']}/token")
        for handle in self.ask("GET", "jupyter-tokens/handles").json()["handles"]:
            self.ask("DELETE", f"jupyter-tokens/handles/{handle['id']}")
        for session in self.ask("GET", "api/sessions").json():
            self.ask("DELETE", f"api/sessions/{session['id']}")

    def leaks(self) -> list[str]:
        """Files of notebooks, server, kernels and page that hold a secret or a token, but for the user's own."""
        wanted = every_form(confidential(self.sandbox))
        kept = {self.home / "config" / "jupyter_tokens_config.json", *(self.home / "xdg").rglob("*")}
        files = [file for top in (self.root, self.home) for file in top.rglob("*") if file.is_file()]
        assert self.home / "server.log" in files
        return [str(file.relative_to(self.home.parent)) for file in files if file not in kept and _holds(file, wanted)]

    def set(self, plugin: str, values: dict[str, Any]) -> Path:
        """Writes a user's settings of one of JupyterLab's plugins; their file."""
        package, name = plugin.split(":")
        file = self.home / "config" / "lab" / "user-settings" / package / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
        return file

    def write_notebook(self, name: str, language: str = "python", *sources: str) -> None:
        kernel, display = KERNELS[language]
        spec = {"name": kernel, "display_name": display, "language": language}
        cells = [nbformat.v4.new_code_cell(source) for source in sources or ("",)]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
        nbformat.write(notebook, self.root / name)


def waits_for_anyio_alone(log: str) -> bool:
    """Whether AnyIO's threads were all that an aborted process was still waiting for.

    Such a thread ends when the task that started it ends. Jupyter servers stop their event loop while some tasks still
    run, for example the task of a shared notebook. Then the interpreter waits forever.
    See https://github.com/agronholm/anyio/pull/321.
    """
    threads = re.split(
        r"^(?:Current t|T)hread 0x", log.rpartition("Fatal Python error: Aborted")[2], flags=re.MULTILINE
    )
    return len(threads) > 1 and all("in _shutdown" in each or "/anyio/_backends/" in each for each in threads[1:])


def environment(home: Path) -> dict[str, str]:
    """No test sees this machine's configuration, and leaves nothing in its home."""
    folders = {
        "HOME": home,
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "IPYTHONDIR": home / "ipython",
        "XDG_DATA_HOME": home / "xdg",
    }
    for folder in folders.values():
        folder.mkdir(mode=0o700, exist_ok=True)
    known = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER_")}
    return {
        "JUPYTER_TOKENS_STORE": "none",
        **known,
        **{name: str(folder) for name, folder in folders.items()},
        # What a test writes counts more than what comes with the interpreter.
        "JUPYTER_PREFER_ENV_PATH": "0",
        "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
    }


@contextmanager
def serving(
    application: str,
    folder: Path,
    sandbox: Sandbox,
    extra: dict[str, Any] | None = None,
    options: Iterable[str] = (),
    config: dict[str, Any] | None = None,
) -> Iterator[Served]:
    """application : "jupyterlab" or "notebook". extra : more profiles. options : of its command line.

    config : files of Jupyter's, by their path.
    """
    home, root, secrets = folder / "home", folder / "root", folder / "secrets"
    for made in (home, root, secrets):
        made.mkdir(mode=0o700, parents=True)
    write_config(home / "config", {**sandbox.profiles(secrets), **(extra or {})})
    # The check for extensions to build costs the server half a second per page.
    files = {"labconfig/page_config.json": {"buildAvailable": False, "buildCheck": False}, **(config or {})}
    for path, content in files.items():
        (home / "config" / path).parent.mkdir(exist_ok=True)
        (home / "config" / path).write_text(json.dumps(content))
    port = free_port()
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        "-m",
        application,
        "--no-browser",
        "--expose-app-in-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.base_url=/team/",
        f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={Served.token}",
        "--TokensExtension.allow_edit=True",
        *options,
    ]
    served = Served(f"http://127.0.0.1:{port}/team", root, home, sandbox, command)
    served.set("@jupyterlab/apputils-extension:notification", {"fetchNews": "false", "checkForUpdates": False})
    served.start()
    try:
        yield served
    finally:
        served.stop()
    assert served.leaks() == []


def _holds(file: Path, wanted: Iterable[str]) -> bool:
    text = file.read_text(encoding="utf-8", errors="replace")
    return any(form in text for form in wanted)
