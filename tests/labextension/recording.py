"""All that a browser asks, is told and stores during one test, and where in it a text stands."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import BrowserContext, Page, WebSocket

from jupyter_tokens.sandbox import Sandbox

from ..e2e.test_tutorials import forms

_STORED = "JSON.stringify([{...localStorage}, {...sessionStorage}])"


class Recording:
    """What one browser context does: its requests, the answers, the frames of its websockets, what it stores.

    folder : where Playwright writes answers. searched : names of those that another test has searched; what has the
    same digest was written before any token of this test was.
    """

    def __init__(self, folder: Path, searched: set[str]) -> None:
        self.archive = folder / "recording.har"
        self._searched = searched
        self._frames: dict[str, list[str]] = {}
        self._stored: list[str] = []
        self._context: BrowserContext | None = None

    def follow(self, context: BrowserContext) -> None:
        """Begins: every page of the context, from its first request on."""
        self._context = context
        context.on("page", lambda page: page.on("websocket", self._listen))

    def end(self) -> None:
        """Closes the pages: only then the answers are written."""
        if self._context is not None:
            self._stored.append(json.dumps(self._context.storage_state(indexed_db=True)))
            self._stored.extend(page.evaluate(_STORED) for page in self._context.pages if _is_open(page))
            self._context.close()
            self._context = None

    def leaks(self, values: Collection[str]) -> list[str]:
        """Where one of the values stands, in any form, but for the answer to a reveal and a form's own request."""
        return [where for where, allowed in self._places(values) if not allowed]

    def allowed(self, values: Collection[str]) -> list[str]:
        """Where one of the values stands and may: which is to be seen, or nothing is known of what is not."""
        return [where for where, allowed in self._places(values) if allowed]

    def _places(self, values: Collection[str]) -> Iterator[tuple[str, bool]]:
        written = every_form(values)
        recorded = False
        for where, text, allowed in self._told():
            recorded |= where.endswith("/jupyter-tokens/profiles") and '"profiles"' in text
            if any(form in text for form in written):
                yield where, allowed
        assert recorded, "not even the panel's own question was recorded"

    def _told(self) -> Iterator[tuple[str, str, bool]]:
        for url, frames in self._frames.items():
            yield f"frames of {url}", "".join(frames), False
        for stored in self._stored:
            yield "what the page stores", stored, False
        for entry in json.loads(self.archive.read_text(encoding="utf-8"))["log"]["entries"]:
            yield from self._exchange(entry["request"], entry["response"])

    def _exchange(self, request: dict[str, Any], response: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
        """A request and its answer, headers included."""
        posted = self._text(request.get("postData", {}))
        path = urlsplit(request["url"]).path
        where = f"{request['method']} {path}"
        names = path.partition("/jupyter-tokens/profiles/")[2].split("/")
        # A form sends what was typed, to save it or to list ids before that; a reveal is answered with the value.
        # Nothing else may.
        saves = request["method"] == "PUT" and len(names) == 1 and names != [""]
        lists = request["method"] == "POST" and names[1:] == ["values"] and "settings" in json.loads(posted)
        asks = request["method"] == "POST" and names[1:] == ["token"]
        reveals = asks and json.loads(posted).get("reveal") is True
        yield f"request {where}", posted, saves or lists
        yield f"address {where}", unquote(request["url"]) + json.dumps(request["headers"]), False
        yield f"answer to {where}", self._text(response["content"]), reveals
        yield f"headers of the answer to {where}", json.dumps(response["headers"]), False

    def _text(self, content: dict[str, Any]) -> str:
        name = content.get("_file")
        if name is None:
            return str(content.get("text", ""))
        file = self.archive.parent / name
        return file.read_text(encoding="utf-8", errors="replace") if name not in self._searched else ""

    def done(self) -> None:
        """What is here needs no other search: Playwright names an answer by its digest."""
        self._searched.update(file.name for file in self.archive.parent.iterdir() if file.suffix in {".js", ".css"})

    def _listen(self, socket: WebSocket) -> None:
        kept = self._frames.setdefault(urlsplit(socket.url).path, [])

        def keep(frame: str | bytes) -> None:
            kept.append(frame if isinstance(frame, str) else frame.decode("utf-8", errors="replace"))

        socket.on("framereceived", keep)
        socket.on("framesent", keep)


def _is_open(page: Page) -> bool:
    return not page.is_closed() and page.url.startswith("http")


def confidential(sandbox: Sandbox) -> Collection[str]:
    """Every token that a sandbox has issued, and the secrets of its accounts."""
    accounts, issued = sandbox.accounts, sandbox.issued
    pairs = (accounts.alibaba, accounts.huawei, accounts.iam, accounts.oneaccess)
    return {*issued, *chain.from_iterable(pair.values() for pair in pairs), *accounts.astra}


def every_form(values: Collection[str]) -> set[str]:
    """The ways in which one of the values may stand in a text."""
    return {form for value in values for form in forms(value).values()}
