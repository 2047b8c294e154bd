"""A real JupyterLab in a real browser, with a sandbox behind it, for the tests that import these fixtures.

`make pictures` renews the pictures of the documentation: in the folder that SCREENSHOTS names.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from jupyter_core.paths import jupyter_path
from playwright.sync_api import Browser, Locator, Page, Response, expect, sync_playwright

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Sandbox, running

ROOT = Path(__file__).parents[2]
SCREENSHOTS = os.environ.get("SCREENSHOTS")
DEADLINE = 300_000
"""Milliseconds: a kernel starts in one second, on a busy machine in many."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """Not pytest-jupyter's: Playwright's synchronous calls run a loop of their own on this thread."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """Not pytest-jupyter's; see above."""


@dataclass
class Lab:
    """A JupyterLab on a folder of notebooks."""

    folders: dict[str, Path]
    sandbox: Sandbox
    token: str
    url: str = ""

    @property
    def notebooks(self) -> Path:
        return self.folders["work"]

    def write(self, name: str, cells: tuple[str, ...]) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.notebooks / name)

    def set(self, plugin: str, values: dict[str, Any]) -> None:
        package, name = plugin.split(":")
        file = self.folders["JUPYTER_CONFIG_DIR"] / "lab" / "user-settings" / package / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")

    def fails(self, api: str, kind: str) -> None:
        """From now on that API does."""
        fault = {"api": api, "kind": kind, "times": None}
        httpx.post(f"{self.sandbox.url}/_sandbox/faults", json=fault).raise_for_status()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    names = ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "secrets", "work")
    folders = {name: folder / name.lower() for name in names}
    for place in folders.values():
        place.mkdir(mode=0o700)
    with running(Sandbox()) as sandbox:
        write_config(folders["JUPYTER_CONFIG_DIR"], sandbox.profiles(folders["secrets"]))
        made = Lab(folders, sandbox, secrets.token_hex())
        made.set("@jupyterlab/apputils-extension:notification", {"fetchNews": "false", "checkForUpdates": False})
        # What the browser knows of a widget goes into the file.
        made.set("@jupyter-widgets/jupyterlab-manager:plugin", {"saveState": True})
        with serving(made):
            yield made


@contextmanager
def serving(lab: Lab) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = {
        "ServerApp.allow_root": True, "ServerApp.port": port, "ServerApp.port_retries": 0,
        "ServerApp.root_dir": lab.notebooks, "IdentityProvider.token": lab.token,
        "LabApp.labextensions_path": stock_extensions(lab.folders["JUPYTER_DATA_DIR"] / "stock"),
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", *(f"--{name}={it}" for name, it in options.items())]
    folders = {name: str(place) for name, place in lab.folders.items() if name.isupper()}
    environment = {**os.environ, **folders, "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_PATH": ""}
    log = lab.folders["HOME"] / "log.txt"
    with log.open("w+") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process:
        try:
            lab.url = f"http://127.0.0.1:{port}"
            transport = httpx.HTTPTransport(retries=20)  # with growing pauses between them
            with httpx.Client(transport=transport, timeout=DEADLINE / 1000, trust_env=False) as http:
                http.get(f"{lab.url}/api").raise_for_status()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE / 1000)


def stock_extensions(folder: Path) -> Path:
    """Those of ipywidgets and no others: what is seen here needs nothing of ours in the browser."""
    (installed,) = (
        path for name in jupyter_path("labextensions") if (path := Path(name) / "@jupyter-widgets").is_dir()
    )
    folder.mkdir()
    (folder / installed.name).symlink_to(installed)
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found, "chromium is not installed"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield started
        started.close()


class Notebook:
    """A notebook that is open in the browser."""

    def __init__(self, page: Page, lab: Lab, name: str, cells: tuple[str, ...]) -> None:
        self.page, self.lab, self.file = page, lab, lab.notebooks / name
        # All that the kernel sends to the browser.
        self.frames: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._received))
        lab.write(name, cells)
        page.goto(f"{lab.url}/lab/tree/{name}?token={lab.token}&reset")
        self.status("Idle")

    def _received(self, frame: str | bytes) -> None:
        self.frames.append(frame if isinstance(frame, str) else frame.decode(errors="replace"))

    def status(self, word: str) -> None:
        script = "word => document.querySelector('#jp-main-statusbar')?.innerText.includes('| ' + word)"
        self.page.wait_for_function(script, arg=word)

    def run(self, number: int) -> Locator:
        """Runs a cell; its output."""
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)
        cell.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[(\*|\d+)\]:"))
        return cell.locator(".jp-Cell-outputArea")

    def printed(self, number: int) -> str:
        """What a cell prints in the end."""
        output = self.run(number)
        expect(output).to_contain_text("end.")
        return output.inner_text()

    def saved(self) -> str:
        def is_written(answer: Response) -> bool:
            return answer.request.method == "PUT" and answer.url.split("?")[0].endswith(self.file.name)

        with self.page.expect_response(is_written):
            self.page.keyboard.press("Control+s")
        return self.file.read_text(encoding="utf-8")


@pytest.fixture
def open_notebook(chromium: Browser, lab: Lab) -> Iterator[Any]:
    pages: list[Page] = []

    def opened(*cells: str) -> Notebook:
        page = chromium.new_page(viewport={"width": 1160, "height": 900})
        page.set_default_timeout(DEADLINE)
        pages.append(page)
        return Notebook(page, lab, f"tokens-{len(list(lab.notebooks.iterdir()))}.ipynb", cells)

    expect.set_options(timeout=DEADLINE)
    httpx.delete(f"{lab.sandbox.url}/_sandbox/faults").raise_for_status()
    lab.set("@jupyterlab/apputils-extension:themes", {"theme": "JupyterLab Light"})
    yield opened
    for page in pages:
        page.close()
