"""What a person is asked: unseen where it must be, and never shown where it cannot be hidden."""

from __future__ import annotations

import getpass
import io
import sys
import warnings

import pytest

from jupyter_tokens.cli import terminal
from jupyter_tokens.errors import ParameterError


def test_a_terminal_that_cannot_hide_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fallback(_: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return "c4n4ry"

    monkeypatch.setattr(getpass, "getpass", fallback)
    with pytest.raises(ParameterError, match="cannot hide") as refused:
        terminal.prompt_hidden("secret")
    assert "--from-file" in refused.value.hint


def test_the_end_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", end)
    with pytest.raises(ParameterError, match="nothing was changed"):
        terminal.prompt_hidden("secret")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(ParameterError, match="nothing was changed"):
        terminal.prompt("name")


@pytest.mark.parametrize(("typed", "yes"), [("y", True), ("YES ", True), ("", False), ("n", False), ("yep", False)])
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, typed: str, *, yes: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed + "\n"))
    assert terminal.confirm("sure?") is yes


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress("asking"):
        pass
    assert capsys.readouterr() == ("", "")


def test_one_line_has_no_control_characters() -> None:
    assert terminal.one_line("a\n b\x1b[2J\x00c\u202e") == "a b [2J c"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "is_terminal", "shown"),
    [
        ({}, True, "\x1b[32mfresh\x1b[0m"),
        ({}, False, "fresh"),
        ({"NO_COLOR": "1"}, True, "fresh"),
        ({"NO_COLOR": ""}, True, "\x1b[32mfresh\x1b[0m"),
        ({"TERM": "dumb"}, True, "fresh"),
    ],
)
def test_colour_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, is_terminal: bool, shown: str
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal() if is_terminal else io.StringIO())
    assert terminal.coloured("fresh", "green") == shown


def test_a_colour_takes_no_room_in_a_table() -> None:
    assert terminal.table([["\x1b[31ma\x1b[0m", "bc"], ["def", ""]]) == "\x1b[31ma\x1b[0m    bc\ndef\n"


def test_a_table() -> None:
    assert terminal.table([["a", "bc"], ["def", ""]]) == "a    bc\ndef\n"
    assert terminal.table([]) == ""
