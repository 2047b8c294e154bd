"""What a user does in JupyterLab, and all that a browser is told, shows and keeps."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from playwright.sync_api import Page, expect, sync_playwright
from playwright.sync_api import WebSocket as Socket

from jupyter_tokens.widgets.row import COMM_TARGET

from ..e2e.browser import FLAGS
from ..e2e.test_widgets import press, row
from ..labextension.page import Lab
from .house import House, Server, plain
from .places import BROWSER, CONSOLE, PAGE, REQUEST, SOCKET
from .vendors import Vendors

_WIDGETS = "from jupyter_tokens import TokenCard, TokenPanel\ndisplay(TokenPanel(), TokenCard('pai-dlc'))"
_STORED = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"


class Browsing:
    """One browser with a profile folder of its own."""

    def __init__(self, house: House, server: Server, vendors: Vendors) -> None:
        self._house, self._server, self._vendors = house, server, vendors
        self._recording = house.folder / "recording.har"
        self._frames: list[tuple[str, str, str | bytes]] = []
        self._reveals: set[str] = set()

    def all(self) -> None:
        """Everything that a user can do there with tokens."""
        with self.open() as page:
            self._visit(page)

    @contextmanager
    def open(self) -> Iterator[Page]:
        """A page. What it is told, asks for and prints is kept when it is closed."""
        chromium = shutil.which("chromium")
        assert chromium is not None, "chromium is missing; the Makefile installs it"
        with sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                self._house.profile,
                executable_path=chromium,
                args=list(FLAGS),
                permissions=["clipboard-read", "clipboard-write"],
                viewport={"width": 1280, "height": 1600},
                record_har_path=self._recording,
                record_har_content="embed",
            )
            page = context.new_page()
            page.on("console", lambda message: self._house.note(CONSOLE, message.type, message.text))
            page.on("pageerror", lambda error: self._house.note(CONSOLE, "error of the page", str(error)))
            page.on("websocket", self._listen)
            try:
                yield page
                self._house.note(PAGE, "what it shows at the end", page.content())
                self._house.note(PAGE, "what it stores", page.evaluate(_STORED))
            finally:
                # Only now the recording is written.
                context.close()
        self._keep_frames()
        self._keep_recording()

    def _visit(self, page: Page) -> None:
        page.goto(f"{self._server.url}/login")
        page.locator("input[name=password]").fill(self._house.made["login"])
        page.locator("#login_submit").click()
        lab = Lab(page, self._server)
        lab.open()
        lab.open_panel()
        lab.open_notebook("panel.ipynb", source=_WIDGETS)
        self._panel(lab)
        self._form(lab)
        self._widgets(lab)
        with page.expect_response(lambda answer: "/contents/" in answer.url and answer.request.method == "PUT"):
            lab.command("docmanager:save")

    def _panel(self, lab: Lab) -> None:
        lab.press("oneaccess", "Inject")
        expect(lab.card("oneaccess")).to_contain_text("is set in panel.ipynb")
        lab.press("oneaccess", "Reveal")
        shown = lab.card("oneaccess").get_by_role("group", name="Token of oneaccess")
        expect(shown.locator("code")).not_to_be_empty()
        shown.get_by_role("button", name="Hide").click()
        expect(shown).to_have_count(0)
        lab.press("oneaccess", "Copy")
        expect(lab.card("oneaccess")).to_contain_text("Copied")
        lab.press("wrong", "Fetch")
        lab.expect_state("wrong", "failed")
        # A kernel keeps it fresh, so there may be one.
        lab.card("short").get_by_role("button", name=re.compile("^(Fetch|Refresh) short$")).click()
        lab.expect_state("short", "fresh")
        self._vendors.fails("modelarts", "wrong-types")
        lab.press("modelarts", "Refresh")
        expect(lab.card("modelarts").get_by_role("alert")).to_be_visible()

    def _form(self, lab: Lab) -> None:
        lab.panel.get_by_role("button", name="Add a profile").click()
        form = lab.panel.get_by_role("form", name="Add a profile")
        form.get_by_label("Name", exact=True).fill("panel")
        form.get_by_label("Provider", exact=True).select_option("oneaccess")
        form.get_by_label("Endpoint", exact=True).fill(self._vendors.url)
        form.get_by_label("Client ID", exact=True).fill("client-panel")
        form.get_by_label("Where to store Client secret").select_option("keyring")
        alert, status = form.get_by_role("alert"), form.get_by_role("status")
        for secret, shown, told in (("mistyped", alert, "Check"), ("panel", status, "it works")):
            form.get_by_label("Client secret", exact=True).fill(self._house.made[secret])
            form.get_by_role("button", name="Save and test").click()
            expect(shown).to_contain_text(told)
        form.get_by_role("button", name="Close").click()

    def _widgets(self, lab: Lab) -> None:
        lab.run_cell(_WIDGETS)
        panel = lab.page.locator(".jp-Notebook .jp-Cell-outputArea").first
        press(row(panel, "eiam"), "Fetch")
        expect(row(panel, "eiam")).to_contain_text("fresh")
        press(row(panel, "eiam"), "Inject")
        expect(row(panel, "eiam")).to_contain_text("$EIAM_TOKEN")
        # That of the card, which is the last.
        press(row(panel, "pai-dlc"), "Fetch")
        press(row(panel, "pai-dlc"), "Show")
        shown = lab.page.get_by_role("group", name="Token of pai-dlc")
        expect(shown.locator("code")).not_to_be_empty()
        shown.get_by_role("button", name="Hide").click()
        press(row(panel, "pai-dlc"), "Copy")
        lab.page.wait_for_function("() => navigator.clipboard.readText().then(text => text.startsWith('eyJ'))")
        press(row(panel, "wrong"), "Fetch")
        expect(row(panel, "wrong").get_by_role("alert")).to_be_visible()

    def _listen(self, socket: Socket) -> None:
        path = plain(urlsplit(socket.url).path)
        socket.on("framereceived", lambda frame: self._frames.append((path, "received", frame)))
        socket.on("framesent", lambda frame: self._frames.append((path, "sent", frame)))

    def _keep_frames(self) -> None:
        for path, way, frame in self._frames:
            data = frame.encode() if isinstance(frame, str) else frame
            told = self._told(data) if path.endswith("/channels") else ""
            self._house.note(SOCKET, f"{path} {way}{told}", data)

    def _told(self, frame: bytes) -> str:
        """What kind of message it is, and whether it belongs to the comm that hands a value over."""
        _, (head, _, _, content, *_) = deserialize_msg_from_ws_v1(frame)
        message, said = json.loads(head), json.loads(content)
        if said.get("target_name") == COMM_TARGET:
            self._reveals.add(said["comm_id"])
        whose = f" of {COMM_TARGET}" if said.get("comm_id") in self._reveals else ""
        return f": {message['msg_type']}{whose}"

    def _keep_recording(self) -> None:
        entries: list[Any] = json.loads(self._recording.read_text(encoding="utf-8"))["log"]["entries"]
        for entry in entries:
            asked, answer = entry["request"], entry["response"]
            body, content = asked.get("postData", {}).get("text", ""), answer["content"]
            name = f"{asked['method']} {plain(urlsplit(asked['url']).path)}"
            if '"reveal":true' in body.replace(" ", ""):
                name += " (reveal)"
            self._house.note(REQUEST, name, _head(asked) + body)
            data = content.get("text", "").encode()
            data = base64.b64decode(data) if content.get("encoding") == "base64" else data
            self._house.note(BROWSER, name, _head(answer).encode() + data)
        self._recording.unlink()


def _head(entry: Any) -> str:
    headers = "".join(f"{header['name']}: {header['value']}\n" for header in entry["headers"])
    return f"{entry.get('url', '')}\n{headers}\n"
