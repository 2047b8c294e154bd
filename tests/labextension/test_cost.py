"""What the panel costs the page."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Route, expect

import jupyter_tokens
from jupyter_tokens.sandbox import Sandbox

from ..sampling import long
from .page import Lab
from .served import Served, serving

MANY = 200
ALL = MANY + 5
# After the server's answer: how many cards the first drawing has, and the room that it leaves below them.
FIRST = """all => {
  const answered = Response.prototype.text;
  window.firstDrawn = new Promise(done => {
    Response.prototype.text = async function () {
      const text = await answered.call(this);
      if (!new URL(this.url).pathname.endsWith('/jupyter-tokens/profiles')) return text;
      Response.prototype.text = answered;
      const panel = document.querySelector('#jupyter-tokens-panel');
      let first = null;
      const drawn = new MutationObserver(() => {
        const cards = panel.querySelectorAll('.jp-Tokens-card');
        if (!cards.length) return;
        const below = cards[cards.length - 1].getBoundingClientRect().bottom;
        first ??= {cards: cards.length, room: panel.getBoundingClientRect().bottom - below};
        if (cards.length < all) return;
        drawn.disconnect();
        done(first);
      });
      drawn.observe(panel, {childList: true, subtree: true});
      return text;
    };
  });
}"""
# In how many drawings the cards come back after a search.
AGAIN = """async all => {
  const input = document.querySelector('#jupyter-tokens-panel input[type=search]');
  const cards = document.querySelector('.jp-Tokens-cards');
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  let drawings = 0;
  const complete = new Promise(done => {
    new MutationObserver(() => {
      drawings += 1;
      if (cards.childElementCount === all) done();
    }).observe(cards, {childList: true});
  });
  set.call(input, '');
  input.dispatchEvent(new Event('input', {bubbles: true}));
  await complete;
  return drawings;
}"""


@pytest.fixture
def crowded(tmp_path: Path, sandbox: Sandbox, extra: dict[str, Any]) -> Iterator[Served]:
    profiles = {f"profile-{number:03}": extra["short"] for number in range(MANY)}
    with serving("jupyterlab", tmp_path, sandbox, profiles) as served:
        yield served


def test_the_bundle_is_small() -> None:
    static = Path(jupyter_tokens.__file__).parent / "labextension" / "static"
    scripts = list(static.glob("*.js"))
    assert len(scripts) >= 3
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) <= 60 * 1024


def test_of_many_profiles_those_in_view_are_drawn_first_and_after_a_search_all_at_once(
    context: BrowserContext, crowded: Served
) -> None:
    held: list[Route] = []
    page = context.new_page()
    page.route("**/jupyter-tokens/profiles?*", lambda route: held.append(route))  # noqa: PLW0108 (no method of C is taken)
    with page.expect_request("**/jupyter-tokens/profiles?*"):
        lab = Lab(page, crowded)
        lab.open()
    lab.open_panel()
    expect(lab.panel).to_contain_text("Loading the profiles…")
    page.evaluate(FIRST, ALL)
    for route in held:
        route.continue_()
    first = page.evaluate("window.firstDrawn")
    page.unroute_all()
    assert first["cards"] < ALL / 4
    assert first["room"] <= 0
    search = lab.panel.get_by_role("searchbox")
    search.fill("none of them")
    expect(lab.panel.get_by_role("listitem")).to_have_count(0)
    assert page.evaluate(AGAIN, ALL) == 1


@long
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
