"""A real JupyterLab in a real browser, with a sandbox behind it, for the tests that import these fixtures.

`make pictures` renews the pictures of the documentation: in the folder that SCREENSHOTS names.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_core.paths import jupyter_path
from playwright.sync_api import Browser, Locator, Page, Response, expect, sync_playwright

from jupyter_tokens.sandbox import Sandbox, running

from ..labextension.served import DEADLINE, Served, serving

SCREENSHOTS = os.environ.get("SCREENSHOTS")
MILLISECONDS = DEADLINE * 1000
"""A kernel starts in one second, on a busy machine in many."""
THEMES = "@jupyterlab/apputils-extension:themes"
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


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    stock = stock_extensions(tmp_path_factory.mktemp("stock"))
    with (
        running(Sandbox()) as sandbox,
        serving(
            "jupyterlab", tmp_path_factory.mktemp("lab"), sandbox, options=[f"--LabApp.labextensions_path={stock}"]
        ) as served,
    ):
        # What the browser knows of a widget goes into the file.
        served.set("@jupyter-widgets/jupyterlab-manager:plugin", {"saveState": True})
        yield served


def stock_extensions(folder: Path) -> Path:
    """Those of ipywidgets and no others: what is seen here needs nothing of ours in the browser."""
    (installed,) = (
        path for name in jupyter_path("labextensions") if (path := Path(name) / "@jupyter-widgets").is_dir()
    )
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

    def __init__(self, page: Page, lab: Served, name: str, cells: tuple[str, ...]) -> None:
        self.page, self.file = page, lab.root / name
        # All that the kernel sends to the browser.
        self.frames: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._received))
        lab.write_notebook(name, "python", *cells)
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
def open_notebook(chromium: Browser, lab: Served) -> Iterator[Any]:
    pages: list[Page] = []

    def opened(*cells: str) -> Notebook:
        page = chromium.new_page(viewport={"width": 1160, "height": 900})
        page.set_default_timeout(MILLISECONDS)
        pages.append(page)
        return Notebook(page, lab, f"tokens-{len(list(lab.root.iterdir()))}.ipynb", cells)

    expect.set_options(timeout=MILLISECONDS)
    lab.sandbox.clear_faults()
    lab.set(THEMES, {"theme": "JupyterLab Light"})
    yield opened
    for page in pages:
        page.close()
