"""Places are filled, filled again by successors, and given back as they were."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.broker import Key
from jupyter_tokens.errors import NoValue, ParameterError
from jupyter_tokens.kernel.injection import Injections, Place, env_place, file_place, var_place
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
    assert CANARY not in repr(injections._piles)


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


# Files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


def test_a_file_is_a_place_as_the_others_are(injections: Injections, file: Path) -> None:
    file.write_text("an-older-token")
    file.chmod(0o600)
    place = file_place(str(file))
    assert str(place) == str(file)
    injections.put(KEY, token("first-token"), [VAR, place])
    assert file.read_text() == "first-token"
    assert injections.arrived(KEY, token("second-token")) == []
    assert file.read_text() == "second-token"
    assert injections.take_out(KEY) == [place, VAR]
    assert file.read_text() == "an-older-token"


def test_a_file_that_fails_fills_nothing(
    injections: Injections, file: Path, environ: dict[str, str], namespace: dict[str, Any]
) -> None:
    place = file_place(str(file))
    file.mkdir()
    with pytest.raises(ParameterError):
        injections.put(KEY, token(), [ENV, VAR, place])
    with pytest.raises(ParameterError):
        lend(injections, KEY, token(), [ENV, VAR, place])
    assert (environ, namespace, injections.keys()) == ({}, {}, [])


def test_a_file_that_fails_later_is_told_and_the_rest_is_filled(
    injections: Injections, file: Path, environ: dict[str, str]
) -> None:
    injections.put(KEY, token("first-token"), [file_place(str(file)), ENV])
    file.unlink()
    file.mkdir()
    (problem,) = injections.arrived(KEY, token("second-token"))
    assert "no regular file" in str(problem)
    assert environ == {"ONEACCESS_TOKEN": "second-token"}


# What is lent


def lend(injections: Injections, key: Key, got: Token, places: list[Place]) -> Callable[[], None]:
    lent = injections.loan(key, got, places)
    lent.lay()
    return lent.give_back


def test_what_is_lent_lies_on_top_and_what_is_put_waits_below(injections: Injections, environ: dict[str, str]) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    back = lend(injections, OTHER, token("lent"), [ENV])
    injections.put(KEY, token("put"), [ENV])
    assert environ["ONEACCESS_TOKEN"] == "lent"
    assert (injections.places(KEY), injections.places(OTHER)) == ([ENV], [ENV])
    injections.arrived(OTHER, token("lent again"))
    injections.arrived(KEY, token("put again"))
    assert environ["ONEACCESS_TOKEN"] == "lent again"
    back()
    back()
    assert environ["ONEACCESS_TOKEN"] == "put again"
    injections.take_out(KEY)
    assert environ["ONEACCESS_TOKEN"] == "mine"


def test_forgetting_one_leaves_what_another_has_lent_on_top(injections: Injections, environ: dict[str, str]) -> None:
    injections.put(KEY, token("put"), [ENV])
    back = lend(injections, OTHER, token("lent"), [ENV])
    assert injections.take_out(KEY) == [ENV]
    assert environ["ONEACCESS_TOKEN"] == "lent"
    back()
    assert environ == {}


def test_loans_may_end_in_any_order(injections: Injections, environ: dict[str, str]) -> None:
    first = lend(injections, KEY, token("first"), [ENV])
    second = lend(injections, OTHER, token("second"), [ENV])
    first()
    assert environ["ONEACCESS_TOKEN"] == "second"
    second()
    assert (environ, injections.keys()) == ({}, [])


def test_the_same_key_may_be_lent_on_top_of_itself(injections: Injections, environ: dict[str, str]) -> None:
    injections.put(KEY, token("put"), [ENV])
    back = lend(injections, KEY, token("put"), [ENV])
    injections.arrived(KEY, token("newer"))
    assert environ["ONEACCESS_TOKEN"] == "newer"
    back()
    assert environ["ONEACCESS_TOKEN"] == "newer"
    assert injections.places(KEY) == [ENV]


def test_what_is_forgotten_while_it_is_lent_is_taken_away_too(injections: Injections, environ: dict[str, str]) -> None:
    back = lend(injections, KEY, token(), [ENV])
    assert injections.take_out(KEY) == [ENV]
    assert environ == {}
    back()
    assert environ == {}


def test_a_forked_child_is_not_held_up_by_a_lock_of_the_parents(
    injections: Injections, environ: dict[str, str]
) -> None:
    injections.put(KEY, token(), [ENV])
    injections._lock.acquire()
    injections.after_fork()
    thread = threading.Thread(target=injections.take_out, args=(KEY,))
    thread.start()
    thread.join(10)
    assert environ == {}


class Interrupting(dict[str, str]):
    """An environment in which an interrupt comes after so many changes."""

    left = 0

    def change(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self.change()

    def pop(self, name: str, *default: Any) -> Any:
        value = super().pop(name, *default)
        self.change()
        return value


@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_what_an_interrupt_leaves_undone_is_done_when_it_is_asked_for_again(when: int) -> None:
    environ = Interrupting({"OLD": "mine"})
    injections = Injections({}, environ)
    lent = injections.loan(KEY, token(), [Place("env", "OLD"), Place("env", "NEW")])
    environ.left = when

    def cell() -> None:
        lent.lay()
        lent.give_back()

    with pytest.raises(KeyboardInterrupt):
        cell()
    lent.give_back()
    assert environ == {"OLD": "mine"}
    assert injections.keys() == []


def test_a_put_that_fails_leaves_the_token_that_was_put_before(injections: Injections, file: Path) -> None:
    place = file_place(str(file))
    injections.put(KEY, token("first-token"), [place])
    file.unlink()
    file.mkdir()
    with pytest.raises(ParameterError):
        injections.put(OTHER, token("other-token"), [place])
    assert (injections.places(KEY), injections.places(OTHER)) == ([place], [])
    file.rmdir()
    injections.arrived(KEY, token("second-token"))
    assert file.read_text() == "second-token"


def test_a_token_that_looks_like_no_other_is_replaced_and_removed_too(injections: Injections, file: Path) -> None:
    place = file_place(str(file))
    injections.put(KEY, token("one: two; three"), [place])
    assert injections.arrived(KEY, token("four, five & six")) == []
    assert file.read_text() == "four, five & six"
    injections.take_out(KEY)
    assert not file.exists()
