"""`jupyter tokens` itself: names its sub-commands, hands over to them, and calls wrong usage wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_tokens import __version__
from jupyter_tokens.cli.app import TokensApp, main
from jupyter_tokens.cli.demo import DemoApp
from jupyter_tokens.cli.get import GetApp

from .machine import Machine, write_profiles


@pytest.fixture(autouse=True)
def _no_instance_is_left() -> object:
    yield
    TokensApp.clear_instance()
    DemoApp.clear_instance()


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["jupyter-tokens", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], f"a sub-command is missing; known sub-commands: {', '.join(TokensApp.subcommands)}"),
        (["dance"], "no sub-command 'dance'"),
        (["--dance"], "--dance"),
        (["demo", "--port"], "--port: expected one argument"),
        (["list", "--log-level=LOUD"], "--log-level must be one of"),
        (["list", "--no-such=c4n4ry"], "unrecognized arguments: --no-such;"),
        (["list", "--form", "json"], "unrecognized arguments: --form"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert ended(monkeypatch, *arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert complaint in err
    assert "c4n4ry" not in err


@pytest.mark.parametrize("command", [["providers"], ["--help"], ["list", "--help-all"]])
def test_a_closed_pipe_is_no_error_to_report(tmp_path: Path, command: list[str]) -> None:
    machine = Machine(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_tokens.cli.app", *command],
        env=machine.variables,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_options_may_stand_between_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[str], str]] = []
    monkeypatch.setattr(GetApp, "start", lambda self: seen.append((self.extra_args, self.form)))
    monkeypatch.setattr(sys, "argv", ["jupyter-tokens", "get", "a", "--format", "env", "b=c", "--", "--format"])
    main()
    GetApp.clear_instance()
    assert seen == [(["a", "b=c", "--format"], "env")]


def test_help_tells_what_each_sub_command_does(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "--help") == 0
    out, err = capfd.readouterr()
    assert err == ""
    for name, (_, says) in TokensApp.subcommands.items():
        assert name in out
        assert says in " ".join(out.split())


@pytest.mark.parametrize("command", [[], ["demo"]])
def test_help_all_describes_the_profiles_configuration(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert ended(monkeypatch, *command, "--help-all") == 0
    out = capfd.readouterr().out
    assert "TokenProfiles.profiles=" in out
    assert "any of ['auto', 'server', 'direct']" in out


@pytest.mark.parametrize("option", ["profiles", "mode"])
def test_profiles_are_no_option_and_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], option: str
) -> None:
    assert ended(monkeypatch, "demo", f"--TokenProfiles.{option}=c4n4ry=x") == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n"), "c4n4ry" in err) == ("", 1, False)
    assert "jupyter tokens add" in err


@pytest.mark.parametrize("command", [[], ["demo"], ["sandbox"]])
def test_the_version_is_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert ended(monkeypatch, *command, "--version") == 0
    assert capfd.readouterr().out.strip() == __version__


def test_a_sub_command_gets_the_rest_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    monkeypatch.setattr(DemoApp, "start", lambda self: seen.append((self.port, self.browser)))
    monkeypatch.setattr(sys, "argv", ["jupyter-tokens", "demo", "--port", "9999", "--no-browser"])
    main()
    assert seen == [(9999, False)]


@pytest.mark.parametrize("option", ["--show-config", "--show-config-json", "--debug"])
@pytest.mark.parametrize("command", [[], ["list"], ["doctor", "--offline"]])
def test_no_option_shows_a_literal_secret(tmp_path: Path, command: list[str], option: str) -> None:
    machine = Machine(tmp_path)
    write_profiles(machine.config, {"acme": {"client_secret": "c4n4ry-literal"}})
    done = machine.run(*command, option)
    assert "c4n4ry" not in done.stdout + done.stderr
