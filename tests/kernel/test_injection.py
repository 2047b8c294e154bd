"""Places are filled, filled again by successors, and given back as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from jupyter_tokens.broker import Key
from jupyter_tokens.errors import NoValue, ParameterError
from jupyter_tokens.kernel.injection import Injections, Place, env_place, var_place
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW

KEY, OTHER = Key("oneaccess"), Key("pai-dlc", (("ExpireTime", 60),))
ENV, VAR = Place("env", "ONEACCESS_TOKEN"), Place("var", "token")


def token(value: str | None = "first") -> Token:
    from jupyter_tokens.clock import utc

    return Token(value, profile="oneaccess", provider="oneaccess", obtained_at=utc(NOW))


@pytest.fixture
def namespace() -> dict[str, Any]:
    return {}


@pytest.fixture
def environ() -> dict[str, str]:
    return {}


@pytest.fixture
def injections(namespace: dict[str, Any], environ: dict[str, str]) -> Injections:
    return Injections(namespace, environ)


def test_the_environment_gets_the_value_and_a_variable_the_opaque_token(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    got = token()
    injections.put(KEY, got, [ENV, VAR])
    assert environ == {"ONEACCESS_TOKEN": "first"}
    assert namespace == {"token": got}
    assert injections.places(KEY) == [ENV, VAR]


def test_a_successor_replaces_it_in_all_places_of_its_key_only(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    injections.put(KEY, token(), [ENV, VAR])
    injections.put(OTHER, token("other"), [Place("env", "PAI_DLC_TOKEN")])
    newer = token("second")
    injections.arrived(KEY, newer)
    assert environ == {"ONEACCESS_TOKEN": "second", "PAI_DLC_TOKEN": "other"}
    assert namespace["token"] is newer


def test_a_token_without_a_place_goes_nowhere(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    injections.arrived(KEY, token())
    injections.put(KEY, token(), [])
    assert (environ, namespace, injections.places(KEY), injections.take_out(KEY)) == ({}, {}, [], [])


def test_taking_out_gives_back_what_was_there_before(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    injections.put(KEY, token(), [ENV, VAR])
    injections.put(KEY, token("second"), [ENV])
    assert injections.take_out(KEY) == [ENV, VAR]
    assert (environ, namespace) == ({"ONEACCESS_TOKEN": "mine"}, {})
    injections.arrived(KEY, token("third"))
    assert (environ, namespace) == ({"ONEACCESS_TOKEN": "mine"}, {})


def test_taking_out_bears_that_the_user_took_it_out_already(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    injections.put(KEY, token(), [ENV, VAR])
    environ.clear()
    namespace.clear()
    assert injections.take_out(KEY) == [ENV, VAR]
    assert (environ, namespace) == ({}, {})


def test_a_place_belongs_to_the_key_that_filled_it_last_and_remembers_what_was_there_first(
    injections: Injections, environ: dict[str, str]
) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    injections.put(KEY, token(), [ENV])
    injections.put(OTHER, token("other"), [ENV])
    assert (injections.places(KEY), injections.places(OTHER)) == ([], [ENV])
    injections.arrived(KEY, token("second"))
    assert environ == {"ONEACCESS_TOKEN": "other"}
    injections.take_out(OTHER)
    assert environ == {"ONEACCESS_TOKEN": "mine"}


def test_a_token_without_a_value_fills_a_variable_but_no_environment(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    described = token(None)
    injections.put(KEY, described, [VAR])
    assert namespace == {"token": described}
    with pytest.raises(NoValue):
        injections.put(OTHER, described, [ENV])
    assert environ == {}


def test_subprocesses_see_it_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEACCESS_TOKEN", raising=False)
    injections = Injections({})
    injections.put(KEY, token("for all"), [ENV])
    try:
        program = "import os; print(os.environ['ONEACCESS_TOKEN'])"
        assert subprocess.check_output([sys.executable, "-c", program], text=True) == "for all\n"
    finally:
        injections.take_out(KEY)
    assert "ONEACCESS_TOKEN" not in os.environ


def test_what_is_remembered_is_not_shown(injections: Injections, environ: dict[str, str]) -> None:
    environ["ONEACCESS_TOKEN"] = CANARY
    injections.put(KEY, token(), [ENV])
    assert CANARY not in repr(injections._filled)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A B", "Ä", "A\0"])
def test_a_wrong_name_of_an_environment_variable_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="environment variable") as caught:
        env_place(name)
    assert caught.value.unsent


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a.b", "a b", "class", "None"])
def test_a_wrong_name_of_a_variable_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="Python variable") as caught:
        var_place(name)
    assert caught.value.unsent


def test_an_endless_name_is_cut_in_the_message() -> None:
    with pytest.raises(ParameterError) as caught:
        env_place("-" * 5000)
    assert len(str(caught.value)) < 200


def test_places_say_what_they_are() -> None:
    assert (str(env_place("A_1")), str(var_place("größe"))) == ("$A_1", "größe")
