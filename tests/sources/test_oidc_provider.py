"""People log in to a certified OpenID provider, oidc-provider, which others have written, by its own pages."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_core.paths import jupyter_config_dir

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import LoginNeeded, TokenError
from jupyter_tokens.sources.local import LocalSource

from ..doubles import Clock
from ..person import Page, Person, answer_in

pytestmark = pytest.mark.scale
PACKAGE = Path(sys.prefix) / "node_modules" / "oidc-provider"
REDIRECT = "http://127.0.0.1:4711/callback"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    program = ["node", str(Path(__file__).with_name("oidc_provider.mjs")), str(PACKAGE)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # Its notices, about being no production server, go before.
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if line.startswith("http://127.0.0.1"))
        process.stdin.close()
        process.wait(60)


Open = Callable[..., LocalSource]


@pytest.fixture
def opened(issuer: str) -> Iterator[Open]:
    made: list[LocalSource] = []

    def make(others: dict[str, dict[str, Any]] | None = None, **changed: Any) -> LocalSource:
        mine = {
            "provider": "oauth2",
            "grant": "authorization_code",
            "auth_method": "none",
            "issuer": issuer,
            "client_id": "jupyter",
        }
        profiles = {"mine": {**mine, **changed}, **{name: {**mine, **other} for name, other in (others or {}).items()}}
        made.append(LocalSource(Profiles.from_settings(profiles)))
        return made[-1]

    yield make
    for source in made:
        source.close()


def walk(person: Person, page: Page) -> Page:
    """Follow the server's redirects and press the button of each of its pages, until it leads elsewhere or is done."""
    for _ in range(12):
        to = page.headers.get("Location")
        if to is not None and to.startswith(REDIRECT):
            return page
        if to is not None:
            page = person.open(str(httpx.URL(page.url).join(to)))
        elif "<form" in page.text:
            page = person.press(page, login="alice", password="any")
        else:
            return page
    raise AssertionError(page)


def log_in(source: LocalSource, change: Callable[[str], str] = lambda url: url) -> None:
    attempt = source.logins.start("mine", session="me", redirect_uri=REDIRECT)
    assert attempt.url is not None
    person = Person()
    back = walk(person, person.open(change(attempt.url.reveal()))).headers["Location"]
    attempt = source.logins.finish(answer_in(back), session="me")
    assert (attempt.state, attempt.who) == ("done", "alice")


def record() -> Path:
    return Path(jupyter_config_dir()) / "jupyter_tokens_secrets" / "mine.login"


def token(source: LocalSource, name: str = "mine") -> str:
    """A new token."""
    return source.fetch(source.key(name)).reveal()


def works(issuer: str, value: str) -> bool:
    shown = httpx.get(f"{issuer}/me", headers={"Authorization": f"Bearer {value}"})
    return shown.status_code == 200 and shown.json()["sub"] == "alice"


def test_pkce_and_a_refresh_token_that_rotates(opened: Open, issuer: str) -> None:
    source = opened()
    log_in(source)
    seen = []
    for _ in range(3):
        seen.append(json.loads(record().read_text())["refresh_token"])
        assert works(issuer, token(source))
    assert len(set(seen)) == 3


def test_a_request_without_its_challenge_is_refused(opened: Open) -> None:
    def without(url: str) -> str:
        parsed = httpx.URL(url)
        kept = {name: value for name, value in parsed.params.items() if not name.startswith("code_challenge")}
        return str(parsed.copy_with(params=kept))

    with pytest.raises(TokenError) as caught:
        log_in(opened(), without)
    assert caught.value.code == "invalid_request"


def test_an_id_token_is_verified_by_the_published_keys(opened: Open) -> None:
    source = opened(token="id_token")
    log_in(source)
    assert token(source).count(".") == 2


def test_a_refresh_token_that_is_used_twice_ends_the_login(opened: Open) -> None:
    source = opened()
    log_in(source)
    stolen = record().read_text()
    token(source)
    rotated = record().read_text()
    record().write_text(stolen)
    with pytest.raises(LoginNeeded, match="has ended"):
        token(source)
    # The server has ended the whole login, as somebody else has the refresh token too.
    record().touch(mode=0o600)
    record().write_text(rotated)
    with pytest.raises(LoginNeeded, match="has ended"):
        token(source)


def test_a_logout_revokes(opened: Open) -> None:
    source = opened()
    log_in(source)
    kept = record().read_text()
    assert source.logout("mine") is True
    assert not record().exists()
    record().touch(mode=0o600)
    record().write_text(kept)
    with pytest.raises(LoginNeeded, match="has ended"):
        token(source)


def test_another_device(issuer: str, clock: Clock) -> None:
    mine = {
        "provider": "oauth2",
        "grant": "device_code",
        "auth_method": "none",
        "issuer": issuer,
        "client_id": "jupyter",
    }
    with closing(LocalSource(Profiles.from_settings({"mine": mine}), clock=clock)) as source:
        # The server's times are true ones.
        clock.wall = time.time()
        attempt = source.logins.start("mine", session="me", device=True)
        assert attempt.device is not None
        clock.advance(attempt.device.interval)
        source.logins.poll(attempt.id, session="me")
        assert attempt.state == "waiting"
        person = Person()
        asked = person.open(attempt.device.verification_uri)
        done = walk(person, person.press(asked, user_code=attempt.device.user_code))
        assert done.status == 200, done.text
        clock.advance(attempt.device.interval)
        source.logins.poll(attempt.id, session="me")
        assert (attempt.state, attempt.who) == ("done", "alice")
        assert works(issuer, token(source))


def test_a_token_is_exchanged(opened: Open, issuer: str) -> None:
    other = {"grant": "token_exchange", "subject": "profile:mine", "params": {"audience": "urn:other"}}
    source = opened({"other": other})
    log_in(source)
    value = token(source, "other")
    assert value != token(source)
    assert works(issuer, value)
