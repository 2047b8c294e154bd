"""A refresh token that the server replaces at each use, and a process that is killed once it has the new one."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.sources.local import LocalSource

from ..person import Person, answer_in
from .fuse import Point
from .home import Home
from .victims import COUNT, ON_LINUX, Forks, Toll, Victim

pytestmark = ON_LINUX

FULL, FEW = 200, 5
REDIRECT = "http://127.0.0.1:4711/callback"
ANSWERED = "providers/oauth2.py", "granted"
"""The first function that sees the server's answer, with the new refresh token in it."""


@pytest.fixture
def profile(home: Home) -> dict[str, str]:
    written = dict(home.sandbox.neighbours(home.beside)["openid"])
    home.file.write_text(json.dumps({"TokenProfiles": {"profiles": {"mine": written}}}))
    home.file.chmod(0o600)
    return written


def log_in(home: Home, profile: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As `jupyter tokens login` does, by a person with a browser."""
    with monkeypatch.context() as patch, closing(LocalSource(Profiles.from_settings({"mine": profile}))) as source:
        patch.setenv("JUPYTER_CONFIG_DIR", str(home.config))
        begun = source.logins.start("mine", session="me", redirect_uri=REDIRECT)
        assert begun.url is not None
        source.logins.finish(answer_in(Person().log_in(begun.url.reveal())), session="me")


def get(warm: Forks, home: Home, point: Point | None = None) -> Victim:
    home.out.write_text("")
    return warm.start(home, "cli", "get", "mine", point=point, entry=ANSWERED, armed=True)


def test_a_login_survives_or_says_that_it_is_gone(
    warm: Forks, home: Home, profile: dict[str, str], monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    log_in(home, profile, monkeypatch)
    victim = get(warm, home, COUNT)
    assert victim.wait() == 0, home.log.read_text()
    toll, ends = Toll("command line, refresh of a login"), Counter[str]()
    for point in toll.points(victim.counted(), FULL if full else FEW):
        victim = get(warm, home, point)
        assert victim.wait() in {-9, 0}
        toll.note(point, victim)
        home.log.write_text("")
        ended = get(warm, home).wait()
        if ended == 0:
            ends["survived"] += 1
            token = home.sandbox.issued[home.out.read_text().strip()]
            assert token.subject["sub"] == "demo-0001"
        else:
            # Never in silence, and never for long: the lock of the dead is free.
            ends["login needed"] += 1
            assert ended == 1
            assert "The login has ended" in home.log.read_text()
            assert "jupyter tokens login mine" in home.log.read_text()
            assert home.out.read_text() == ""
            log_in(home, profile, monkeypatch)
        assert not home.leftovers()
    print(f"  {dict(ends)}")
    toll.tell()
    assert get(warm, home).wait() == 0


def test_two_processes_that_refresh_at_once_make_one_call(
    warm: Forks, home: Home, profile: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(home, profile, monkeypatch)
    home.environment["JUPYTER_TOKENS_STORE"] = f"file:{home.root}/store"
    before = len(home.sandbox.issued)
    home.out.write_text("")
    victims = [warm.start(home, "cli", "get", "mine") for _ in range(2)]
    assert [victim.wait() for victim in victims] == [0, 0], home.log.read_text()
    first, second = home.out.read_text().split()
    assert first == second
    assert len(home.sandbox.issued) == before + 1
