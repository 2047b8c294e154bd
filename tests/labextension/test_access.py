"""Who cannot see, or uses no mouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from ..sampling import first
from .page import Lab
from .test_usage import choose

THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")
AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"


def violations(lab: Lab) -> list[str]:
    """What axe-core finds in the panel, with where and why."""
    found: dict[str, Any] = lab.page.evaluate(
        """async () => {
          // What moves or fades has no colour yet.
          await Promise.all(document.getAnimations().filter(a => a.effect?.getTiming().iterations !== Infinity)
            .map(a => a.finish()));
          return axe.run('#jupyter-tokens-panel');
        }"""
    )
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def states(lab: Lab) -> Iterator[str]:
    """Leads the panel through what it can show; each state by its name."""
    lab.open_notebook("states.ipynb")
    expect(lab.panel).to_contain_text("Inject into states.ipynb")
    yield "cards"
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("is set in")
    lab.press("oneaccess", "Reveal")
    lab.press("refused", "Fetch")
    expect(lab.card("refused").get_by_role("alert")).to_be_visible()
    lab.press("short", "Parameters of")
    yield "a value, an error and parameters"
    handle = {"id": uuid4().hex, "key": "1e" * 32, "profile": "eiam", "lease": 60}
    assert lab.served.ask("POST", "jupyter-tokens/handles", handle).is_success
    expect(lab.button("eiam", "Revoke")).to_be_visible()
    lab.press("modelarts", "Parameters of")
    lab.card("modelarts").get_by_role("button", name="List instance_id").click()
    expect(lab.card("modelarts")).to_contain_text("found. Type to filter, or press the down arrow.")
    lab.card("modelarts").get_by_label("project_id", exact=True).fill("nowhere")
    lab.card("modelarts").get_by_role("button", name="List instance_id").click()
    expect(lab.card("modelarts").get_by_role("alert")).to_be_visible()
    yield "a handle and a list of ids"
    choose(lab, "eiam", "httpx")
    expect(lab.card("eiam").get_by_label("Code for eiam", exact=True)).to_contain_text("get_token")
    yield "use it"
    lab.press("openid-device", "Log in to")
    expect(lab.card("openid-device")).to_contain_text("and enter the code")
    yield "a login"
    lab.press("openid-device", "Cancel the login to")
    lab.history()
    expect(lab.panel.get_by_role("list", name="History")).to_contain_text("injected into states.ipynb")
    yield "the history"
    lab.history()
    form = lab.add()
    form.fill({"Provider": "oauth2"})
    form.root.get_by_text("Advanced").click()
    yield "the form"
    form.fill({"Provider": "static", "Name": "states", "Token": "a-key-of-this-test", "Environment variable": "PATH"})
    form.press("Save and test")
    expect(form.root.get_by_role("alert")).to_contain_text("PATH")
    yield "an error at a field"


@pytest.mark.parametrize("look", first([*THEMES, "forced colours"]))
def test_axe_finds_nothing(lab: Lab, look: str) -> None:
    # All cards in view: of what is not drawn, axe-core sees no colours.
    lab.page.set_viewport_size({"width": 1280, "height": 3200})
    lab.page.add_script_tag(path=AXE)
    if look in THEMES:
        lab.theme(look)
    else:
        lab.page.emulate_media(forced_colors="active")
    assert {state: found for state in states(lab) if (found := violations(lab))} == {}


@pytest.mark.parametrize("theme", first(THEMES))
def test_axe_finds_nothing_in_the_empty_panel(empty: Lab, theme: str) -> None:
    empty.page.add_script_tag(path=AXE)
    empty.theme(theme)
    assert violations(empty) == []
    narrow(empty, 250)
    assert wider(empty) == []


@pytest.mark.parametrize(("width", "height"), first([(640, 430), (1280, 860)]))
def test_nothing_is_wider_than_the_panel(lab: Lab, width: int, height: int) -> None:
    """What a browser shows at 200 % is a page of half the width and height."""
    lab.page.set_viewport_size({"width": width, "height": height})
    seen = {}
    for state in states(lab):
        narrow(lab, 250)
        seen[state] = wider(lab)
    assert not any(seen.values()), seen
    assert len(seen) > 1


def narrow(lab: Lab, width: int) -> None:
    """Makes the sidebar as narrow as this, in pixels."""
    handle = lab.page.locator("#jp-main-split-panel > .lm-SplitPanel-handle:visible").last
    for _ in range(2):
        box, panel = handle.bounding_box(), lab.panel.bounding_box()
        assert box is not None
        assert panel is not None
        lab.page.mouse.move(box["x"] + 2, box["y"] + 100)
        lab.page.mouse.down()
        lab.page.mouse.move(box["x"] + 2 + panel["width"] - width, box["y"] + 100)
        lab.page.mouse.up()
    box = lab.panel.bounding_box()
    assert box is not None
    assert abs(box["width"] - width) <= 1


def wider(lab: Lab) -> list[str]:
    """What reaches over the panel's right edge."""
    found: list[str] = lab.page.evaluate(
        """() => {
          const panel = document.querySelector('#jupyter-tokens-panel');
          const edge = panel.getBoundingClientRect().left + panel.clientWidth + 0.5;
          return [...panel.querySelectorAll('*')]
            .filter(one => one.getBoundingClientRect().right > edge)
            .map(one => one.outerHTML.slice(0, 120));
        }"""
    )
    return found


def test_every_action_can_be_reached_by_keyboard(lab: Lab) -> None:
    # The launcher takes the focus when it comes; a notebook with its kernel comes after it.
    lab.open_notebook("keys.ipynb")
    lab.fetch("oneaccess")
    expect(lab.card("oneaccess")).to_have_attribute("aria-busy", "false")
    wanted = lab.panel.get_by_role("button").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert {"Reveal oneaccess", "Add a profile", "Refresh all tokens"} <= set(wanted)
    lab.panel.get_by_role("button").first.focus()
    reached = set()
    while (label := focused(lab)) is not None:
        reached.add(label)
        lab.page.keyboard.press("Tab")
    assert reached == {*wanted, "Search profiles"}


def test_the_focus_is_never_lost(lab: Lab) -> None:
    lab.open_notebook("keys.ipynb")
    lab.button("eiam", "Fetch").focus()
    lab.page.keyboard.press("Enter")
    lab.expect_state("eiam", "fresh")
    assert focused(lab) == "Refresh eiam"
    lab.button("eiam", "Forget").focus()
    lab.page.keyboard.press("Enter")
    lab.expect_state("eiam", "none")
    expect(lab.button("eiam", "Fetch")).to_be_focused()
    lab.button("eiam", "Parameters of").focus()
    lab.page.keyboard.press("Space")
    expect(lab.button("eiam", "Parameters of")).to_have_attribute("aria-expanded", "true")
    lab.panel.get_by_role("button", name="Add a profile").focus()
    lab.page.keyboard.press("Enter")
    expect(lab.panel.get_by_label("Name", exact=True)).to_be_focused()
    lab.panel.get_by_role("button", name="Cancel").focus()
    lab.page.keyboard.press("Enter")
    expect(lab.panel.get_by_role("button", name="Refresh all tokens")).to_be_focused()


def focused(lab: Lab) -> str | None:
    """What the focus is on, if that is in the panel."""
    label: str | None = lab.page.evaluate(
        "document.activeElement?.closest('#jupyter-tokens-panel') ? document.activeElement.ariaLabel : null"
    )
    return label
