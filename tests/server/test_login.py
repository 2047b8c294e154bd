"""A person logs in on a real Jupyter server, by a browser with cookies; and attacks on that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tornado.httpclient import HTTPResponse

from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.server.app import TokensExtension

from ..doubles import Clock
from ..person import Person
from .conftest import Call, Kernel, told

COOKIE = "jupyter-tokens-login"
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
    assert (await by_proof("login", {"profile": "oneaccess", "id": login["id"]})).code == 404
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
    # The server has forgotten the tokens. What the kernel holds is the kernel's.
    assert [one["kernel_id"] for one in history if one["kind"] == "forgotten"] == [None]


class Attack(NamedTuple):
    """status : of the answer. refused_by : what refuses it, as docs/login.md says."""

    status: int
    refused_by: str


ATTACKS = {
    "stolen state: another browser of the same user": Attack(409, "the cookie of the browser that began the login"),
    "stolen state: another user": Attack(409, "the same cookie"),
    "replayed state": Attack(409, "a state can be used once"),
    "made-up state": Attack(409, "256 random bits"),
    "state after 10 minutes": Attack(409, "a state expires after 10 minutes"),
    "callback without a login to Jupyter": Attack(403, "Jupyter's own login"),
    "callback after a logout": Attack(409, "a logout cancels the logins in progress"),
    "callback after the profile was changed": Attack(409, "a login is only valid for the profile as it was"),
    "fixed session: another user's cookie": Attack(409, "the cookie names its user"),
    "fixed session: a cookie of one's own making": Attack(409, "the server's signature on the cookie"),
    "mix-up: an answer of another server": Attack(409, "`iss` is another server's; the code is not sent"),
    "mix-up: an answer without `iss`": Attack(409, "the metadata announces `iss`; the code is not sent"),
    "code injection": Attack(502, "PKCE: the verifier belongs to another login"),
    "a parameter twice": Attack(409, "each parameter may appear only once"),
    "callback without a code": Attack(502, "nothing is sent"),
    "downgrade of PKCE: no challenge": Attack(502, "S256 is always used: the server refuses the changed request"),
    "downgrade of PKCE: plain": Attack(502, "the same"),
    "open redirect": Attack(409, "the callback never redirects"),
    "foreign origin begins a login": Attack(404, "the `Origin` header, checked before the XSRF token"),
    "foreign origin ends a login": Attack(404, "the same"),
    "request without the XSRF token": Attack(403, "the XSRF token"),
    "device code of somebody else": Attack(404, "only the browser that began the login can request its state"),
    "device code of somebody else, as a state": Attack(409, "a device login has no state"),
}


def test_the_page_has_each_attack() -> None:
    page = (Path(__file__).parents[2] / "docs/login.md").read_text()
    _, _, table = page.partition("| attack | what refuses it |\n|---|---|\n")
    assert table.split("\n\n", maxsplit=1)[0].splitlines() == [
        f"| {name} | {attack.refused_by} |" for name, attack in ATTACKS.items()
    ]


@dataclass
class Scene:
    """A login that has begun in `mine`, its code and state on their way back, and somebody else's browser."""

    mine: Browser
    other: Browser
    login: dict[str, Any]
    query: dict[str, str]
    path: str
    clock: Clock
    change_profile: Callable[[], object]

    async def back(self, browser: Browser | None = None, **changed: str | None) -> HTTPResponse:
        query = {name: value for name, value in {**self.query, **changed}.items() if value is not None}
        return await (browser or self.mine).come_back(f"{self.path}?{urlencode(query)}")

    async def answer_to(self, **changed: str | None) -> HTTPResponse:
        """The person has opened an address that somebody has changed."""
        asked = urlsplit((await begun(self.mine))["url"])
        query = {name: values[0] for name, values in parse_qs(asked.query).items()} | changed
        kept = urlencode({name: value for name, value in query.items() if value is not None})
        return await self.mine.come_back(
            (await asyncio.to_thread(Person().open, asked._replace(query=kept).geturl())).headers["Location"]
        )

    async def device(self) -> dict[str, Any]:
        return await begun(self.mine, device=True)


async def attacked(name: str, scene: Scene) -> HTTPResponse:  # noqa: PLR0911, PLR0912 (a table of attacks)
    mine, other = scene.mine, scene.other
    match name:
        case "stolen state: another browser of the same user":
            kept = {name: value for name, value in mine.cookies.items() if name != COOKIE}
            return await scene.back(Browser(mine.fetch, mine.url, mine.base_url, kept))
        case "stolen state: another user":
            return await scene.back(other)
        case "replayed state":
            assert (await scene.back()).code == 200
            await mine.ask("DELETE", "profiles/mine/login")
        case "made-up state":
            return await scene.back(state="s" * 64)
        case "state after 10 minutes":
            scene.clock.advance(601)
        case "callback without a login to Jupyter":
            return await scene.back(Browser(mine.fetch, mine.url, mine.base_url))
        case "callback after a logout":
            await mine.ask("DELETE", "profiles/mine/login")
        case "callback after the profile was changed":
            scene.change_profile()
            scene.clock.advance(2)
        case "fixed session: another user's cookie":
            fixed = {**other.cookies, COOKIE: mine.cookies[COOKIE]}
            return await scene.back(Browser(mine.fetch, mine.url, mine.base_url, fixed))
        case "fixed session: a cookie of one's own making":
            mine.cookies[COOKIE] = mine.cookies[COOKIE][:-1] + ("0" if mine.cookies[COOKIE][-1] != "0" else "1")
        case "mix-up: an answer of another server":
            return await scene.back(iss="https://evil.example")
        case "mix-up: an answer without `iss`":
            return await scene.back(iss=None)
        case "code injection":
            theirs = parse_qs(urlsplit(await approved((await begun(other))["url"])).query)
            return await scene.back(code=theirs["code"][0])
        case "a parameter twice":
            return await mine.come_back(f"{scene.path}?{urlencode(scene.query)}&code=another")
        case "callback without a code":
            return await scene.back(code=None)
        case "downgrade of PKCE: no challenge":
            return await scene.answer_to(code_challenge=None, code_challenge_method=None)
        case "downgrade of PKCE: plain":
            return await scene.answer_to(code_challenge_method="plain")
        case "open redirect":
            evil = {"next": "https://evil.example", "redirect_uri": "https://evil.example"}
            return await scene.back(other, **evil)
        case "foreign origin begins a login" | "foreign origin ends a login":
            method = "POST" if "begins" in name else "DELETE"
            return await mine.ask(method, "profiles/mine/login", Origin="https://evil.example")
        case "request without the XSRF token":
            return await mine.ask("POST", "profiles/mine/login", **{"X-XSRFToken": "wrong"})
        case "device code of somebody else":
            return await other.ask("GET", f"profiles/mine/login/{(await scene.device())['id']}")
        case "device code of somebody else, as a state":
            return await scene.back(state=(await scene.device())["id"])
        case _:
            raise AssertionError(name)
    return await scene.back()


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_ends_in_no_login(
    *,
    name: str,
    browser: Open,
    clock: Clock,
    profiles: Any,
    write_profiles: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="ServerApp")
    mine, other = await browser(), await browser()
    login = await begun(mine)
    back = urlsplit(await approved(login["url"]))
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    changed = {**profiles, "mine": {**profiles["mine"], "timeout": 7}}
    scene = Scene(mine, other, login, query, back.path, clock, partial(write_profiles, changed))
    answer = await attacked(name, scene)
    assert answer.code == ATTACKS[name].status, answer.body
    assert "Location" not in answer.headers
    assert b"evil" not in answer.body
    if answer.request.method == "GET" and name != "device code of somebody else":
        assert b"Not logged in" in answer.body
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (await entry(mine))["login"]["logged_in"] is False
    secrets = [query["code"], query["state"]]
    assert not [value for value in secrets if value in caplog.text or value.encode() in answer.body]


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
