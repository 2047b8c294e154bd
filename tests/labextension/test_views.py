"""No view contradicts another: panel, status bar, `%tokens` and widget, after each thing that happens to a token."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from .page import Lab

WIDGET = "from jupyter_tokens.widgets import TokenCard\nTokenCard('oneaccess')"


class Views:
    """All that shows oneaccess. The widget is in the notebook's second cell; `%tokens` is run in the first one."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.page.evaluate(
            """async source => {
              const { commands, shell } = window.jupyterapp;
              await commands.execute('notebook:insert-cell-below');
              shell.currentWidget.content.activeCell.model.sharedModel.setSource(source);
              await commands.execute('notebook:run-cell');
            }""",
            WIDGET,
        )
        self.panel = lab.card("oneaccess")
        self.widget = self.output(1)

    def output(self, number: int) -> Locator:
        return self.lab.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-Cell-outputArea")

    def agree(self, state: str, *variables: str, panel: str = "") -> None:
        """variables : that the notebook has the token in, and no others. panel : its state, if it is another."""
        expect(self.panel).to_contain_text(panel or state)
        expect(self.widget).to_contain_text(state)
        self.lab.run_cell("%tokens")
        row = self.output(0).locator("tr", has_text="oneaccess")
        expect(row).to_contain_text(state)
        for variable in ("ONEACCESS_TOKEN", "ANOTHER"):
            held = variable in variables
            (expect(self.panel).to_contain_text if held else expect(self.panel).not_to_contain_text)(
                f"views.ipynb ({variable},"
            )
            for view in (self.widget, row):
                (expect(view).to_contain_text if held else expect(view).not_to_contain_text)(variable)
        bar = self.lab.page.locator("#jp-main-statusbar")
        (expect(bar).to_contain_text if variables else expect(bar).not_to_contain_text)("oneaccess: ")


def test_all_views_agree(lab: Lab) -> None:
    lab.open_notebook("views.ipynb")
    views = Views(lab)
    views.agree("not fetched")
    lab.press("oneaccess", "Inject")
    views.agree("fresh", "ONEACCESS_TOKEN")
    lab.run_cell("%gettoken oneaccess --env ANOTHER")
    views.agree("fresh", "ONEACCESS_TOKEN", "ANOTHER")
    lab.run_cell("%deltoken oneaccess")
    # The server has the token still, the notebook has not.
    views.agree("not fetched", panel="fresh")
    lab.press("oneaccess", "Forget")
    views.agree("not fetched")
