"""The service's page in a real browser: axe-core finds nothing, and the page's own policy lets its style through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from ..service.conftest import ALICE, ROOT, Ask, application, ask, hub, port, profiles, sandbox, service  # noqa: F401
from .browser import chromium, jp_asyncio_loop, jp_server_cleanup  # noqa: F401

AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
SCRIPT = """() => {
  const script = document.createElement('script');
  script.text = 'window.ran = 1';
  document.body.append(script);
}"""
HANDLE = {"id": "0" * 31 + "1", "key": "1" * 64, "profile": "oneaccess"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: Any, chromium: Browser, ask: Ask, port: int) -> None:  # noqa: F811
    assert ask("POST", "v1/token", ALICE, {"profile": "oneaccess"}).status_code == 200
    assert ask("POST", "v1/handles", ALICE, HANDLE).status_code == 200
    headers = {"Authorization": f"token {ROOT}"}
    # A page that lets no script run cannot be looked at by one.
    with chromium.new_context(color_scheme=scheme, extra_http_headers=headers, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/services/jupyter-tokens/")
        assert page.get_by_role("button").count() == 2
        page.add_script_tag(path=AXE)
        found = page.evaluate("() => axe.run()")
    assert [(one["id"], node["html"]) for one in found["violations"] for node in one["nodes"]] == []


def test_it_is_styled_and_runs_no_script(chromium: Browser, ask: Ask, port: int) -> None:  # noqa: F811
    with chromium.new_context(extra_http_headers={"Authorization": f"token {ALICE}"}) as context:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"http://127.0.0.1:{port}/services/jupyter-tokens/")
        assert page.evaluate("() => getComputedStyle(document.body).maxWidth") != "none"
        page.evaluate(SCRIPT)
        assert page.evaluate("() => window.ran") is None
        assert any("Content Security Policy" in text for text in said)
