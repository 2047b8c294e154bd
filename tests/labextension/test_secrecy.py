from __future__ import annotations

import json

from playwright.sync_api import Response, WebSocket, expect

from .page import Lab
from .test_panel import value_of


def test_the_value_is_in_no_answer_but_the_reveals_and_nothing_saves_it(lab: Lab) -> None:
    answers: list[Response] = []
    frames: list[str] = []

    def listen(socket: WebSocket) -> None:
        for event in ("framereceived", "framesent"):
            socket.on(event, lambda frame: frames.append(frame if isinstance(frame, str) else frame.decode("latin-1")))

    lab.page.on("websocket", listen)
    lab.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 (no method of C is taken)
    lab.open_notebook("secret.ipynb")
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("is set in secret.ipynb")
    lab.press("oneaccess", "Reveal")
    shown = lab.card("oneaccess").get_by_role("group", name="Token of oneaccess")
    expect(shown).to_be_visible()
    value = value_of(lab, "oneaccess")
    expect(shown.locator("code")).to_have_text(value)
    lab.run_cell("import os; print(len(os.environ['ONEACCESS_TOKEN']))")
    with lab.page.expect_response(lambda answer: "/contents/" in answer.url and answer.request.method == "PUT"):
        lab.command("docmanager:save")
    shown.get_by_role("button", name="Hide").click()
    with_value = []
    for answer in answers:
        body = answer.text() if answer.ok and "json" in answer.headers.get("content-type", "") else ""
        if value in body:
            with_value.append((answer.request.method, answer.url, json.loads(answer.request.post_data or "{}")))
    assert [asked["reveal"] for _, _, asked in with_value] == [True]
    assert frames
    assert not any(value in frame for frame in frames)
    assert value not in (lab.served.root / "secret.ipynb").read_text()
    for file in lab.served.home.rglob("*.jupyterlab-*"):
        assert value not in file.read_text()
    stored = lab.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert value not in stored
    assert value not in lab.page.content()
    assert value not in (lab.served.home / "server.log").read_text()
