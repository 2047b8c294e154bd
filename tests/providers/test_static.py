"""API keys and personal access tokens: as they are stored, for as long as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import SecretError, UnusableToken
from jupyter_tokens.protocol.messages import About
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW, Clock, told
from .conftest import refuse_settings

LINE = {"provider": "static", "token": "env:MY_KEY"}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("MY_KEY", CANARY)
    return monkeypatch


def source_of(settings: dict[str, Any], clock: Clock) -> LocalSource:
    return LocalSource(Profiles.from_settings({"mine": settings}), clock=clock)


def signed(**claims: Any) -> str:
    return jwt.encode(claims, "k" * 32)


def test_the_token_is_what_is_stored_and_does_not_expire(key: pytest.MonkeyPatch, clock: Clock) -> None:
    source = source_of({**LINE, "endpoint": "https://api.openai.com/v1"}, clock)
    token = source.get(source.key("mine"))
    assert (token.reveal(), token.expires_at, token.provider) == (CANARY, None, "static")
    assert token.headers() == {"Authorization": f"Bearer {CANARY}"}
    assert CANARY not in repr(token)
    assert token.obtained_at.timestamp() == NOW


def test_a_new_key_is_used_from_the_next_refresh_on(key: pytest.MonkeyPatch, clock: Clock) -> None:
    source = source_of(LINE, clock)
    source.get(source.key("mine"))
    key.setenv("MY_KEY", "a-new-key")
    clock.advance(86400.0)
    assert source.get(source.key("mine")).reveal() == CANARY
    assert source.get(source.key("mine"), refresh=True).reveal() == "a-new-key"


def test_a_refused_key_is_read_again(key: pytest.MonkeyPatch, clock: Clock) -> None:
    source = source_of(LINE, clock)
    old: Token = source.get(source.key("mine"))
    key.setenv("MY_KEY", "a-new-key")
    clock.advance(60.0)
    assert source.get(source.key("mine"), newer_than=old.obtained_at).reveal() == "a-new-key"


def test_a_token_that_says_when_it_ends_ends_then(tmp_path: Path, clock: Clock) -> None:
    """As Kubernetes' do, which are in a file that is kept fresh."""
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(signed(exp=NOW + 600))
    source = source_of({"provider": "static", "token": f"file:{file}"}, clock)
    token = source.get(source.key("mine"))
    assert token.expires_at is not None
    assert token.expires_at.timestamp() == NOW + 600
    file.write_text(signed(exp=NOW + 1200))
    clock.advance(590.0)
    renewed = source.get(source.key("mine"))
    assert renewed.expires_at is not None
    assert renewed.expires_at.timestamp() == NOW + 1200


def test_one_that_has_expired_is_not_handed_out(key: pytest.MonkeyPatch, clock: Clock) -> None:
    key.setenv("MY_KEY", signed(exp=NOW))
    source = source_of(LINE, clock)
    with pytest.raises(UnusableToken) as caught:
        source.get(source.key("mine"))
    assert "expired at 2026-01-15 08:30:00Z" in caught.value.message
    assert "Create a new token" in caught.value.hint


@pytest.mark.parametrize("value", [f"{CANARY} x", f" {CANARY}", f"{CANARY}\nsecond", f"{CANARY}é", f"{CANARY}\t"])
def test_what_no_header_can_carry_is_refused_without_being_shown(
    key: pytest.MonkeyPatch, clock: Clock, value: str
) -> None:
    key.setenv("MY_KEY", value)
    source = source_of(LINE, clock)
    with pytest.raises(SecretError) as caught:
        source.get(source.key("mine"))
    assert "a header cannot carry" in caught.value.message
    assert (caught.value.profile, caught.value.retryable) == ("mine", False)
    assert CANARY not in told(caught.value)


def test_a_reference_that_leads_nowhere(clock: Clock) -> None:
    source = source_of({"provider": "static", "token": "env:NOT_THERE"}, clock)
    with pytest.raises(SecretError, match="env:NOT_THERE is not set"):
        source.get(source.key("mine"))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "key 'token' is missing"),
        ({"token": "env:X", "endpoint": "http://api.example"}, "must be https"),
        ({"token": "env:X", "params": {"scope": "a"}}, "is not a parameter of provider 'static'"),
    ],
)
def test_what_a_profile_must_say(settings: dict[str, Any], complaint: str) -> None:
    refuse_settings({"provider": "static", **settings}, complaint)


def test_without_an_endpoint_it_is_not_the_sandbox(key: pytest.MonkeyPatch, clock: Clock) -> None:
    source = source_of(LINE, clock)
    assert source.about("mine") == About("API key or personal access token", None, sandbox=False)
    (entry,) = source.entries()
    assert (entry.title, entry.sandbox, entry.error) == ("API key or personal access token", False, None)
