from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jupyter_tokens.sandbox import Sandbox

from ..sampling import long
from .page import IN_BOTH, PAGES, Lab, with_panel
from .served import serving


@pytest.fixture
def lab(page: Page, tmp_path: Path, sandbox: Sandbox, application: str) -> Iterator[Lab]:
    """A server of its own, which is looked at often."""
    with serving(application, tmp_path, sandbox) as served:
        served.set("jupyter-tokens:plugin", {"pollSeconds": 2})
        yield with_panel(PAGES[application](page, served))


@long
@IN_BOTH
def test_a_server_that_stops_and_comes_back(lab: Lab) -> None:
    # JupyterLab's own word on it comes when it comes, and may be gone again before it is answered.
    lab.page.add_locator_handler(lab.page.locator(".jp-Dialog"), lambda: lab.page.keyboard.press("Escape"))
    lab.fetch("oneaccess")
    lab.served.stop()
    expect(lab.panel.get_by_role("alert")).to_contain_text("The Jupyter server does not answer.")
    expect(lab.card("oneaccess")).to_be_visible()
    lab.served.start()
    expect(lab.panel.get_by_role("alert")).to_have_count(0)
    # What it held has gone with it.
    lab.expect_state("oneaccess", "none")
    lab.fetch("oneaccess")
