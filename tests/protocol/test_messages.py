"""Tokens and profiles on their way between two processes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import ConfigurationError, ResponseError
from jupyter_tokens.protocol.messages import (
    About,
    ProfileEntry,
    entries_from_dict,
    token_from_dict,
    token_to_dict,
)
from jupyter_tokens.token import Secret, Token

from ..doubles import CANARY, NOW

ABOUT = About("Huawei Cloud OneAccess", "ONEACCESS_TOKEN", sandbox=True)


def token(value: str | None = CANARY, *, life: float | None = 60.0, **metadata: Any) -> Token:
    ends = None if life is None else utc(NOW) + timedelta(seconds=life)
    return Token(value, profile="mine", provider="oneaccess", obtained_at=utc(NOW), expires_at=ends, metadata=metadata)


def sent(of: Token, *, now: float = NOW, value: bool = True) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(json.dumps(token_to_dict(of, ABOUT, scheme="Bearer", now=now, value=value)))
    return facts


def test_a_token_arrives_as_it_was() -> None:
    arrived, about = token_from_dict(sent(token(scope="all")), now=NOW)
    assert arrived.reveal() == CANARY
    assert (arrived.profile, arrived.provider, dict(arrived.metadata)) == ("mine", "oneaccess", {"scope": "all"})
    assert (arrived.obtained_at, arrived.expires_at) == (utc(NOW), utc(NOW + 60))
    assert arrived.headers() == {"Authorization": f"Bearer {CANARY}"}
    assert about == ABOUT


def test_a_token_for_a_header_of_its_own_arrives_as_one() -> None:
    facts = token_to_dict(token(), ABOUT, scheme="", header="X-Auth-Token", now=NOW, value=True)
    assert token_from_dict(facts, now=NOW)[0].headers() == {"X-Auth-Token": CANARY}


def test_it_expires_by_the_time_left_on_the_receivers_clock() -> None:
    arrived, _ = token_from_dict(sent(token(), now=NOW + 20), now=NOW + 1000)
    assert arrived.expires_at == utc(NOW + 1040)


def test_without_an_expiry() -> None:
    assert token_from_dict(sent(token(life=None)), now=NOW)[0].expires_at is None


def test_the_value_only_where_it_is_asked_for_and_null_if_there_is_none() -> None:
    assert "value" not in sent(token(), value=False)
    assert CANARY not in json.dumps(sent(token(), value=False))
    described = sent(token(None))
    assert (described["value"], described["has_value"]) == (None, False)
    assert not token_from_dict(described, now=NOW)[0].has_value


def test_metadata_leaves_out_secrets_and_what_json_cannot_hold() -> None:
    made = token(a=Secret("x"), b=[1, Secret("x"), {"c": Secret("x"), "d": None}], e=object(), f="text")
    assert sent(made)["metadata"] == {"b": [1, {"d": None}], "e": None, "f": "text"}


@pytest.mark.parametrize(
    "change",
    [{"value": ...}, {"expires_in": "soon"}, {"obtained_at": "now"}, {"expires_in": 1e30}, {"title": ...}],
    ids=["no value", "no number", "no date", "no calendar", "no title"],
)
def test_anything_else_is_an_error_that_names_the_version(change: dict[str, Any]) -> None:
    facts = {**sent(token()), **change}
    with pytest.raises(ResponseError, match="does not have the form") as caught:
        token_from_dict({name: fact for name, fact in facts.items() if fact is not ...}, now=NOW)
    assert "same version" in caught.value.hint
    assert CANARY not in str(caught.value)


def test_profiles() -> None:
    good = {"name": "a", "title": "T", "provider": "p", "env": "A", "sandbox": False, "params": {"x": 1}, "error": None}
    wrong = {**good, "name": "b", "title": None, "provider": None, "error": ConfigurationError("No.").to_dict()}
    first, second = entries_from_dict(
        {"profiles": [good, wrong], "params": {"p": {"type": "object"}}, "may_reveal": True}
    )
    assert first == ProfileEntry("a", "T", "p", "A", params={"x": 1}, schema={"type": "object"})
    assert (second.title, second.schema) == ("", {})
    assert isinstance(second.error, ConfigurationError)
    assert str(second.error) == "b: No."


@pytest.mark.parametrize("changes", [{"profiles": None}, {"profiles": [1]}, {"profiles": [{}]}, {"params": None}])
def test_no_profiles(changes: dict[str, Any]) -> None:
    profile = {"name": "a", "title": "T", "provider": "p", "env": "A", "sandbox": False, "params": {}, "error": None}
    for facts in ({}, {"profiles": [profile], "params": {}, "may_reveal": True, **changes}):
        with pytest.raises(ResponseError, match="does not have the form"):
            entries_from_dict(facts)
