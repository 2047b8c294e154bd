"""The panel in a real browser, on a user's server under a real hub: the service's token, and a person's login."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

from jupyter_tokens.sandbox import Sandbox

from ..e2e.browser import chromium  # noqa: F401 (a fixture)
from .test_real_hub import RealHub, hub_with_a_login

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore::ResourceWarning")]

SECONDS = 180
# While a shared document is open, a server that is stopped waits for a thread of AnyIO until the hub kills it.
ALONE = 'c.Spawner.args.append("--YDocExtension.disable_rtc=True")'
DIGEST = "import hashlib, os; print(hashlib.sha256(os.environ['ONEACCESS_TOKEN'].encode()).hexdigest())"


@pytest.fixture
def hub(tmp_path: Path, sandbox: Sandbox) -> Iterator[RealHub]:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(DIGEST)]
    opened = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    with hub_with_a_login(tmp_path, sandbox, ALONE) as made:
        nbformat.write(opened, tmp_path / "home" / "alice" / "a.ipynb")
        yield made


@pytest.fixture
def page(chromium: Browser, hub: RealHub) -> Iterator[Page]:  # noqa: F811
    """Alice's notebook, opened by a login at the hub."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    page = context.new_page()
    page.goto(f"{hub.url}/user/alice/lab/tree/a.ipynb")
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{hub.url}/user/alice/lab/**")
    yield page
    context.close()


def test_fetch_inject_and_log_in(page: Page, hub: RealHub, sandbox: Sandbox) -> None:
    page.get_by_role("tab", name="Tokens").click()
    panel = page.locator("#jupyter-tokens-panel")
    shared, mine = (panel.locator(f'[data-profile="{name}"]') for name in ("shared", "mine"))
    expect(shared).to_contain_text("from the hub's token service")
    shared.get_by_role("button", name="Fetch shared").click()
    expect(shared).to_have_attribute("data-state", "fresh")
    shared.get_by_role("button", name="Inject shared").click()
    expect(shared).to_contain_text("ONEACCESS_TOKEN is set in a.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell").first.click()
    page.keyboard.press("Control+Enter")
    [value] = sandbox.issued
    expect(page.locator(".jp-Notebook .jp-OutputArea-output")).to_contain_text(
        hashlib.sha256(value.encode()).hexdigest()
    )
    assert sandbox.requests["oneaccess"] == 1
    with page.context.expect_page() as opened:
        mine.get_by_role("button", name="Log in to mine").click()
    opened.value.get_by_role("button", name="Log in as demo").click()
    expect(opened.value.locator("body")).to_contain_text("Logged in as demo")
    assert opened.value.url.startswith(f"{hub.url}/user/alice/jupyter-tokens/login/callback")
    expect(mine).to_have_attribute("data-state", "fresh")
    expect(mine).to_contain_text("Logged in as demo")
