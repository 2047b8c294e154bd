"""What the panel costs the page: the bytes that a browser loads for it, and how long it takes to draw 200 profiles."""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jupyter_tokens

from .beside import installed
from .measure import Row
from .served import TOKEN, free_port, housed, started

PROFILES = 200

_BYTES_PROMISED = 60 * 1024
_SECONDS_PROMISED = 0.1
_PATIENCE_SECONDS = 120
_BROWSER = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# A search that finds nothing empties the panel; the time is from the end of that search until all cards are laid out.
_EMPTY = """async () => {
  const input = document.querySelector('#jupyter-tokens-panel input[type=search]');
  const cards = document.querySelector('.jp-Tokens-cards');
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  const type = async (text, there) => {
    set.call(input, text);
    input.dispatchEvent(new Event('input', {bubbles: true}));
    while (!there()) {
      await new Promise(done => new MutationObserver(done).observe(cards, {childList: true}));
    }
  };
  await type('none of them', () => cards.childElementCount < 200);
  const begin = performance.now();
  await type('', () => cards.childElementCount >= 200);
  cards.getBoundingClientRect();
  return performance.now() - begin;
}"""


def loaded() -> Iterator[Row]:
    """The scripts of the prebuilt extension, its style among them, compressed as a server may send them."""
    static = Path(jupyter_tokens.__file__).parent / "labextension" / "static"
    size = sum(len(gzip.compress(script.read_bytes())) for script in static.glob("*.js"))
    note = "" if size else "not built: pip install . builds it"
    ratio = size / _BYTES_PROMISED
    yield Row("panel", "scripts, compressed, of 60 KB", 0.0, ratio, 1.0, bytes=size, note=note, absent=not size)


def drawn(rounds: int) -> Iterator[Row]:
    """In Chromium, on a JupyterLab server of its own."""
    name = f"{PROFILES} profiles drawn, of 100 ms"
    chromium = shutil.which("chromium")
    if chromium is None or not installed("playwright"):
        yield Row("panel", name, 0.0, 0.0, 1.0, note="needs chromium and playwright", absent=True)
        return
    from playwright.sync_api import sync_playwright

    with _jupyterlab() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=_BROWSER)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(_PATIENCE_SECONDS * 1000)
        page.goto(f"{url}/lab?token={TOKEN}")
        page.wait_for_selector("#jupyter-tokens-panel", state="attached")
        page.evaluate("window.jupyterapp.commands.execute('jupyter-tokens:show-panel')")
        page.wait_for_function("document.querySelectorAll('.jp-Tokens-cards > *').length >= 200")
        taken = [page.evaluate(_EMPTY) / 1000 for _ in range(rounds + 2)][2:]
        browser.close()
    seconds = statistics.median(taken)
    yield Row("panel", name, seconds, seconds / _SECONDS_PROMISED, 1.0)


@contextmanager
def _jupyterlab() -> Iterator[str]:
    settings = {"provider": "astra", "endpoint": "http://127.0.0.1:9", "api_token": "benchmark-bearer"}
    port = free_port()
    with housed({f"profile-{number:03}": settings for number in range(PROFILES)}) as (home, environment):
        # Without the front end's question after news, which goes to the network.
        page = home / "labconfig" / "page_config.json"
        page.parent.mkdir()
        page.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
        options = [
            f"--port={port}",
            "--no-browser",
            "--allow-root",
            f"--notebook-dir={home}",
            "--expose-app-in-browser",
        ]
        with started(["jupyterlab", *options, f"--IdentityProvider.token={TOKEN}"], environment, port):
            yield f"http://127.0.0.1:{port}"
