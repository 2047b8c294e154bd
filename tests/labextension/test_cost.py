"""What the panel costs the page."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import jupyter_tokens
from jupyter_tokens.sandbox import Sandbox

from .page import Lab
from .served import serving

MANY = 200


@pytest.fixture
def crowded(page: Page, tmp_path: Path, sandbox: Sandbox, extra: dict[str, Any]) -> Iterator[Lab]:
    profiles = {f"profile-{number:03}": extra["short"] for number in range(MANY)}
    with serving("jupyterlab", tmp_path, sandbox, profiles) as served:
        lab = Lab(page, served)
        lab.open()
        lab.open_panel()
        expect(lab.panel.get_by_role("listitem")).to_have_count(MANY + 5)
        yield lab


def test_the_bundle_is_small() -> None:
    static = Path(jupyter_tokens.__file__).parent / "labextension" / "static"
    scripts = list(static.glob("*.js"))
    assert len(scripts) >= 3
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) <= 60 * 1024


def test_many_profiles_are_drawn_in_a_tenth_of_a_second(crowded: Lab) -> None:
    search = crowded.panel.get_by_role("searchbox")
    taken = []
    for _ in range(5):
        search.fill("none of them")
        expect(crowded.panel.get_by_role("listitem")).to_have_count(0)
        taken.append(
            crowded.page.evaluate(
                """async () => {
                  const input = document.querySelector('#jupyter-tokens-panel input[type=search]');
                  const cards = document.querySelector('.jp-Tokens-cards');
                  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
                  const begin = performance.now();
                  set.call(input, '');
                  input.dispatchEvent(new Event('input', {bubbles: true}));
                  if (cards.childElementCount < 200) {
                    await new Promise(done => new MutationObserver(done).observe(cards, {childList: true}));
                  }
                  cards.getBoundingClientRect();
                  return performance.now() - begin;
                }"""
            )
        )
    print(sorted(round(one) for one in taken))
    # The best of five: this machine does other things too.
    assert min(taken) <= 100


def test_the_countdown_draws_nothing_but_itself(lab: Lab) -> None:
    for name in ("oneaccess", "eiam"):
        lab.fetch(name)
    expect(lab.card("eiam").locator(".jp-Tokens-outcome")).to_be_empty()
    changed = lab.page.evaluate(
        """async () => {
          const changed = new Set();
          let ticks = 0;
          await new Promise(done => {
            new MutationObserver(records => {
              for (const {target, type} of records) {
                changed.add(`${type} ${(target.closest ? target : target.parentElement).className}`);
              }
              ticks += 1;
              if (ticks >= 4) done();
            }).observe(document.querySelector('#jupyter-tokens-panel'), {
              attributes: true, characterData: true, childList: true, subtree: true
            });
          });
          return [...changed];
        }"""
    )
    assert changed == ["childList jp-Tokens-countdown"]
