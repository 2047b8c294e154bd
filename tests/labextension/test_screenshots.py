"""Pictures of each state, for the documentation and to be looked at; written to the folder that SCREENSHOTS names.

`make pictures` writes those of the documentation to docs/images.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect

from jupyter_tokens.sandbox import Sandbox

from ..sampling import long
from .page import Lab, with_panel
from .served import serving
from .test_login import allow

DOCS = Path(__file__).parents[2] / "docs"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark", "contrast": "JupyterLab Dark High Contrast"}
pytestmark = long
CODE = "import os\nimport httpx\n\nheaders = {'Authorization': 'Bearer ' + os.environ['ONEACCESS_TOKEN']}"
SIZE: ViewportSize = {"width": 1180, "height": 760}


@pytest.fixture
def shoot(page: Page) -> Any:
    """Takes a picture; without a folder it still sees that there is one to take."""
    page.set_viewport_size(SIZE)

    def shoot(name: str) -> None:
        # Nothing is pointed at.
        page.mouse.move(300, 500)
        picture = page.screenshot(animations="disabled")
        assert len(picture) > 10_000
        if folder := os.environ.get("SCREENSHOTS"):
            file = Path(folder, f"panel-{name}.png").resolve()
            if file.parent != DOCS / "images" or file.name in (DOCS / "panel.md").read_text():
                file.write_bytes(picture)

    return shoot


def wide(lab: Lab) -> None:
    """Room for the panel, and none for what the pictures are not about."""
    lab.page.evaluate(
        """async () => {
          const {commands, shell} = window.jupyterapp;
          if (commands.hasCommand('application:toggle-left-area') && !shell.leftCollapsed) {
            await commands.execute('application:toggle-left-area');
          }
          document.activeElement?.blur();
        }"""
    )
    handle = lab.page.locator("#jp-main-split-panel > .lm-SplitPanel-handle:visible").last
    if handle.count():
        box = handle.bounding_box()
        assert box is not None
        lab.page.mouse.move(box["x"] + 2, box["y"] + 300)
        lab.page.mouse.down()
        lab.page.mouse.move(SIZE["width"] - 380, box["y"] + 300)
        lab.page.mouse.up()


def worked(lab: Lab, notebook: str) -> None:
    for name in ("modelarts", "eiam"):
        lab.fetch(name)
    expect(lab.panel).to_contain_text(f"Inject into {notebook}")
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("ONEACCESS_TOKEN is set")


@pytest.mark.parametrize("theme", THEMES)
def test_the_panel(lab: Lab, shoot: Any, theme: str) -> None:
    lab.theme(THEMES[theme])
    lab.open_notebook("analysis.ipynb", source=CODE)
    worked(lab, "analysis.ipynb")
    wide(lab)
    shoot(theme)
    lab.press("refused", "Fetch")
    lab.expect_state("refused", "failed")
    lab.press("oneaccess", "Remove")
    lab.history()
    expect(lab.panel.get_by_role("list", name="History")).to_contain_text("removed from analysis.ipynb")
    shoot(f"history-{theme}")
    lab.history()
    lab.panel.get_by_role("searchbox").fill("sts")
    for name, sdk in (("alibaba-sts", "alibaba"), ("huawei-sts", "gettoken")):
        lab.press(name, "Use")
        lab.card(name).get_by_label("Use it with").select_option(sdk)
    shoot(f"use-{theme}")


def test_an_error(lab: Lab, shoot: Any) -> None:
    lab.theme("JupyterLab Light")
    lab.open_notebook("analysis.ipynb", source=CODE)
    lab.panel.get_by_role("searchbox").fill("pai")
    lab.press("refused", "Fetch")
    expect(lab.card("refused").get_by_role("alert")).to_be_visible()
    wide(lab)
    shoot("error")


def test_a_login(lab: Lab, shoot: Any) -> None:
    lab.theme("JupyterLab Light")
    lab.open_notebook("analysis.ipynb", source=CODE)
    lab.panel.get_by_role("searchbox").fill("openid")
    with lab.page.context.expect_page() as opened:
        lab.press("openid", "Log in to")
    allow(opened.value)
    lab.expect_state("openid", "fresh")
    opened.value.close()
    lab.press("openid-device", "Log in to")
    expect(lab.card("openid-device")).to_contain_text("and enter the code")
    wide(lab)
    shoot("login")
    lab.press("openid-device", "Cancel the login to")
    lab.press("openid", "Log out of")
    expect(lab.card("openid")).to_contain_text("Logged out")


def test_the_form(lab: Lab, shoot: Any) -> None:
    lab.theme("JupyterLab Light")
    lab.open_notebook("analysis.ipynb", source=CODE)
    wide(lab)
    form = lab.add()
    form.fill({"Name": "acme", "Provider": "oneaccess", "Endpoint": "https://acme.huaweioneaccess.com"})
    form.fill({"Client ID": "kP2mB8", "Client secret": "not-a-real-secret"})
    shoot("form")


class Film:
    """Screenshots of a page that become one moving picture."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.seconds: list[float] = []

    def take(self, seconds: float) -> None:
        """Take a picture, which is shown for so long."""
        picture = Image.open(io.BytesIO(self.page.screenshot(animations="disabled"))).convert("RGB")
        self.frames.append(picture)
        self.seconds.append(seconds)

    def type(self, text: str) -> None:
        """Type into the active cell, a few letters for each frame."""
        for start in range(0, len(text), 3):
            self.page.keyboard.type(text[start : start + 3])
            self.take(0.12)

    def write(self, file: Path) -> None:
        """Write a GIF, all frames in the colours of the fullest."""
        colours = max(self.frames, key=lambda frame: len(frame.getcolors(1 << 24) or ())).quantize(96)
        frames = [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in self.frames]
        durations = [round(seconds * 1000) for seconds in self.seconds]
        frames[0].save(file, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)


def test_the_tour(lab: Lab, tmp_path: Path) -> None:
    """The moving picture of the README: %gettoken, an output that is redacted, and Inject."""
    lab.theme("JupyterLab Light")
    lab.page.set_viewport_size({"width": 1060, "height": 600})
    lab.open_notebook("analysis.ipynb", source="")
    wide(lab)
    film = Film(lab.page)
    cells = lab.page.locator(".jp-Notebook .jp-CodeCell")
    cells.first.locator(".cm-content").click()
    film.take(1.2)
    film.type("%gettoken oneaccess")
    lab.page.keyboard.press("Shift+Enter")
    expect(cells.first.locator(".jp-OutputArea")).to_contain_text("until the kernel ends")
    expect(lab.card("oneaccess")).to_contain_text("ONEACCESS_TOKEN")
    film.take(2.5)
    film.type("!echo $ONEACCESS_TOKEN")
    lab.page.keyboard.press("Shift+Enter")
    expect(cells.nth(1).locator(".jp-OutputArea")).to_contain_text("[token oneaccess]")
    film.take(2.5)
    lab.button("modelarts", "Inject").hover()
    film.take(0.8)
    lab.press("modelarts", "Inject")
    expect(lab.card("modelarts")).to_contain_text("MODELARTS_TOKEN is set")
    film.take(3.0)
    picture = tmp_path / "tour.gif"
    film.write(picture)
    with Image.open(picture) as written:
        assert written.n_frames > 15  # type: ignore[attr-defined]
    assert picture.stat().st_size < 1_000_000
    if folder := os.environ.get("SCREENSHOTS"):
        picture.rename(Path(folder, "tour.gif"))


def test_nothing_yet(page: Page, shoot: Any, tmp_path: Path, sandbox: Sandbox) -> None:
    with serving("jupyterlab", tmp_path, sandbox) as served:
        (served.home / "config" / "jupyter_tokens_config.json").unlink()
        lab = Lab(page, served)
        with_panel(lab)
        expect(lab.panel).to_contain_text("No profiles yet")
        expect(lab.panel).to_contain_text("jupyter tokens demo")
        expect(page.locator(".jp-Launcher")).to_be_visible()
        wide(lab)
        shoot("empty")


def test_notebook_7(page: Page, shoot: Any, tmp_path: Path, sandbox: Sandbox) -> None:
    with serving("notebook", tmp_path, sandbox) as served:
        served.write_notebook("analysis.ipynb", "python", CODE)
        lab = Lab(page, served)
        lab.open("notebooks/analysis.ipynb")
        page.wait_for_selector(".jp-NotebookKernelStatus", state="attached")
        lab.open_panel()
        worked(lab, "analysis.ipynb")
        shoot("notebook7")
