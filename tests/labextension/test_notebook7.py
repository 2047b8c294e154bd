from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from jupyter_tokens.sandbox import Sandbox

from .page import Lab
from .served import serving
from .test_panel import value_of


@pytest.fixture
def notebook(page: Page, tmp_path: Path, sandbox: Sandbox, extra: dict[str, Any]) -> Iterator[Lab]:
    """A notebook in Notebook 7 with the panel open."""
    with serving("notebook", tmp_path, sandbox, extra) as served:
        served.write_notebook("seven.ipynb")
        lab = Lab(page, served)
        lab.open("notebooks/seven.ipynb")
        page.wait_for_selector(".jp-NotebookKernelStatus", state="attached")
        lab.open_panel()
        yield lab


def test_the_same_panel(notebook: Lab) -> None:
    lab = notebook
    lab.fetch("eiam")
    expect(lab.panel).to_contain_text("Inject into seven.ipynb")
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("ONEACCESS_TOKEN is set in seven.ipynb (python).")
    digest = "import hashlib, os; print(hashlib.sha256(os.environ['ONEACCESS_TOKEN'].encode()).hexdigest())"
    assert lab.run_cell(digest) == hashlib.sha256(value_of(lab, "oneaccess").encode()).hexdigest()
    lab.press("refused", "Fetch")
    expect(lab.card("refused").get_by_role("alert")).to_contain_text("SignatureDoesNotMatch")
    lab.press("oneaccess", "Reveal")
    shown = lab.card("oneaccess").get_by_role("group", name="Token of oneaccess")
    expect(shown.locator("code")).to_have_text(value_of(lab, "oneaccess"))
    expect(lab.page.get_by_role("button", name="Inject a token into the kernel of this notebook")).to_be_visible()
