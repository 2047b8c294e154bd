"""What a user does in a browser, in words: opens the panel, presses a button of a card, runs a cell."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, expect

from ..sampling import first
from .served import DEADLINE, Served

MILLISECONDS = DEADLINE * 1000


class Lab:
    """JupyterLab in one page, with a workspace of its own."""

    def __init__(self, page: Page, served: Served) -> None:
        self.page = page
        self.served = served
        self.workspace = uuid4().hex
        page.set_default_timeout(MILLISECONDS)
        expect.set_options(timeout=MILLISECONDS)

    def open(self, path: str = "") -> None:
        path = path or f"lab/workspaces/{self.workspace}"
        self.page.goto(f"{self.served.url}/{path}?token={self.served.token}")
        self.page.wait_for_selector("#jupyter-tokens-panel", state="attached")
        # JupyterLab restores its layout, then selects the file browser and opens a launcher, which takes the focus.
        self.page.evaluate("window.jupyterapp.restored.then(() => undefined)")
        self.page.wait_for_function("window.jupyterapp.shell.currentWidget !== null")

    def command(self, name: str, **args: Any) -> None:
        """Runs a command without waiting for its end, as a menu does."""
        self.page.evaluate("([name, args]) => { void window.jupyterapp.commands.execute(name, args); }", [name, args])

    def open_panel(self) -> None:
        self.command("jupyter-tokens:show-panel")
        expect(self.panel).to_be_visible()

    def open_notebook(self, name: str, language: str = "python", source: str = "") -> None:
        """Opens a new notebook and waits until its kernel is there."""
        self.served.write_notebook(name, language, source)
        self.command("docmanager:open", path=name)
        self.until_idle()

    def until_idle(self) -> None:
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget?.sessionContext?.kernelDisplayStatus === 'idle'"
        )

    def run_cell(self, source: str) -> str:
        """Puts code into the notebook's first cell, runs it, and returns its output."""
        return str(
            self.page.evaluate(
                """async source => {
                  const panel = window.jupyterapp.shell.currentWidget;
                  panel.content.activeCellIndex = 0;
                  const cell = panel.content.activeCell;
                  cell.model.sharedModel.setSource(source);
                  await window.jupyterapp.commands.execute('notebook:run-cell');
                  const outputs = cell.model.outputs.toJSON();
                  return outputs.map(output => [output.text ?? output.evalue ?? ''].flat().join('')).join('');
                }""",
                source,
            )
        ).strip()

    def until_reported(self, profile: str, count: int) -> None:
        """Waits until the kernels have told the server in how many places they hold a profile's token."""
        deadline = time.monotonic() + DEADLINE
        while True:
            held = self.served.ask("GET", "jupyter-tokens/holdings").json()["holdings"]
            if sum(holding["profile"] == profile for holding in held) == count:
                return
            assert time.monotonic() < deadline, held
            time.sleep(0.05)

    @property
    def bar(self) -> Locator | None:
        """The status bar."""
        return self.page.locator("#jp-main-statusbar")

    @property
    def panel(self) -> Locator:
        return self.page.locator("#jupyter-tokens-panel")

    def card(self, name: str) -> Locator:
        return self.panel.locator(f'[data-profile="{name}"]')

    def button(self, name: str, action: str) -> Locator:
        """A button of a card, by what it is called."""
        return self.card(name).get_by_role("button", name=f"{action} {name}")

    def press(self, name: str, action: str) -> None:
        self.button(name, action).click()

    def add(self) -> Form:
        """Opens the form for a new profile."""
        self.panel.get_by_role("button", name="Add a profile").last.click()
        return Form(self)

    def edit(self, name: str) -> Form:
        self.press(name, "Edit")
        return Form(self, f"Edit {name}")

    def history(self) -> None:
        """Shows the history, or the cards again."""
        self.panel.get_by_role("button", name="History").click()

    def expect_state(self, name: str, state: str) -> None:
        expect(self.card(name)).to_have_attribute("data-state", state)

    def fetch(self, name: str) -> None:
        self.press(name, "Fetch")
        self.expect_state(name, "fresh")

    def theme(self, name: str) -> None:
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_selector(f'body[data-jp-theme-name="{name}"]', state="attached")


class Form:
    """The form of a profile."""

    def __init__(self, lab: Lab, name: str = "Add a profile") -> None:
        self.lab = lab
        self.root = lab.panel.get_by_role("form", name=name)

    def field(self, label: str) -> Locator:
        return self.root.get_by_label(label, exact=True)

    def fill(self, values: dict[str, str]) -> None:
        """Types a text into each field, by its label, or chooses it from the field's list."""
        for label, value in values.items():
            field = self.field(label)
            if field.evaluate("one => one.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)

    def press(self, button: str) -> None:
        self.root.get_by_role("button", name=button, exact=True).click()

    def save(self) -> None:
        """Saves and tests the profile, which works."""
        self.press("Save and test")
        expect(self.root.get_by_role("status").filter(has_text="it works")).to_be_visible()

    def remove(self) -> None:
        """Removes the profile."""
        self.press("Remove")
        self.lab.page.locator(".jp-Dialog").get_by_role("button", name="Remove").click()


class Notebook(Lab):
    """Notebook 7: each notebook is a page of its own, with a panel of its own, and there is no status bar."""

    def open(self, path: str = "tree") -> None:
        super().open(path)

    def open_notebook(self, name: str, language: str = "python", source: str = "") -> None:
        self.served.write_notebook(name, language, source)
        self.open(f"notebooks/{name}")
        self.until_idle()
        self.open_panel()

    @property
    def bar(self) -> None:
        return None


PAGES = {"jupyterlab": Lab, "notebook": Notebook}
IN_BOTH = pytest.mark.parametrize("application", first(PAGES), indirect=True)


def with_panel(lab: Lab) -> Lab:
    """Opens JupyterLab or Notebook, and the panel in it."""
    lab.open()
    lab.open_panel()
    return lab
