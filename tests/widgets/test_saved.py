"""What is left of the widgets in a file: run by nbclient, which saves their state, and made a page by nbconvert."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Sandbox

from ..e2e.test_tutorials import leaks, run

CELLS = """
from jupyter_tokens import TokenCard, TokenPanel
panel = TokenPanel()
panel
---
import threading
import time
def within(box):
    for child in box.children:
        yield child
        yield from within(child) if hasattr(child, "children") else ()
for name in ("More", "Inject"):
    for control in [it for it in within(panel) if getattr(it, "description", "") == name]:
        control.click() if hasattr(control, "click") else control.set_trait("value", True)
while any(thread.name.startswith("jupyter_tokens widgets: ") for thread in threading.enumerate()):
    time.sleep(0.05)
---
panel
---
TokenCard("oneaccess")
"""


@pytest.fixture
def notebook(profiles: dict[str, Any], config_dir: Path) -> nbformat.NotebookNode:
    write_config(config_dir, profiles)
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS.split("---\n")]
    made: nbformat.NotebookNode = nbformat.v4.new_notebook(cells=cells)
    return made


def test_a_saved_notebook_has_the_state_of_the_widgets_a_table_and_no_token(
    notebook: nbformat.NotebookNode, sandbox: Sandbox, tmp_path: Path
) -> None:
    text = run(notebook, tmp_path / "work")
    assert {token.api for token in sandbox.issued.values()} >= {"oneaccess", "pai-dlc", "eiam"}
    assert not leaks(text, sandbox)
    saved = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    (before, after, card) = (cell.outputs[0]["data"] for cell in notebook.cells if cell.outputs)
    for shown in (before, after, card):
        assert shown["application/vnd.jupyter.widget-view+json"]["model_id"] in saved
    assert "$ONEACCESS_TOKEN" not in before["text/plain"]
    for kind in ("text/plain", "text/html"):
        assert "ONEACCESS_TOKEN" in after[kind]
        assert "ONEACCESS_TOKEN" in card[kind]


def test_a_page_of_a_notebook_without_widgets_state_shows_the_table(
    notebook: nbformat.NotebookNode, sandbox: Sandbox, tmp_path: Path
) -> None:
    run(notebook, tmp_path / "work")
    # As JupyterLab saves it.
    del notebook.metadata["widgets"]
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert "<th" in page
    assert "ONEACCESS_TOKEN" in page
    assert not leaks(page, sandbox)
