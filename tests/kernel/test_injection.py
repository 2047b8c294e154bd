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

from jupyter_tokens.errors import NoValue, ParameterError
from jupyter_tokens.kernel.injection import Injections, Place, env_place, file_place, var_place
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW
from .shells import undeletable

KEY, OTHER = Key("oneaccess"), Key("pai-dlc", (("ExpireTime", 60),))
ENV, VAR = Place("env", "ONEACCESS_TOKEN"), Place("var", "token")


def token(value: str | None = "first") -> Token:
    from jupyter_tokens.clock import utc

    return Token(value, profile="oneaccess", provider="oneaccess", obtained_at=utc(NOW))


def filled(injections: Injections, key: Key) -> list[Place]:
    return [*injections.places(key).filled]


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
    assert filled(injections, KEY) == [ENV, VAR]


def test_a_successor_replaces_it_in_all_places_of_its_key_only(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    injections.put(KEY, token(), [ENV, VAR])
    injections.put(OTHER, token("other"), [Place("env", "PAI_DLC_TOKEN")])
    newer = token("second")
    injections.update(KEY, newer)
    assert environ == {"ONEACCESS_TOKEN": "second", "PAI_DLC_TOKEN": "other"}
    assert namespace["token"] is newer


def test_a_token_without_a_place_goes_nowhere(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    injections.update(KEY, token())
    injections.put(KEY, token(), [])
    assert (environ, namespace, filled(injections, KEY), injections.remove(KEY)) == ({}, {}, [], [])


def test_taking_out_gives_back_what_was_there_before(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    injections.put(KEY, token(), [ENV, VAR])
    injections.put(KEY, token("second"), [ENV])
    assert injections.remove(KEY) == [ENV, VAR]
    assert (environ, namespace) == ({"ONEACCESS_TOKEN": "mine"}, {})
    injections.update(KEY, token("third"))
    assert (environ, namespace) == ({"ONEACCESS_TOKEN": "mine"}, {})


def test_taking_out_what_is_out_already_changes_nothing_and_needs_no_word(
    injections: Injections, namespace: dict[str, Any], environ: dict[str, str]
) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    injections.put(KEY, token(), [ENV, VAR])
    environ["ONEACCESS_TOKEN"] = "mine"
    namespace.clear()
    assert (injections.remove(KEY), injections.pop_notices()) == ([], [])
    assert (environ, namespace, injections.keys()) == ({"ONEACCESS_TOKEN": "mine"}, {}, [])


def test_a_place_belongs_to_the_key_that_filled_it_last_and_remembers_what_was_there_first(
    injections: Injections, environ: dict[str, str]
) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    injections.put(KEY, token(), [ENV])
    injections.put(OTHER, token("other"), [ENV])
    assert (filled(injections, KEY), filled(injections, OTHER)) == ([], [ENV])
    injections.update(KEY, token("second"))
    assert environ == {"ONEACCESS_TOKEN": "other"}
    injections.remove(OTHER)
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
        injections.remove(KEY)
    assert "ONEACCESS_TOKEN" not in os.environ


def test_what_is_remembered_is_not_shown(injections: Injections, environ: dict[str, str]) -> None:
    environ["ONEACCESS_TOKEN"] = CANARY
    injections.put(KEY, token(), [ENV])
    injections.put_temporarily(OTHER, token(CANARY), [ENV], object())
    assert CANARY not in repr(vars(injections))


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
    assert injections.update(KEY, token("second-token")) == []
    assert file.read_text() == "second-token"
    assert injections.remove(KEY) == [place, VAR]
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
    injections: Injections, file: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    injections.put(KEY, token("first-token"), [file_place(str(file)), ENV])
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, how: False)
        # However often it fails, the file still counts as ours.
        for number in range(10):
            (problem,) = injections.update(KEY, token(f"token-{number}"))
            assert "is not writable" in str(problem)
    assert (file.read_text(), environ) == ("first-token", {"ONEACCESS_TOKEN": "token-9"})
    injections.update(KEY, token("last-token"))
    assert file.read_text() == "last-token"
    assert injections.pop_notices() == []


# What is lent


def lend(injections: Injections, key: Key, got: Token, places: list[Place]) -> Callable[[], None]:
    loan = object()
    injections.put_temporarily(key, got, places, loan)
    return lambda: injections.end_loan(loan)


def test_what_is_lent_lies_on_top_and_what_is_put_waits_below(injections: Injections, environ: dict[str, str]) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    back = lend(injections, OTHER, token("lent"), [ENV])
    injections.put(KEY, token("put"), [ENV])
    assert environ["ONEACCESS_TOKEN"] == "lent"
    assert (filled(injections, KEY), filled(injections, OTHER)) == ([ENV], [ENV])
    injections.update(OTHER, token("lent again"))
    injections.update(KEY, token("put again"))
    assert environ["ONEACCESS_TOKEN"] == "lent again"
    back()
    back()
    assert environ["ONEACCESS_TOKEN"] == "put again"
    injections.remove(KEY)
    assert environ["ONEACCESS_TOKEN"] == "mine"


def test_forgetting_one_leaves_what_another_has_lent_on_top(injections: Injections, environ: dict[str, str]) -> None:
    injections.put(KEY, token("put"), [ENV])
    back = lend(injections, OTHER, token("lent"), [ENV])
    assert injections.remove(KEY) == [ENV]
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
    injections.update(KEY, token("newer"))
    assert environ["ONEACCESS_TOKEN"] == "newer"
    back()
    assert environ["ONEACCESS_TOKEN"] == "newer"
    assert filled(injections, KEY) == [ENV]


def test_what_is_forgotten_while_it_is_lent_is_taken_away_too(injections: Injections, environ: dict[str, str]) -> None:
    back = lend(injections, KEY, token(), [ENV])
    assert injections.remove(KEY) == [ENV]
    assert environ == {}
    back()
    assert environ == {}


def test_a_forked_child_is_not_held_up_by_a_lock_of_the_parents(
    injections: Injections, environ: dict[str, str]
) -> None:
    injections.put(KEY, token(), [ENV])
    injections._lock.acquire()
    injections.after_fork()
    thread = threading.Thread(target=injections.remove, args=(KEY,))
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
    loan = object()
    environ.left = when

    def cell() -> None:
        injections.put_temporarily(KEY, token(), [Place("env", "OLD"), Place("env", "NEW")], loan)
        injections.end_loan(loan)

    with pytest.raises(KeyboardInterrupt):
        cell()
    injections.end_loan(loan)
    assert environ == {"OLD": "mine"}
    assert (injections.keys(), injections.pop_notices()) == ([], [])


def test_a_put_that_fails_leaves_the_token_that_was_put_before(
    injections: Injections, file: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = file_place(str(file))
    injections.put(KEY, token("first-token"), [place, ENV])

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ParameterError, match="No space left"):
            injections.put(OTHER, token("other-token"), [ENV, place])
    assert (filled(injections, KEY), filled(injections, OTHER)) == ([place, ENV], [])
    assert (file.read_text(), environ) == ("first-token", {"ONEACCESS_TOKEN": "first-token"})
    injections.update(KEY, token("second-token"))
    assert (file.read_text(), environ) == ("second-token", {"ONEACCESS_TOKEN": "second-token"})


def test_a_token_that_looks_like_no_other_is_replaced_and_removed_too(injections: Injections, file: Path) -> None:
    place = file_place(str(file))
    injections.put(KEY, token("one: two; three"), [place])
    assert injections.update(KEY, token("four, five & six")) == []
    assert file.read_text() == "four, five & six"
    injections.remove(KEY)
    assert not file.exists()


# What belongs to the user


class Equal:
    """Equal to everything, and without a truth: as a table is, compared with a token."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("The truth value is ambiguous.")


def test_a_variable_is_ours_by_identity_whatever_it_is_equal_to(
    injections: Injections, namespace: dict[str, Any]
) -> None:
    injections.put(KEY, token(), [VAR])
    mine = namespace["token"] = Equal()
    injections.update(KEY, token("second"))
    assert injections.remove(KEY) == []
    assert namespace["token"] is mine


def test_a_value_that_is_put_back_after_a_refresh_is_kept_fresh_again(
    injections: Injections, environ: dict[str, str]
) -> None:
    from unittest.mock import patch

    injections.put(KEY, token(), [ENV])
    with patch.dict(environ, {"OTHER": "x"}):
        injections.update(KEY, token("second"))
        assert environ["ONEACCESS_TOKEN"] == "second"
    assert environ == {"ONEACCESS_TOKEN": "first"}
    injections.update(KEY, token("third"))
    assert environ == {"ONEACCESS_TOKEN": "third"}
    with patch.dict(environ, {"ONEACCESS_TOKEN": "mine"}):
        injections.update(KEY, token("fourth"))
        assert environ["ONEACCESS_TOKEN"] == "mine"
    injections.update(KEY, token("fifth"))
    assert environ == {"ONEACCESS_TOKEN": "fifth"}


def test_what_was_changed_under_a_loan_is_not_given_back_to_either(
    injections: Injections, environ: dict[str, str]
) -> None:
    injections.put(KEY, token("put"), [ENV])
    back = lend(injections, OTHER, token("lent"), [ENV])
    environ["ONEACCESS_TOKEN"] = "mine"
    back()
    injections.update(KEY, token("put again"))
    assert injections.remove(KEY) == []
    assert environ == {"ONEACCESS_TOKEN": "mine"}
    assert injections.pop_notices() == ["$ONEACCESS_TOKEN was changed by the notebook; left as it is."]


@pytest.mark.parametrize("now", ["a document", "another-token", "a folder", "a link", "a pipe", "nothing"])
def test_a_file_that_is_something_else_by_now_is_left_alone(
    injections: Injections, file: Path, tmp_path: Path, now: str
) -> None:
    injections.put(KEY, token("first-token"), [file_place(str(file))])
    file.unlink()
    if now == "a folder":
        file.mkdir()
    elif now == "a link":
        (tmp_path / "target").write_text("first-token")
        file.symlink_to(tmp_path / "target")
    elif now == "a pipe":
        os.mkfifo(file)
    elif now != "nothing":
        file.write_text(now)
        file.chmod(0o600)
    before = file.lstat() if now != "nothing" else None
    assert injections.update(KEY, token("second-token")) == []
    assert injections.remove(KEY) == []
    assert (file.lstat() if now != "nothing" else None) == before
    (said,) = injections.pop_notices()
    assert said == f"{file} was {'deleted' if now == 'nothing' else 'changed'}; left as it is."


def test_a_large_token_is_replaced_in_its_file_and_removed(injections: Injections, file: Path) -> None:
    injections.put(KEY, token("y" * 140_000), [file_place(str(file))])
    assert injections.update(KEY, token("z" * 1_000_000)) == []
    assert file.stat().st_size == 1_000_000
    assert injections.remove(KEY) == [file_place(str(file))]
    assert not file.exists()


def test_a_file_that_was_opened_to_others_is_closed_by_the_next_refresh(injections: Injections, file: Path) -> None:
    injections.put(KEY, token("first-token"), [file_place(str(file))])
    file.chmod(0o644)
    assert injections.update(KEY, token("second-token")) == []
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("second-token", 0o600)


# What a place cannot take


def _starts(environ: dict[str, str]) -> bool:
    try:
        return subprocess.run([sys.executable, "-c", ""], env=environ, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="MAX_ARG_STRLEN is Linux's")
def test_the_longest_value_that_is_taken_is_the_longest_that_a_program_can_be_started_with(
    injections: Injections, environ: dict[str, str]
) -> None:
    longest = 32 * os.sysconf("SC_PAGE_SIZE") - len("ONEACCESS_TOKEN=") - 1
    injections.put(KEY, token("y" * longest), [ENV])
    assert _starts(environ)
    assert not _starts({"ONEACCESS_TOKEN": "y" * (longest + 1)})
    (problem,) = injections.update(KEY, token("z" * (longest + 1)))
    assert "--file" in problem.hint
    assert environ == {"ONEACCESS_TOKEN": "y" * longest}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to the whole")
def test_all_variables_together_stay_so_short_that_a_program_can_be_started(
    injections: Injections, environ: dict[str, str]
) -> None:
    def fill() -> None:
        for number in range(100):
            injections.put(KEY, token("y" * 100_000), [Place("env", f"TOKEN_{number}")])

    with pytest.raises(ParameterError, match="all environment variables together"):
        fill()
    assert 1 <= len(environ) < 100
    assert _starts(environ)


@pytest.mark.parametrize(
    ("value", "why"), [("y" * 10_000_000, "bytes"), ("a\0b", "NUL"), ("\ud800" + CANARY, "encode")]
)
def test_what_the_environment_cannot_take_is_put_nowhere(
    injections: Injections, environ: dict[str, str], namespace: dict[str, Any], file: Path, value: str, why: str
) -> None:
    environ["ONEACCESS_TOKEN"] = "mine"
    places = [VAR, file_place(str(file), "json"), ENV]
    with pytest.raises(ParameterError, match=why) as caught:
        injections.put(KEY, token(value), places)
    assert "--file" in caught.value.hint
    assert "--var" in caught.value.hint
    assert CANARY not in str(caught.value)
    with pytest.raises(ParameterError):
        lend(injections, KEY, token(value), places)
    assert (environ, namespace, file.exists(), injections.keys()) == ({"ONEACCESS_TOKEN": "mine"}, {}, False, [])


def test_an_interrupt_while_it_is_put_leaves_nothing_half_done(file: Path) -> None:
    environ = Interrupting({"OLD": "mine"})
    environ.left = 2
    injections = Injections({}, environ)
    with pytest.raises(KeyboardInterrupt):
        injections.put(KEY, token("first-token"), [Place("env", "OLD"), Place("env", "NEW"), file_place(str(file))])
    assert (environ, file.exists(), injections.keys()) == ({"OLD": "mine"}, False, [])


def test_what_cannot_be_undone_goes_on_being_listed(
    injections: Injections, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = file_place(str(file)), file_place(str(file.with_name("second")))
    fsync = os.fsync

    def full(handle: int) -> None:
        if file.exists():
            raise OSError(28, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        undeletable(patch)
        with pytest.raises(ParameterError, match="No space left"):
            injections.put(KEY, token("first-token"), [first, second])
    assert filled(injections, KEY) == [first]
    assert injections.remove(KEY) == [first]
    assert not file.exists()


def test_places_can_be_named_where_the_current_folder_is_gone(
    injections: Injections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    place = file_place(str(tmp_path / "token"))
    injections.put(KEY, token("first-token"), [place])
    assert str(place) == str(tmp_path / "token")
    assert injections.remove(KEY) == [place]
    with pytest.raises(ParameterError, match="no longer exists") as caught:
        file_place("token")
    assert "absolute path" in caught.value.hint
