"""Opaque values: what they hold comes out by three doors and by no other."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from jupyter_tokens.auth import TokenAuth
from jupyter_tokens.clock import utc
from jupyter_tokens.errors import NoValue, ParameterError
from jupyter_tokens.token import Secret, Token

from .doubles import CANARY, NOW, told


def token(value: str | None = CANARY, **options: Any) -> Token:
    given = {"profile": "mine", "provider": "astra", "obtained_at": utc(NOW), **options}
    return Token(value, **given)


KEY = {"AccessKeyId": f"{CANARY}-id", "AccessKeySecret": f"{CANARY}-secret", "SecurityToken": f"{CANARY}-token"}


def key(**options: Any) -> Token:
    given = {"profile": "mine", "provider": "alibaba-sts", "obtained_at": utc(NOW), **options}
    return Token(KEY, **given)


OPAQUE = [key(), Secret(CANARY), token(), token(expires_at=utc(NOW + 60), metadata={"id_token": Secret(CANARY)})]
every = pytest.mark.parametrize("thing", OPAQUE, ids=["key", "secret", "token", "token with an end"])

WAYS = {
    "repr": repr,
    "str": str,
    "format": lambda thing: f"{thing}",
    "format with a width": lambda thing: f"{thing:>80}",
    "percent": lambda thing: "%s %r" % (thing, thing),  # noqa: UP031
    "str.format": lambda thing: "{} {!r}".format(thing, thing),  # noqa: UP032
    "in a list": lambda thing: repr([thing, {"x": thing}]),
    "json with default": lambda thing: json.dumps({"x": thing}, default=str),
    "dir": lambda thing: repr(dir(thing)),
    "copy": lambda thing: repr(copy.copy(thing)),
    "deepcopy": lambda thing: repr(copy.deepcopy({"x": [thing]})),
    "ascii": ascii,
}
REFUSED = {
    "json": json.dumps,
    "pickle": pickle.dumps,
    "oldest pickle": lambda thing: pickle.dumps(thing, 0),
    "reduce": lambda thing: thing.__reduce__(),
    "getstate": lambda thing: thing.__getstate__(),
    "vars": vars,
    "bytes": bytes,
    "iteration": list,
    "length": len,
    "index": lambda thing: thing[0],
    "join": lambda thing: ", ".join(iter([thing])),
    "addition": lambda thing: "Bearer " + thing,
}


@every
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_gives_nothing_away(thing: Any, way: Callable[[Any], str]) -> None:
    assert CANARY not in way(thing)


@every
@pytest.mark.parametrize("way", REFUSED.values(), ids=REFUSED)
def test_refuses(thing: Any, way: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as caught:
        way(thing)
    assert CANARY not in told(caught.value)


@every
def test_a_traceback_with_locals_shows_no_value(thing: Any) -> None:
    def fail(given: object) -> None:
        held = [given]
        raise ValueError(f"{held}")

    with pytest.raises(ValueError) as caught:
        fail(thing)
    assert "…" in told(caught.value)
    assert CANARY not in told(caught.value)


@every
def test_is_frozen(thing: Any) -> None:
    for name in ("profile", "_Secret__value", "_Token__value", "new"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(thing, name, "x")
        with pytest.raises(AttributeError, match="frozen"):
            delattr(thing, name)
    assert thing.values() == KEY if getattr(thing, "fields", ()) else thing.reveal() == CANARY


@every
def test_a_copy_is_the_same_object(thing: Any) -> None:
    assert copy.copy(thing) is thing
    assert copy.deepcopy(thing) is thing


def test_comparing_tells_nothing_about_values() -> None:
    assert Secret("a") != Secret("a")
    assert token() != token()
    assert len({token(), token()}) == 2


def test_a_header_made_by_formatting_fails_instead_of_being_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        f"Bearer {token()}".encode("latin-1")


def test_repr_tells_profile_and_end() -> None:
    assert repr(token()) == "<Token mine …>"
    assert repr(token(expires_at=utc(NOW))) == "<Token mine … until 2026-01-15 08:30:00Z>"
    assert repr(Secret("x")) == "<Secret …>"


def test_reveal_and_headers_are_the_ways_out() -> None:
    assert token().reveal() == CANARY
    assert token().headers() == {"Authorization": f"Bearer {CANARY}"}
    assert token(scheme="token").headers() == {"Authorization": f"token {CANARY}"}
    assert token(scheme="", header="X-Auth-Token").headers() == {"X-Auth-Token": CANARY}
    assert token().has_value


def test_a_token_without_value_says_so() -> None:
    empty = token(None)
    assert not empty.has_value
    for way in (empty.reveal, empty.headers):
        with pytest.raises(NoValue, match="never returns its value") as caught:
            way()
        assert (caught.value.profile, caught.value.provider) == ("mine", "astra")


def test_metadata_cannot_be_changed_and_is_a_copy() -> None:
    given = {"id": "1"}
    held = token(metadata=given)
    given["id"] = "2"
    assert held.metadata == {"id": "1"}
    with pytest.raises(TypeError):
        held.metadata["id"] = "3"  # type: ignore[index]  # this is what must fail
    assert token().metadata == {}


def test_auth_is_for_httpx_and_requests() -> None:
    auth = token().auth
    assert isinstance(auth, TokenAuth)
    assert CANARY not in repr(auth) + str(auth) + repr(vars(auth))


def test_renewed_by_keeps_everything_else() -> None:
    first = token(
        scheme="token", expires_at=datetime(2027, 1, 1, tzinfo=UTC), metadata={"a": 1}, base_url="https://api.example"
    )
    third = token()
    asked: list[Token | None] = []

    def renew(refused: Token | None) -> Token:
        asked.append(refused)
        return third

    second = first.renewed_by(renew)
    assert second.reveal() == first.reveal()
    assert second.headers() == first.headers()
    for name in ("profile", "provider", "obtained_at", "expires_at", "metadata", "base_url"):
        assert getattr(second, name) == getattr(first, name)
    request = httpx.Request("GET", "https://consumer.example")
    assert next(second.auth.sync_auth_flow(request)).headers["Authorization"] == third.headers()["Authorization"]
    assert asked == [None]


def test_the_values_of_a_key_come_out_by_their_names() -> None:
    made = key()
    assert made.fields == ("AccessKeyId", "AccessKeySecret", "SecurityToken")
    assert {name: made.reveal(name) for name in made.fields} == made.values() == KEY
    assert made.renewed_by(lambda _: made).values() == KEY
    assert made.has_value


@pytest.mark.parametrize("ask", [Token.reveal, Token.headers, lambda made: made.reveal("Other"), Token.as_callable])
def test_without_a_name_of_its_own_no_value_comes_out_and_all_are_named(ask: Any) -> None:
    with pytest.raises(ParameterError, match="AccessKeyId, AccessKeySecret, SecurityToken") as caught:
        ask(key())
    assert "SecurityToken" in caught.value.hint
    assert CANARY not in told(caught.value)


def test_a_single_value_has_no_name() -> None:
    made = token()
    assert (made.fields, made.values(), made.reveal()) == ((), {"": CANARY}, CANARY)
    with pytest.raises(ParameterError, match="single value"):
        made.reveal("SecurityToken")


def test_what_is_never_returned_has_no_values() -> None:
    made = token(None)
    assert (made.fields, made.has_value) == ((), False)
    for ask in (made.values, made.as_callable, lambda: made.reveal("x")):
        with pytest.raises(NoValue):
            ask()


def test_what_is_left_of_a_life() -> None:
    now = datetime.now(UTC).timestamp()
    assert (token().expires_in, token().is_expired) == (None, False)
    living, ended = token(expires_at=utc(now + 600)), token(expires_at=utc(now - 1))
    assert 590 < (living.expires_in or 0) <= 600
    assert not living.is_expired
    assert (ended.expires_in, ended.is_expired) == (0.0, True)


def test_a_callable_returns_the_value_of_a_fresh_token() -> None:
    asked: list[Token | None] = []

    def renew(refused: Token | None) -> Token:
        asked.append(refused)
        return token(f"fresh-{len(asked)}")

    for made in (token(renew=renew), token().renewed_by(renew)):
        asked.clear()
        value, awaited = made.as_callable(), made.as_async_callable()
        assert asked == []
        assert (value(), value(), asyncio.run(awaited())) == ("fresh-1", "fresh-2", "fresh-3")
    assert token().as_callable()() == asyncio.run(token().as_async_callable()()) == CANARY
    assert key().as_callable("SecurityToken")() == KEY["SecurityToken"]
