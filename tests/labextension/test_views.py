"""No view contradicts another: panel, status bar, `%tokens` and widget, after each thing that happens to a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from jupyter_tokens.sandbox import Sandbox

from ..sampling import long
from .page import IN_BOTH, Lab
from .served import Served


class Views:
    """All that shows a profile. The widget is in the notebook's second cell; `%tokens` is run in the first one.

    Parameters
    ----------
    profile : str
        A profile of the server.
    variables : str
        The variables that the notebook may have its token in.
    """

    def __init__(self, lab: Lab, profile: str, *variables: str) -> None:
        self.lab, self.profile, self.variables = lab, profile, variables
        self.show_widget()
        self.panel = lab.card(profile)
        self.widget = self.output(1)
        self.bar = lab.bar

    def show_widget(self) -> None:
        """Run the last cell, below the first one."""
        self.lab.page.evaluate(
            """async source => {
              const { commands, shell } = window.jupyterapp;
              const { content } = shell.currentWidget;
              if (content.widgets.length === 1) {
                await commands.execute('notebook:insert-cell-below');
              }
              content.activeCellIndex = 1;
              content.activeCell.model.sharedModel.setSource(source);
              await commands.execute('notebook:run-cell');
            }""",
            f"from jupyter_tokens.widgets import TokenCard\nTokenCard({self.profile!r})",
        )

    def output(self, number: int) -> Locator:
        return self.lab.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-Cell-outputArea")

    def agree(self, state: str, *held: str, panel: str = "", bar: str = "") -> None:
        """held : the variables that the notebook has the token in. panel : its state, if it is another. bar : its text.

        The panel and the status bar come first: what they show must not need the kernel to be asked.
        """
        expect(self.panel.locator(".jp-Tokens-state")).to_have_text(panel or state)
        for variable in self.variables:
            _shows(self.panel, f"views.ipynb ({variable}", variable in held)
        _shows(self.bar, f"{self.profile}: {bar}", bool(held))
        expect(self.widget).to_contain_text(state)
        self.lab.run_cell("%tokens")
        row = self.output(0).locator("tr", has_text=self.profile)
        expect(row).to_contain_text(state)
        for variable in self.variables:
            for view in (self.widget, row):
                _shows(view, variable, variable in held)


def _shows(view: Locator | None, text: str, wanted: bool) -> None:
    """None : a view that the application does not have, as Notebook 7 has no status bar."""
    if view is not None:
        (expect(view).to_contain_text if wanted else expect(view).not_to_contain_text)(text)


@IN_BOTH
def test_all_views_agree(lab: Lab) -> None:
    lab.open_notebook("views.ipynb")
    views = Views(lab, "oneaccess", "ONEACCESS_TOKEN", "ANOTHER")
    views.agree("not fetched")
    lab.press("oneaccess", "Inject")
    views.agree("fresh", "ONEACCESS_TOKEN")
    lab.run_cell("%gettoken oneaccess --env ANOTHER")
    # The panel polls every 15 seconds; the server's events are quicker.
    expect(views.panel).to_contain_text("views.ipynb (ANOTHER, kept fresh by the kernel)")
    views.agree("fresh", "ONEACCESS_TOKEN", "ANOTHER")
    lab.run_cell("%deltoken oneaccess")
    # The server has the token still, the notebook has not.
    views.agree("not fetched", panel="fresh")
    lab.press("oneaccess", "Forget")
    views.agree("not fetched")


@long
@IN_BOTH
def test_all_views_agree_that_a_token_has_expired(lab: Lab) -> None:
    lab.open_notebook("views.ipynb")
    views = Views(lab, "short", "SHORT_TOKEN")
    # A life of ten seconds.
    lab.run_cell("%gettoken short --once")
    views.agree("expired", "SHORT_TOKEN", bar="expired")
    lab.run_cell("%gettoken short")
    expect(views.panel).to_contain_text("kept fresh by the kernel")
    _shows(views.bar, "expired", wanted=False)


@long
@IN_BOTH
def test_all_views_agree_on_a_failure_and_on_its_end(lab: Lab, sandbox: Sandbox) -> None:
    lab.open_notebook("views.ipynb")
    views = Views(lab, "oneaccess", "ONEACCESS_TOKEN")
    sandbox.plan({"api": "oneaccess", "kind": 500, "times": None})
    assert "system_error" in lab.run_cell("%gettoken oneaccess")
    views.agree("failed")
    sandbox.clear_faults()
    # What the panel fetches, the notebook would get: it has not failed any more, there either.
    lab.fetch("oneaccess")
    views.agree("not fetched", panel="fresh")
    lab.run_cell("%gettoken oneaccess")
    views.agree("fresh", "ONEACCESS_TOKEN")
    lab.run_cell("%deltoken oneaccess")
    views.agree("not fetched", panel="fresh")
    # A token that the server fetched before the failure does not mean that the failure is over.
    sandbox.plan({"api": "oneaccess", "kind": 500, "times": None})
    assert "system_error" in lab.run_cell("%gettoken oneaccess --refresh")
    views.agree("failed", panel="refreshing soon")
    sandbox.clear_faults()
    lab.run_cell("%gettoken oneaccess --refresh")
    views.agree("fresh", "ONEACCESS_TOKEN")
    # The token that is there stays in use.
    sandbox.plan({"api": "oneaccess", "kind": 500, "times": None})
    lab.run_cell("%gettoken oneaccess --refresh")
    views.agree("refreshing soon", "ONEACCESS_TOKEN")
    for view in (views.panel, views.widget, views.output(0)):
        expect(view).to_contain_text("system_error")
    sandbox.clear_faults()
    lab.run_cell("%gettoken oneaccess --refresh")
    views.agree("fresh", "ONEACCESS_TOKEN")


@pytest.fixture
def polls_seldom(served: Served) -> Iterator[None]:
    """The panel learns from events alone: its own polls are an hour apart."""
    file = served.set("jupyter-tokens:plugin", {"pollSeconds": 3600})
    yield
    file.unlink()


@long
@IN_BOTH
@pytest.mark.usefixtures("polls_seldom")
def test_all_views_agree_after_a_restart_of_the_kernel(lab: Lab) -> None:
    lab.open_notebook("views.ipynb")
    views = Views(lab, "oneaccess", "ONEACCESS_TOKEN")
    lab.press("oneaccess", "Inject")
    views.agree("fresh", "ONEACCESS_TOKEN")
    lab.command("notebook:restart-kernel")
    lab.page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(views.panel).not_to_contain_text("held by")
    _shows(views.bar, "oneaccess:", wanted=False)
    expect(lab.button("oneaccess", "Remove")).to_have_count(0)
    lab.until_idle()
    views.show_widget()
    views.agree("not fetched", panel="fresh")
    assert lab.run_cell("import os; print('ONEACCESS_TOKEN' in os.environ)") == "False"
    lab.press("oneaccess", "Inject")
    views.agree("fresh", "ONEACCESS_TOKEN")
