"""The magics as one sees them in JupyterLab: cards, table, loan, error, and what is in the notebook that is saved."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from ..labextension.served import Served
from ..sampling import long
from .browser import (
    SCREENSHOTS,
    chromium,
    jp_asyncio_loop,
    jp_server_cleanup,
    lab,
    open_notebook,
)
from .test_tutorials import leaks

__all__ = ["chromium", "jp_asyncio_loop", "jp_server_cleanup", "lab", "open_notebook"]  # fixtures

CELLS = (
    "%load_ext jupyter_tokens\n%gettoken oneaccess",
    "%gettoken pai-dlc ExpireTime=600 --var sharing --file share.token",
    "%%withtoken eiam --env LENT\nimport os\nprint('lent:', 'LENT' in os.environ)",
    "%tokens",
    "%gettoken modelarts instance_id=nobody",
    "%deltoken pai-dlc",
    "print(os.environ['ONEACCESS_TOKEN'], 'LENT' in os.environ, 'sharing' in globals())",
)


@long
def test_each_magic(open_notebook: Any, lab: Served) -> None:
    notebook = open_notebook(*CELLS)
    outputs = [notebook.run(0)]
    expect(outputs[0]).to_contain_text("until the kernel ends")
    seen = (
        ("sharing, ", "share.token", "until the kernel ends"),
        ("lent: True",),
        ("$ONEACCESS_TOKEN", "fresh", "served: server"),
        ("TokenError", "The instance does not exist.", "ModelArts.6309", "request id", "Check instance_id"),
        ("pai-dlc are forgotten.", "sharing"),
        ("[token oneaccess] False False",),
    )
    for number, texts in enumerate(seen, start=1):
        outputs.append(notebook.run(number))
        for text in texts:
            expect(outputs[number]).to_contain_text(text)
    # A card in place of a traceback.
    expect(outputs[4]).not_to_contain_text("Traceback")
    assert not (lab.root / "share.token").exists()
    assert not leaks(notebook.saved(), lab.sandbox)
    assert not leaks("".join(notebook.frames), lab.sandbox)
    if SCREENSHOTS:
        notebook.page.keyboard.press("Control+b")
        notebook.page.set_viewport_size({"width": 1040, "height": 1180})
        notebook.page.locator(".jp-Notebook .jp-CodeCell").first.scroll_into_view_if_needed()
        notebook.page.screenshot(path=f"{SCREENSHOTS}/magics.png")
