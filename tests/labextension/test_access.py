"""Who cannot see, or uses no mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from .page import Lab

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


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"])
def test_axe_finds_nothing(lab: Lab, theme: str) -> None:
    # All cards in view: of what is not drawn, axe-core sees no colours.
    lab.page.set_viewport_size({"width": 1280, "height": 2400})
    lab.page.add_script_tag(path=AXE)
    lab.theme(theme)
    lab.open_notebook("axe.ipynb")
    assert violations(lab) == []
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("is set in")
    lab.press("oneaccess", "Reveal")
    lab.press("refused", "Fetch")
    expect(lab.card("refused").get_by_role("alert")).to_be_visible()
    lab.press("short", "Parameters of")
    assert violations(lab) == []
    lab.panel.get_by_role("button", name="Add a profile").click()
    expect(lab.panel.get_by_role("form")).to_be_visible()
    assert violations(lab) == []


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
