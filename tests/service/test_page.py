"""The page for people: the hub's login, what a user and an admin see of it, and its buttons."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.service.app import TokenService

from ..doubles import Clock
from .conftest import ALICE, BOB, CAROL, NARROW, PREFIX, ROOT, SECRETS, SERVICE, Hub, serving, user


@pytest.fixture
def call(port: int) -> Callable[..., httpx.Response]:
    def call(token: str, method: str, path: str, **body: Any) -> httpx.Response:
        headers = {"Authorization": f"token {token}"}
        return httpx.request(method, f"http://127.0.0.1:{port}{PREFIX}v1/{path}", headers=headers, json=body)

    return call


@pytest.fixture
def handle(call: Callable[..., httpx.Response]) -> Handle:
    """One of Alice's, who has a token as well; so has Bob."""
    for token, profile in ((ALICE, "oneaccess"), (BOB, "pai-dlc")):
        assert call(token, "POST", "token", profile=profile).status_code == 200
    handle = Handle.new("oneaccess", {})
    facts = {"id": handle.id, "key": handle.key.hex(), "profile": "oneaccess"}
    assert call(ALICE, "POST", "handles", **facts).status_code == 200
    return handle


def test_users_see_their_own_and_admins_all(browse: Any, handle: Handle) -> None:
    alice, bob, root = browse().page(ALICE), browse().page(BOB), browse().page(ROOT)
    assert "oneaccess" in alice
    assert handle.id in alice
    assert "pai-dlc" not in alice
    assert "bob" not in alice
    assert "pai-dlc" in bob
    assert "big" in bob
    assert handle.id not in bob
    assert "alice" not in bob
    assert all(said in root for said in ("alice", "bob", "oneaccess", "pai-dlc", handle.id))


def test_no_value_is_shown(browse: Any, handle: Handle, call: Any) -> None:
    values = [call(ALICE, "POST", "token", profile="oneaccess").json()["value"]]
    for token in (ALICE, ROOT):
        text = browse().page(token)
        for hidden in (*values, handle.key.hex(), ALICE, BOB, ROOT, *SECRETS.values()):
            assert hidden not in text


def test_since_when_and_how_long(browse: Any, call: Any, clock: Clock, service: TokenService) -> None:
    call(ALICE, "POST", "token", profile="oneaccess")
    [first] = service.audit.holdings()
    clock.advance(30)
    call(ALICE, "POST", "token", profile="oneaccess", refresh=True)
    [second] = service.audit.holdings()
    assert second.since == first.since
    assert second.until is not None
    assert first.until is not None
    assert second.until > first.until
    clock.advance(100_000)
    assert service.audit.holdings() == []


def test_a_users_tokens_with_and_without_a_server(browse: Any, call: Any, hub: Hub) -> None:
    hub.owners["hub-t0ken-by-hand"] = user("alice", "physics", server=None)
    for token in (ALICE, "hub-t0ken-by-hand"):
        assert call(token, "POST", "token", profile="oneaccess").status_code == 200
    text = browse().page(ALICE)
    assert ("<td>not a server</td>" in text, "<td>default</td>" in text) == (True, True)


def test_revoked_by_its_owner_and_by_an_admin_and_by_nobody_else(
    browse: Any, handle: Handle, service: TokenService
) -> None:
    bob = browse()
    assert bob.press(bob.page(BOB), revoke=handle.id).status_code == 404
    assert len(service.handles.in_use()) == 1
    alice = browse()
    pressed = alice.press(alice.page(ALICE), revoke=handle.id)
    assert (pressed.status_code, pressed.headers["Location"]) == (303, PREFIX)
    assert service.handles.in_use() == []
    assert "revoked" in alice.get().text


def test_an_admin_revokes_and_forgets_what_others_have(
    browse: Any, handle: Handle, service: TokenService, call: Any, sandbox: Sandbox
) -> None:
    root = browse()
    text = root.page(ROOT)
    assert root.press(text, revoke=handle.id).status_code == 303
    assert service.handles.in_use() == []
    before = call(ALICE, "POST", "token", profile="oneaccess").json()["value"]
    assert root.press(text, forget="oneaccess", user="alice").status_code == 303
    assert call(ALICE, "POST", "token", profile="oneaccess").json()["value"] != before


def test_a_user_forgets_what_is_granted_and_no_other_users(browse: Any, handle: Handle, call: Any) -> None:
    alice, carol = browse(), browse()
    text = alice.page(ALICE)
    before = call(ALICE, "POST", "token", profile="oneaccess").json()["value"]
    assert alice.press(text, forget="oneaccess", user="bob").status_code == 403
    assert carol.press(carol.page(CAROL) or "", forget="oneaccess").status_code == 403
    assert call(ALICE, "POST", "token", profile="oneaccess").json()["value"] == before
    assert alice.press(text, forget="oneaccess").status_code == 303
    assert call(ALICE, "POST", "token", profile="oneaccess").json()["value"] != before


def test_what_is_wrong_at_the_service_is_for_its_log(
    browse: Any, handle: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    alice = browse()
    answer = alice.press(alice.page(ALICE), forget="wrong")
    assert answer.status_code == 409
    assert "its configuration or secret is wrong" in answer.text
    assert "endpoint" not in answer.text
    assert "endpoint" in caplog.text


@pytest.mark.parametrize("form", [{}, {"revoke": "0" * 32}, {"forget": "nothing"}])
def test_wrong_forms(form: dict[str, str], browse: Any, handle: Handle) -> None:
    root = browse()
    assert root.press(root.page(ROOT), **form).status_code in {400, 404}


def test_a_button_of_another_site_does_nothing(browse: Any, handle: Handle, service: TokenService) -> None:
    alice = browse()
    alice.page(ALICE)
    assert alice.press("", revoke=handle.id).status_code == 403
    assert alice.press('name="_xsrf" value="made-up"', revoke=handle.id).status_code == 403
    assert len(service.handles.in_use()) == 1


def test_the_cookie_opens_the_page_and_no_route_with_values(browse: Any, handle: Handle) -> None:
    alice = browse()
    alice.page(ALICE)
    answer = alice.client.post(f"{PREFIX}v1/token", content=json.dumps({"profile": "oneaccess"}))
    assert (answer.status_code, answer.json()["reason"]) == (401, "no_token")


def test_what_a_browser_may_do_with_it(browse: Any) -> None:
    browser = browse()
    browser.page(ALICE)
    headers = browser.get().headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    cookies = browser.client.cookies.jar
    assert [cookie.has_nonstandard_attr("HttpOnly") for cookie in cookies if cookie.name.startswith("service-")] == [
        True
    ]


@pytest.mark.parametrize("token", [NARROW, SERVICE])
def test_who_is_not_for_the_page(token: str, browse: Any) -> None:
    browser = browse()
    browser.log_in(token)
    assert browser.get().status_code == 403


def test_names_are_text_and_no_markup(browse: Any, call: Any, hub: Hub) -> None:
    hub.owners["hub-t0ken-of-mallory"] = user("<script>alert(1)</script>", "physics")
    call("hub-t0ken-of-mallory", "POST", "token", profile="oneaccess")
    assert "<script" not in browse().page(ROOT)


def test_a_wrong_state_and_a_wrong_code_log_nobody_in(browse: Any, hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    browser = browse()
    browser.get()
    assert browser.get("oauth_callback?code=c0de-of-a-login&state=other").status_code == 403
    assert browser.get().status_code == 302
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert own
    assert not any("c0de-of-a-login" in said for said in own)


def test_without_a_token_of_its_own_there_is_no_login(service: TokenService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN")
    with serving(service.application(PREFIX)) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}{PREFIX}")
    assert answer.status_code == 404
    assert "JUPYTERHUB_API_TOKEN" in answer.text
