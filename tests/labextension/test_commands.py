from __future__ import annotations

import re

from playwright.sync_api import expect

from jupyter_tokens.sandbox import Sandbox

from ..sampling import long
from .page import IN_BOTH, Lab


def test_the_palette_has_all_commands(lab: Lab) -> None:
    # By default the palette floats, and is gone when a notebook or the launcher takes the focus, which may come late.
    settings = "lab/api/settings/@jupyterlab/apputils-extension:palette"
    lab.served.ask("PUT", settings, {"raw": '{"modal": false}'}).raise_for_status()
    lab.open()
    lab.command("apputils:activate-command-palette")
    palette = lab.page.locator(".lm-CommandPalette")
    palette.locator("input").fill("token")
    for label in ("Show Tokens", "Refresh All Tokens", "Inject Token into This Notebook…", "Insert %gettoken…"):
        expect(palette).to_contain_text(label)


@IN_BOTH
def test_toolbar_button_gets_a_token_into_the_notebook(lab: Lab) -> None:
    lab.open_notebook("toolbar.ipynb")
    lab.page.get_by_role("button", name="Inject a token into the kernel of this notebook").click()
    dialog = lab.page.locator(".jp-Dialog")
    dialog.get_by_role("combobox").select_option("oneaccess")
    dialog.get_by_role("button", name="OK").click()
    expect(lab.card("oneaccess")).to_contain_text("ONEACCESS_TOKEN is set in toolbar.ipynb")
    assert lab.run_cell("import os; print('ONEACCESS_TOKEN' in os.environ)") == "True"


@long
def test_magic_is_inserted_at_the_cursor(lab: Lab) -> None:
    lab.open_notebook("magic.ipynb", source="# here: ")
    lab.page.locator(".jp-Notebook-cell .cm-content").click()
    lab.page.keyboard.press("End")
    lab.command("jupyter-tokens:insert-magic", profile="oneaccess")
    expect(lab.page.locator(".jp-Notebook-cell .cm-content")).to_have_text("# here: %gettoken oneaccess")


@IN_BOTH
def test_what_is_inserted_runs_in_a_fresh_notebook(lab: Lab) -> None:
    lab.open_notebook("inserted.ipynb")
    lab.page.locator(".jp-Notebook-cell .cm-content").click()
    lab.command("jupyter-tokens:insert-magic", profile="oneaccess")
    cell = lab.page.locator(".jp-Notebook-cell .cm-content")
    expect(cell).to_have_text("%gettoken oneaccess")
    lab.command("notebook:run-cell")
    output = lab.page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("oneaccess")
    expect(output).to_contain_text("fresh")


@long
def test_a_kernel_that_the_server_did_not_load_it_in_is_told_to_load_it(lab: Lab) -> None:
    lab.open_notebook("other.ipynb", "R")
    lab.page.locator(".jp-Notebook-cell .cm-content").click()
    lab.command("jupyter-tokens:insert-magic", profile="oneaccess")
    lines = lab.page.locator(".jp-Notebook-cell .cm-line")
    expect(lines).to_have_text(["%load_ext jupyter_tokens", "%gettoken oneaccess"])


@long
def test_the_notebooks_context_menu_leads_to_both(lab: Lab) -> None:
    lab.open_notebook("menu.ipynb")
    lab.page.locator(".jp-Notebook-cell").click(button="right")
    menu = lab.page.locator(".lm-Menu")
    expect(menu).to_contain_text("Inject Token into This Notebook…")
    expect(menu).to_contain_text("Insert %gettoken…")


@long
def test_refreshes_all_that_was_fetched(lab: Lab, sandbox: Sandbox) -> None:
    for name in ("oneaccess", "eiam"):
        lab.fetch(name)
    before = dict(sandbox.requests)
    lab.panel.get_by_role("button", name="Refresh all tokens").click()
    for name in ("oneaccess", "eiam"):
        expect(lab.card(name)).to_contain_text("Fetched.")
        assert sandbox.requests[name] == before[name] + 1
    assert sandbox.requests["modelarts"] == before["modelarts"]


def test_a_failed_refresh_is_told_of(lab: Lab, sandbox: Sandbox) -> None:
    lab.fetch("short")
    sandbox.plan({"api": "pai-dlc", "kind": "403", "times": None})
    # Somebody else's refresh, such as a kernel's.
    lab.served.ask("POST", "jupyter-tokens/profiles/short/token", {"refresh": True})
    notice = lab.page.locator(".Toastify__toast")
    expect(notice).to_contain_text(re.compile("The token of short could not be refreshed"))
    sandbox.clear_faults()
    notice.get_by_role("button", name="Try again").click()
    lab.expect_state("short", "fresh")


@long
def test_a_failed_refresh_of_what_a_kernel_keeps_fresh_is_told_of_once(lab: Lab, sandbox: Sandbox) -> None:
    lab.open_notebook("kept.ipynb")
    # With a parameter: the token without it is another one, and nobody has that.
    lab.run_cell("%load_ext jupyter_tokens\n%gettoken short ExpireTime=12")
    lab.expect_state("short", "fresh")
    expect(lab.card("short")).to_contain_text("held by kept.ipynb")
    sandbox.plan({"api": "pai-dlc", "kind": "403", "times": None})
    notice = lab.page.locator(".Toastify__toast")
    expect(notice).to_contain_text(re.compile("The token of short could not be refreshed"))
    tried = sandbox.requests["pai-dlc"]
    # The kernel goes on trying, and the panel looking: of what is known nothing is told again.
    while sandbox.requests["pai-dlc"] < tried + 2:
        lab.page.wait_for_event("response", lambda answer: "/jupyter-tokens/profiles?" in answer.url)
    lab.page.wait_for_event("response", lambda answer: "/jupyter-tokens/holdings?" in answer.url)
    expect(notice).to_have_count(1)
    assert lab.run_cell("import os; print(len(os.environ['SHORT_TOKEN']) > 0)") == "True"
