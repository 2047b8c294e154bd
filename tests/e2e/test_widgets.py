"""The widgets and the magics in a real browser, and what is saved afterwards."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from jupyter_tokens.widgets.row import COMM_TARGET

from ..labextension.served import Served
from ..sampling import long
from .browser import (
    SCREENSHOTS,
    THEMES,
    chromium,
    jp_asyncio_loop,
    jp_server_cleanup,
    lab,
    open_notebook,
)
from .test_tutorials import leaks

__all__ = ["chromium", "jp_asyncio_loop", "jp_server_cleanup", "lab", "open_notebook"]  # fixtures

PANEL = "from jupyter_tokens import TokenPanel\nTokenPanel()"


def row(output: Locator, profile: str) -> Locator:
    name = output.page.locator(f"strong:text-is('{profile}')")
    return output.locator(".widget-vbox").filter(has=name).last


def press(where: Locator, button: str) -> None:
    where.get_by_role("button", name=button, exact=True).click()


# A cell that runs for as long as a test wants it to.
UNTIL_TOLD = """
import time
from pathlib import Path
print("running")
while not Path("{0}").exists():
    time.sleep(0.05)
print("end.")
"""


@long
def test_the_countdown_goes_on_while_a_cell_runs_and_a_click_is_served_after_it(
    open_notebook: Any, lab: Served
) -> None:
    notebook = open_notebook(PANEL, UNTIL_TOLD.format("go-on"))
    panel = notebook.run(0)
    for profile in ("modelarts", "pai-dlc", "oneaccess", "astra", "eiam"):
        expect(row(panel, profile)).to_contain_text("not fetched")
    press(row(panel, "oneaccess"), "Fetch")
    expect(row(panel, "oneaccess")).to_contain_text("fresh 29:")
    busy = notebook.run(1)
    expect(busy).to_contain_text("running")
    seen = row(panel, "oneaccess").inner_text()
    for _ in range(3):
        expect(row(panel, "oneaccess")).not_to_have_text(seen)
        seen = row(panel, "oneaccess").inner_text()
    # A click is a message to the kernel, which reads it when the cell has ended.
    press(row(panel, "eiam"), "Fetch")
    expect(busy).not_to_contain_text("end.")
    (lab.root / "go-on").touch()
    expect(busy).to_contain_text("end.")
    expect(row(panel, "eiam")).to_contain_text("fresh 23 h")


def test_a_panel_counts_down_in_the_very_cell_that_shows_it(open_notebook: Any, lab: Served) -> None:
    cell = (
        "%load_ext jupyter_tokens\n%gettoken oneaccess\nfrom jupyter_tokens import TokenPanel\ndisplay(TokenPanel())\n"
    )
    notebook = open_notebook(cell + UNTIL_TOLD.format("go-on-too"))
    panel = notebook.run(0)
    expect(row(panel, "oneaccess")).to_contain_text("$ONEACCESS_TOKEN")
    seen = row(panel, "oneaccess").inner_text()
    expect(row(panel, "oneaccess")).not_to_have_text(seen)
    expect(panel).not_to_contain_text("end.")
    (lab.root / "go-on-too").touch()
    expect(panel).to_contain_text("end.")


def test_an_error_stands_at_its_profile_with_code_and_request_id_until_it_is_over(
    open_notebook: Any, lab: Served
) -> None:
    notebook = open_notebook(PANEL)
    panel = notebook.run(0)
    lab.sandbox.plan({"api": "modelarts", "kind": "401", "times": None})
    press(row(panel, "modelarts"), "Refresh")
    alert = row(panel, "modelarts").get_by_role("alert")
    expect(alert).to_contain_text("code ")
    expect(alert).to_contain_text("request id ")
    expect(row(panel, "modelarts")).to_contain_text("failed")
    lab.sandbox.clear_faults()
    press(row(panel, "modelarts"), "Refresh")
    expect(row(panel, "modelarts")).to_contain_text("fresh")
    expect(panel.get_by_role("alert")).to_have_count(0)


@long
def test_a_token_with_parameters_goes_into_a_chosen_variable(open_notebook: Any) -> None:
    read = "print(type(mine).__name__, mine.profile, mine.metadata, 'end.')"
    notebook = open_notebook("from jupyter_tokens import TokenCard\nTokenCard('pai-dlc', ExpireTime=90)", read)
    card = notebook.run(0)
    expect(card.get_by_label("ExpireTime")).to_have_value("90")
    expect(card.get_by_label("TargetId")).to_have_attribute("placeholder", "dlc1a2b3c4d5e6f7")
    expect(card.get_by_label("TargetType").locator("option")).to_have_text(["job", "job", "tensorboard"])
    card.get_by_label("TargetType").select_option(index=2)
    card.get_by_label("TargetId").fill("tb-0001")
    card.get_by_label("Inject into").select_option("Python variable")
    card.get_by_title("Name of the variable, or path of the file").fill("mine")
    press(card, "Inject")
    expect(row(card, "pai-dlc")).to_contain_text("mine")
    expect(row(card, "pai-dlc")).to_contain_text(re.compile(r"fresh 1:[0-2]\d"))
    assert notebook.printed(1).startswith("Token pai-dlc ")


@long
def test_a_wrong_parameter_is_an_error_at_the_form(open_notebook: Any) -> None:
    notebook = open_notebook("from jupyter_tokens import TokenCard\nTokenCard('modelarts')")
    card = notebook.run(0)
    card.get_by_label("instance_id").fill("a/b")
    press(card, "Fetch")
    expect(card.get_by_role("alert")).to_contain_text("instance_id must be an id, without a slash")


def test_all_of_it_is_reached_by_the_keyboard(open_notebook: Any) -> None:
    notebook = open_notebook(PANEL)
    panel = notebook.run(0)
    page = notebook.page
    row(panel, "eiam").get_by_role("button", name="Fetch", exact=True).focus()
    page.keyboard.press("Tab")
    expect(row(panel, "eiam").get_by_role("button", name="Inject")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row(panel, "eiam")).to_contain_text("$EIAM_TOKEN")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(panel.get_by_label("InstanceId")).to_be_visible()
    page.keyboard.press("Tab")
    expect(panel.get_by_label("InstanceId")).to_be_focused()


@long
def test_profiles_that_come_late_appear_by_themselves(open_notebook: Any) -> None:
    late = "from jupyter_tokens.widgets import live\nlive.READ_TIMEOUT_SECONDS = 0\n"
    cells = PANEL, "from jupyter_tokens import TokenCard\nTokenCard('pai-dlc')"
    notebook = open_notebook(late + cells[0], late + cells[1])
    panel, card = notebook.run(0), notebook.run(1)
    expect(row(panel, "oneaccess")).to_contain_text("not fetched")
    expect(card.get_by_label("TargetId")).to_be_visible()


@long
def test_without_a_place_for_it_no_value_is_revealed(open_notebook: Any, lab: Served) -> None:
    notebook = open_notebook("from jupyter_tokens import TokenCard\nTokenCard('oneaccess')")
    card = notebook.run(0)
    press(card, "Fetch")
    expect(card).to_contain_text("fresh")
    press(card, "Show")
    expect(card.get_by_role("alert")).to_contain_text("cannot show or copy a token")
    assert any(COMM_TARGET in frame for frame in notebook.frames)
    assert not leaks("".join(notebook.frames), lab.sandbox)


COUNT = """
import threading
from ipywidgets.widgets.widget import _instances
print(len(_instances), sum("jupyter_tokens widgets" == thread.name for thread in threading.enumerate()), "end.")
"""


@long
def test_a_cell_that_is_run_again_leaves_nothing_of_what_it_showed_before(open_notebook: Any) -> None:
    notebook = open_notebook(PANEL, COUNT)
    panel = notebook.run(0)
    expect(row(panel, "oneaccess")).to_contain_text("not fetched")
    first = notebook.printed(1)
    for _ in range(3):
        notebook.run(0)
        expect(row(panel, "oneaccess")).to_contain_text("not fetched")
    assert notebook.printed(1) == first
    assert re.search(r" 1 end\.", first)


def test_what_is_saved_holds_no_token_in_any_form(open_notebook: Any, lab: Served) -> None:
    notebook = open_notebook(PANEL, "from jupyter_tokens import TokenCard\nTokenCard('oneaccess')")
    panel, card = notebook.run(0), notebook.run(1)
    for profile in ("modelarts", "pai-dlc", "oneaccess", "eiam"):
        press(row(panel, profile), "Inject")
        expect(row(panel, profile)).to_contain_text("_TOKEN")
    press(card, "Copy")
    expect(card.get_by_role("alert")).to_be_visible()
    text = notebook.saved()
    state = json.loads(text)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert any("ONEACCESS_TOKEN" in json.dumps(model) for model in state.values())
    assert not leaks(text, lab.sandbox)
    assert not leaks("".join(notebook.frames), lab.sandbox)


@long
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_either_theme(open_notebook: Any, lab: Served, theme: str, tmp_path: Path) -> None:
    lab.set(THEMES, {"theme": f"JupyterLab {theme}"})
    notebook = open_notebook(PANEL, "from jupyter_tokens import TokenCard\nTokenCard('pai-dlc', ExpireTime=90)")
    panel = notebook.run(0)
    press(row(panel, "oneaccess"), "Inject")
    expect(row(panel, "oneaccess")).to_contain_text("$ONEACCESS_TOKEN")
    lab.sandbox.plan({"api": "modelarts", "kind": "throttle", "times": None})
    press(row(panel, "modelarts"), "Refresh")
    alert = row(panel, "modelarts").get_by_role("alert")
    expect(alert).to_be_visible()
    card = notebook.run(1)
    press(card, "Fetch")
    expect(row(card, "pai-dlc")).to_contain_text("fresh 1:")
    for text in (row(panel, "eiam").locator("strong"), row(panel, "eiam").get_by_text("not fetched"), alert):
        assert contrast(text) >= 4.5
    for label in card.locator("label:visible").all():
        assert label.evaluate("it => it.scrollWidth <= it.clientWidth"), label.inner_text()
    folder = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
    notebook.page.keyboard.press("Control+b")  # the side bar
    notebook.page.locator("#jp-left-stack").wait_for(state="hidden")
    notebook.page.screenshot(path=folder / f"widgets-{theme.lower()}.png")


CONTRAST = """
element => {
  const light = color => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let below = element;
  while (getComputedStyle(below).backgroundColor === 'rgba(0, 0, 0, 0)') below = below.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(below).backgroundColor].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""


def contrast(text: Locator) -> float:
    """Between a text and what is behind it, as the Web Content Accessibility Guidelines reckon it."""
    ratio: float = text.evaluate(CONTRAST)
    return ratio


MAGICS = (
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
    """Cards, table, loan, error, and what is in the notebook that is saved."""
    notebook = open_notebook(*MAGICS)
    outputs = [notebook.run(0)]
    expect(outputs[0]).to_contain_text("until the kernel ends")
    seen = (
        ("sharing, ", "share.token", "until the kernel ends"),
        ("lent: True",),
        ("$ONEACCESS_TOKEN", "fresh", "source: Jupyter server"),
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
