"""`jupyter tokens login`, `logout`, `whoami`: by a browser that comes back to this machine, or on another device."""

from __future__ import annotations

import errno
import json
import re
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.configured import RemoveApp
from jupyter_tokens.cli.get import GetApp
from jupyter_tokens.cli.login import LoginApp, LogoutApp, WhoamiApp
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sandbox import openid as sandbox_openid
from jupyter_tokens.sources.logins import Attempt
from jupyter_tokens.sources.loopback import Loopback
from jupyter_tokens.token import Secret

from ..person import Page, Person
from .machine import Machine, write_profiles
from .running import Done, Run, runner

Command = Callable[..., Done]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    apps: dict[str, Any] = {
        "login": LoginApp,
        "logout": LogoutApp,
        "whoami": WhoamiApp,
        "get": GetApp,
        "remove": RemoveApp,
    }
    runs: dict[str, Run] = {name: runner(app, capfd) for name, app in apps.items()}
    return lambda name, *arguments: runs[name](*arguments)


@pytest.fixture(autouse=True)
def written(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> dict[str, Any]:
    profiles = {**sandbox.profiles(tmp_path), **sandbox.neighbours(tmp_path)}
    write_profiles(config_dir, profiles)
    return profiles


class Browser:
    """What `webbrowser` opens: a person presses the button, and the browser follows where it is sent."""

    def __init__(self, decision: str = "allow") -> None:
        self.person = Person()
        self.decision = decision
        self.opened: list[str] = []
        self.last: Page | None = None
        self._thread: threading.Thread | None = None

    def open(self, url: str) -> bool:
        self.opened.append(url)
        self._thread = threading.Thread(target=self._log_in, args=(url,))
        self._thread.start()
        return True

    def _log_in(self, url: str) -> None:
        to = self.person.open(url).headers["Location"]
        self.last = self.person.open(self.person.log_in(to, self.decision))

    def shown(self) -> Page:
        assert self._thread is not None
        self._thread.join(60)
        assert self.last is not None
        return self.last


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    browser = Browser()
    monkeypatch.setattr(webbrowser, "open", browser.open)
    return browser


def test_a_person_logs_in_gets_tokens_and_logs_out(command: Command, browser: Browser, sandbox: Sandbox) -> None:
    assert command("whoami", "openid").code == 1
    done = command("login", "openid")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("Logged in to openid as demo.\n")
    assert "Logged in as demo" in browser.shown().text
    token = command("get", "openid").out.strip()
    assert sandbox.issued[token].subject["sub"] == sandbox_openid.PERSON["sub"]
    assert command("whoami", "openid").out.startswith("demo, since ")
    told = json.loads(command("whoami", "openid", "--json").out)
    assert (told["who"], told["renews"], told["expires_at"]) == ("demo", True, None)
    assert "has revoked" in command("logout", "openid").err
    assert token not in sandbox.issued
    done = command("get", "openid")
    assert (done.code, done.out) == (1, "")
    assert "jupyter tokens login openid" in done.err
    assert command("logout", "openid").err == "Nobody was logged in to openid.\n"


def test_what_the_browser_is_started_with_is_good_once_and_holds_no_state(command: Command, browser: Browser) -> None:
    command("login", "openid")
    (url,) = browser.opened
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}", url)
    browser.shown()


def test_a_login_that_the_person_denies(command: Command, browser: Browser) -> None:
    browser.decision = "deny"
    done = command("login", "openid")
    assert (done.code, "did not complete the login" in done.err) == (1, True)
    assert browser.shown().status == 400


def test_only_the_browser_that_began_it_can_come_back(
    command: Command, monkeypatch: pytest.MonkeyPatch, written: dict[str, Any]
) -> None:
    pages: list[Page] = []
    browser = Browser()

    def open_it(url: str) -> bool:
        # Somebody else on the machine has the address too, but later.
        first = browser.person.open(url)
        thief = Person()
        pages.append(thief.open(url))
        back = browser.person.log_in(first.headers["Location"])
        pages.append(thief.open(back))
        pages.append(browser.person.open(back, Host="evil.example"))
        pages.append(browser.person.open(back))
        return True

    monkeypatch.setattr(webbrowser, "open", open_it)
    assert command("login", "openid").code == 0
    assert [page.status for page in pages] == [403, 403, 403, 200]


def test_an_unforeseen_error_ends_the_wait() -> None:
    def finish(_: object) -> Attempt:
        raise KeyError

    with Loopback() as loopback:
        loopback.redirect_to(Secret("https://login.example.com/"), finish)
        person = Person()
        person.open(loopback.start.reveal())
        assert person.open(f"{loopback.redirect_uri}?code=c").status == 500
        with pytest.raises(KeyError):
            loopback.wait(60)


def test_a_machine_without_a_browser(tmp_path: Path, written: dict[str, Any]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    machine = Machine(home)
    write_profiles(machine.config, written)
    terminal = machine.terminal("login", "openid", "--device")
    terminal.expect(r"Open (\S+) in any browser, and type the code (\S+)\r\n")
    Person().type_code(str(terminal.match[1]), str(terminal.match[2]))
    terminal.expect("Logged in to openid as demo")
    terminal.wait()
    assert machine.run("whoami", "openid").stdout.startswith("demo, since ")


@pytest.mark.parametrize("name", ["login", "logout", "whoami"])
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [([], "takes the NAME"), (["oneaccess"], "does not use a login"), (["opnid"], "Did you mean openid?")],
)
def test_wrong_usage_is_one_line_and_2(command: Command, name: str, arguments: list[str], complaint: str) -> None:
    done = command(name, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert complaint in done.err


@pytest.mark.parametrize("damaged", [False, True])
def test_a_profile_goes_with_its_login(
    command: Command, browser: Browser, sandbox: Sandbox, config_dir: Path, *, damaged: bool
) -> None:
    assert command("login", "openid").code == 0
    browser.shown()
    token = command("get", "openid").out.strip()
    kept, config = config_dir / "jupyter_tokens_secrets" / "openid.login", config_dir / "jupyter_tokens_config.json"
    assert kept.exists()
    if damaged:
        written = json.loads(config.read_text())
        written["TokenProfiles"]["profiles"]["openid"]["grant"] = "nonsense"
        config.write_text(json.dumps(written))
    done = command("remove", "openid", "--yes")
    assert (done.code, "has revoked" in done.err) == (0, not damaged)
    assert not kept.exists()
    assert "openid" not in json.loads(config.read_text())["TokenProfiles"]["profiles"]
    assert (token in sandbox.issued) is damaged


def test_a_profile_that_cannot_be_removed_keeps_its_login(
    command: Command, browser: Browser, config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    assert command("login", "openid").code == 0
    browser.shown()
    monkeypatch.setattr("jupyter_tokens.config.editing.replace_file", refuse)
    done = command("remove", "openid", "--yes")
    assert (done.code, "cannot be written" in done.err) == (2, True)
    assert "openid" in json.loads((config_dir / "jupyter_tokens_config.json").read_text())["TokenProfiles"]["profiles"]
    assert command("whoami", "openid").code == 0


def test_a_profile_that_is_not_the_users_keeps_its_login(
    command: Command, browser: Browser, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system"
    system.mkdir()
    (config_dir / "jupyter_tokens_config.json").rename(system / "jupyter_tokens_config.json")
    monkeypatch.setattr("jupyter_core.paths.SYSTEM_CONFIG_PATH", [str(system)])
    assert command("login", "openid").code == 0
    browser.shown()
    done = command("remove", "openid", "--yes")
    assert (done.code, "Change it there" in done.err) == (2, True)
    assert command("whoami", "openid").out.startswith("demo, since ")
