"""What a kernel's widget asks the page for: docs/widgets.md has the words."""

from __future__ import annotations

from playwright.sync_api import expect

from ..sampling import long
from .page import Lab

OPEN = """
from comm import create_comm
told = []
comm = create_comm(target_name="jupyter_tokens.reveal", data={"profile": "acme", "action": "%s", "seconds": 20})
def answer(message):
    told.append(message["content"]["data"])
    if told[-1].get("ready"):
        comm.send({"value": "v4lue-" + "of-the-kernel"})
comm.on_msg(answer)
comm.on_close(lambda message: told.append(message["content"]["data"]))
"""


def test_a_kernel_has_a_value_shown(lab: Lab) -> None:
    lab.open_notebook("comm.ipynb")
    lab.run_cell(OPEN % "show")
    shown = lab.page.get_by_role("group", name="Token of acme")
    expect(shown.locator("code")).to_have_text("v4lue-of-the-kernel")
    shown.get_by_role("button", name="Hide").click()
    expect(shown).to_have_count(0)
    assert "v4lue-of-the-kernel" not in lab.page.content()
    assert lab.run_cell("print(told)") == "[{'ready': True}, {'shown': True}]"


@long
def test_a_kernel_has_a_value_copied(lab: Lab) -> None:
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.open_notebook("comm.ipynb")
    lab.run_cell(OPEN % "copy")
    lab.page.wait_for_function("() => navigator.clipboard.readText().then(text => text === 'v4lue-of-the-kernel')")
    assert "v4lue-of-the-kernel" not in lab.page.content()


@long
def test_a_kernel_is_told_that_the_browser_does_not_let_the_page_copy(lab: Lab) -> None:
    lab.open_notebook("comm.ipynb")
    lab.page.evaluate(
        """() => {
          navigator.clipboard.writeText = () => Promise.reject(new DOMException("no", "NotAllowedError"));
          document.execCommand = () => false;
        }"""
    )
    lab.run_cell(OPEN % "copy")
    said = ""
    # Its answer reaches the kernel some messages later.
    while len(said) < len("[{'ready': True}, {}]"):
        said = lab.run_cell("print(told)")
    problem = "The browser does not allow this page to copy. Show the text and copy it by hand."
    assert said == f"[{{'ready': True}}, {{'error': '{problem}'}}]"
