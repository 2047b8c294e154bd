"""A person logs in on a real Jupyter server, by a browser with cookies; and attacks on that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tornado.httpclient import HTTPResponse

from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.server.app import TokensExtension

from ..doubles import Clock
from ..person import Person
from .conftest import Call, Kernel, told

HTML = {"Accept": "text/html,*/*;q=0.8"}


@dataclass
class Browser:
    """A browser that is logged in to Jupyter: it keeps cookies, and sends the XSRF token with what it changes."""

    fetch: Any
    url: str
    base_url: str
    cookies: dict[str, str] = field(default_factory=dict)

    async def open(self, token: str) -> Browser:
        await self._ask("GET", f"{self.base_url}login?token={token}")
        await self._ask("GET", f"{self.base_url}nothing")
        return self

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        changes = {} if method == "GET" else {"X-XSRFToken": self.cookies["_xsrf"], "Origin": self.url}
        content = None if body is None else json.dumps(body).encode()
        return await self._ask(method, f"{self.base_url}jupyter-tokens/{path}", content, {**changes, **headers})

    async def come_back(self, location: str, **headers: str) -> HTTPResponse:
        """What the browser asks when the identity provider sends it back."""
        to = urlsplit(location)
        from_elsewhere = {**HTML, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        return await self._ask("GET", f"{to.path}?{to.query}", None, {**from_elsewhere, **headers})

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response: HTTPResponse = await self.fetch(
            path,
            method=method,
            body=body,
            headers={**(headers or {}), **({"Cookie": cookies} if cookies else {})},
            raise_error=False,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            request_timeout=300,
        )
        for cookie in response.headers.get_list("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"') if name == "_xsrf" else value
        return response


Open = Callable[[], Any]


@pytest.fixture
def extension(extension: TokensExtension, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> TokensExtension:
    monkeypatch.setattr(extension, "clock", clock)
    return extension


@pytest.fixture
def sandbox(clock: Clock) -> Any:
    with running(clock=clock.now) as served:
        yield served


@pytest.fixture
def profiles(sandbox: Sandbox, tmp_path: Path, write_profiles: Callable[..., Path]) -> dict[str, Any]:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    written = {**sandbox.profiles(secrets), "mine": sandbox.neighbours(secrets)["openid"]}
    write_profiles(written)
    return written


@pytest.fixture
def browser(profiles: Any, extension: TokensExtension, http_server_client: Any, jp_base_url: str) -> Open:
    async def make() -> Browser:
        made = Browser(http_server_client.fetch, http_server_client.get_url("").rstrip("/"), jp_base_url)
        return await made.open(extension.server.identity_provider.token)

    return make


async def begun(browser: Browser, **body: Any) -> dict[str, Any]:
    response = await browser.ask("POST", "profiles/mine/login", body)
    assert response.code == 200, response.body
    return dict(told(response))


async def approved(url: str, decision: str = "allow") -> str:
    """Where the person's browser is sent to. On a thread, as the server has this one."""
    return await asyncio.to_thread(Person().log_in, url, decision)


async def entry(browser: Browser) -> dict[str, Any]:
    listed = told(await browser.ask("GET", "profiles"))["profiles"]
    return next(dict(one) for one in listed if one["name"] == "mine")


async def test_a_person_logs_in_and_out(browser: Open, sandbox: Sandbox) -> None:
    mine = await browser()
    assert (await entry(mine))["login"] == {"logged_in": False, "who": None, "since": None}
    response = await mine.ask("POST", "profiles/mine/token", {})
    assert (response.code, told(response)["reason"]) == (409, "login")
    assert (await entry(mine))["state"] == "login"
    login = await begun(mine)
    assert (login["flow"], login["state"]) == ("authorization_code", "waiting")
    page = await mine.come_back(await approved(login["url"]))
    assert (page.code, b"Logged in as demo" in page.body) == (200, True)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    state = told(await mine.ask("GET", f"profiles/mine/login/{login['id']}"))
    assert (state["state"], state["who"], state["url"]) == ("done", "demo", None)
    token = told(await mine.ask("POST", "profiles/mine/token", {"reveal": True}))["value"]
    assert sandbox.issued[token].subject["sub"] == "demo-0001"
    shown = await entry(mine)
    assert (shown["state"], shown["login"]["who"]) == ("fresh", "demo")
    assert token not in json.dumps(shown)
    assert told(await mine.ask("DELETE", "profiles/mine/login")) == {"was_logged_in": True, "revoked": True}
    assert token not in sandbox.issued
    assert (await entry(mine))["login"]["logged_in"] is False
    history = told(await mine.ask("GET", "history"))["history"]
    logins = [(one["what"], one["profile"], one["kernel_id"]) for one in history if one["kind"] == "login"]
    assert logins == [("out", "mine", None), ("in", "mine", None)]
    assert all(one["user"] for one in history if one["kind"] == "login")
    # Nobody is logged in any more.
    await mine.ask("DELETE", "profiles/mine/login")
    assert len([one for one in told(await mine.ask("GET", "history"))["history"] if one["kind"] == "login"]) == 2


async def test_a_profile_goes_with_its_login(
    browser: Open, sandbox: Sandbox, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    monkeypatch.setattr(extension, "allow_edit", True)
    mine = await browser()
    await mine.come_back(await approved((await begun(mine))["url"]))
    token = told(await mine.ask("POST", "profiles/mine/token", {"reveal": True}))["value"]
    kept = config_dir / "jupyter_tokens_secrets" / "mine.login"
    assert kept.exists()
    assert (await mine.ask("DELETE", "profiles/mine")).code == 204
    assert not kept.exists()
    assert token not in sandbox.issued
    history = told(await mine.ask("GET", "history"))["history"]
    assert (history[0]["kind"], history[0]["what"], history[0]["profile"]) == ("login", "out", "mine")


async def test_the_redirect_is_where_the_browser_is(browser: Open) -> None:
    mine = await browser()
    asked = parse_qs(urlsplit((await begun(mine))["url"]).query)
    assert asked["redirect_uri"] == [f"{mine.url}{mine.base_url}jupyter-tokens/login/callback"]


async def test_another_device(browser: Open, clock: Clock) -> None:
    mine = await browser()
    login = await begun(mine, device=True)
    assert (login["flow"], login["url"]) == ("device_code", None)
    path = f"profiles/mine/login/{login['id']}"
    assert told(await mine.ask("GET", path))["state"] == "waiting"
    await asyncio.to_thread(Person().type_code, login["verification_uri"], login["user_code"])
    clock.advance(login["interval"])
    assert told(await mine.ask("GET", path))["state"] == "done"


async def test_a_kernel_logs_in_by_another_device(
    *, profiles: Any, by_proof: Call, call: Call, clock: Clock, kernel: Kernel, jp_serverapp: Any
) -> None:
    login = told(await by_proof("login", {"profile": "mine"}))
    assert login["url"] is None
    await asyncio.to_thread(Person().type_code, login["verification_uri"], login["user_code"])
    clock.advance(login["interval"])
    assert told(await by_proof("login", {"profile": "mine", "id": login["id"]}))["state"] == "done"
    assert told(await by_proof("token", {"profile": "mine"}))["value"]
    other = Kernel()
    with other.started(jp_serverapp):
        body = json.dumps({"profile": "mine", "id": login["id"]}).encode()
        assert (await by_proof("login", {"profile": "mine", "id": "0" * 32})).code == 404
        assert other.proof("login", body, time=clock.now())
    assert told(await by_proof("login", {"profile": "mine", "logout": True}))["revoked"] is True
    history = told(await call("GET", "history"))["history"]
    logins = [(one["what"], one["kernel_id"]) for one in history if one["kind"] == "login"]
    assert logins == [("out", kernel.id), ("in", kernel.id)]


ATTACKS = (
    *("another browser of the same user", "another user", "no cookie of the login", "a fixed session", "replay"),
    *("after logout", "too late", "mix-up", "state of nobody", "code of another login", "no login to Jupyter"),
    *("a changed profile", "a parameter twice", "no code"),
)


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_ends_in_no_login(  # noqa: PLR0912, PLR0915 (a table of attacks)
    *,
    attack: str,
    browser: Open,
    clock: Clock,
    profiles: Any,
    write_profiles: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="ServerApp")
    mine, victim = await browser(), await browser()
    login = await begun(mine)
    back = await approved(login["url"])
    comes, statuses = mine, {409}
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    cookie = next(name for name in mine.cookies if name == "jupyter-tokens-login")
    if attack == "another browser of the same user":
        # Logged in to Jupyter as the same user, by the same cookie; but the login was begun elsewhere.
        comes = Browser(mine.fetch, mine.url, mine.base_url, {k: v for k, v in mine.cookies.items() if k != cookie})
    elif attack == "another user":
        comes = victim
    elif attack == "no cookie of the login":
        del mine.cookies[cookie]
    elif attack == "a fixed session":
        # The attacker has put the own cookie into the victim's browser, and leads it to the own answer.
        victim.cookies[cookie] = mine.cookies[cookie]
        comes = victim
    elif attack == "replay":
        assert (await mine.come_back(back)).code == 200
        await mine.ask("DELETE", "profiles/mine/login")
    elif attack == "after logout":
        await mine.ask("DELETE", "profiles/mine/login")
    elif attack == "too late":
        clock.advance(601)
    elif attack == "mix-up":
        query["iss"] = "https://evil.example"
    elif attack == "state of nobody":
        query["state"] = "s" * 43
    elif attack == "code of another login":
        other = parse_qs(urlsplit(await approved((await begun(victim))["url"])).query)
        query["code"], statuses = other["code"][0], {502}
    elif attack == "no login to Jupyter":
        comes, statuses = Browser(mine.fetch, mine.url, mine.base_url), {403}
    elif attack == "a changed profile":
        write_profiles({**profiles, "mine": {**profiles["mine"], "timeout": 7}})
        clock.advance(2)
    elif attack == "a parameter twice":
        query["state"] = query["state"]
        back = f"{back}&code=another"
    else:
        assert attack == "no code"
        del query["code"]
        statuses = {502}
    if attack != "a parameter twice":
        back = urlsplit(back)._replace(query=urlencode(query)).geturl()
    page = await comes.come_back(back)
    assert page.code in statuses, page.body
    assert b"Not logged in" in page.body
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (await entry(mine))["login"]["logged_in"] is False
    secrets = [query[name] for name in ("code", "state") if name in query]
    assert not [value for value in secrets if value in caplog.text or value.encode() in page.body]


async def test_a_login_cannot_be_begun_or_ended_from_another_site(browser: Open) -> None:
    mine = await browser()
    for method in ("POST", "DELETE"):
        response = await mine.ask(method, "profiles/mine/login", Origin="https://evil.example")
        assert response.code == 404
        response = await mine.ask(method, "profiles/mine/login", **{"X-XSRFToken": "wrong"})
        assert response.code == 403


async def test_nobody_else_can_look_at_a_login(browser: Open) -> None:
    mine, other = await browser(), await browser()
    login = await begun(mine, device=True)
    assert (await other.ask("GET", f"profiles/mine/login/{login['id']}")).code == 404
    assert (await mine.ask("GET", f"profiles/oneaccess/login/{login['id']}")).code == 404


async def test_an_origin_that_is_allowed_gets_no_code(browser: Open, jp_serverapp: Any) -> None:
    mine = await browser()
    jp_serverapp.web_app.settings["allow_origin"] = "https://lab.example"
    response = await mine.ask("POST", "profiles/mine/login", {}, Origin="https://lab.example")
    asked = parse_qs(urlsplit(told(response)["url"]).query)
    assert asked["redirect_uri"] == [f"{mine.url}{mine.base_url}jupyter-tokens/login/callback"]
