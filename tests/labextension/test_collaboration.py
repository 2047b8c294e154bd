"""A notebook that jupyter-collaboration shares, in real browsers: it is redacted for all, and they are told."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from jupyter_tokens.sandbox import Sandbox

from ..sampling import first
from .page import Lab
from .served import DEADLINE, Served, serving

KEY = "LTAItestAccessKeyId01"
SERVER = ("jupyter_server_fileid", "jupyter_server_ydoc")
PAGE = ("@jupyter/collaboration-extension", "@jupyter/docprovider-extension")


def run_until_shown(lab: Lab, code: str) -> None:
    """Runs a cell. As it connects, jupyter-collaboration lays the document anew and drops what was entered before."""
    for _ in range(10):
        lab.run_cell(code)
        with suppress(AssertionError):
            expect(lab.page.locator(".jp-Notebook .jp-OutputArea-output")).to_have_text(
                re.compile("and work"), timeout=5000
            )
            return
    raise AssertionError("The cell's output never stayed.")


def until_saved_clean(served: Served) -> None:
    """Redacting a shared document changes it, so it is saved once more."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        log = (served.home / "server.log").read_text()
        if log.rfind("Saving file: shared.ipynb") > log.rfind("shared.ipynb: redacted") >= 0:
            return
        time.sleep(0.1)
    raise AssertionError("The redacted document was never saved.")


@pytest.mark.parametrize("mode", first(["redact", "refuse"]))
def test_all_who_have_it_open_see_it_redacted(
    mode: str, page: Page, context: BrowserContext, tmp_path: Path, sandbox: Sandbox
) -> None:
    # `make` switches it off for all other tests.
    config = {
        "jupyter_server_config.json": {"ServerApp": {"jpserver_extensions": dict.fromkeys(SERVER, True)}},
        "labconfig/page_config.json": {"disabledExtensions": dict.fromkeys(PAGE, False)},
    }
    options = [f"--TokensExtension.scan_on_save={mode}", f"--SQLiteYStore.db_path={tmp_path / 'store.db'}"]
    with serving("jupyterlab", tmp_path / "served", sandbox, options=options, config=config) as served:
        lab, other = Lab(page, served), Lab(context.new_page(), served)
        lab.open()
        lab.open_notebook("shared.ipynb")
        other.open()
        other.command("docmanager:open", path="shared.ipynb")
        other.until_idle()
        run_until_shown(lab, f"print('LTAI' + {KEY[4:]!r}, 'and work')")
        for each in (lab, other):
            output = each.page.locator(".jp-Notebook .jp-OutputArea-output")
            expect(output).to_have_text("[Alibaba AccessKey id] and work")
            expect(each.page.locator(".jp-toast-message")).to_contain_text(
                "shared.ipynb was saved with its tokens redacted: cell 1 output 1, line 1: Alibaba AccessKey id"
            )
        text = (served.root / "shared.ipynb").read_text()
        assert "[Alibaba AccessKey id] and work" in text
        assert KEY not in text
        # With an open document, or in the middle of a save, jupyter-collaboration's server does not end.
        until_saved_clean(served)
        for each in (lab, other):
            each.page.close()
