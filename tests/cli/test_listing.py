"""`jupyter tokens list`: what is told without a call, and what it must not load to tell it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.configured import ListApp

from .machine import write_profiles
from .running import Run

APP = ListApp


def test_nothing_is_no_error(run: Run) -> None:
    done = run()
    assert (done.code, done.out) == (0, "")
    assert "jupyter tokens add" in done.err
    assert json.loads(run("--json").out) == {"profiles": []}


def test_a_line_for_each_profile(run: Run, config_dir: Path) -> None:
    acme = {"provider": "oneaccess", "client_secret": "keyring:no/body", "env": "ACME"}
    file = write_profiles(config_dir, {"acme": acme, "b": {"provider": "astra", "api_token": "command:false"}})
    done = run()
    assert (done.code, done.err) == (0, "")
    heads, *lines = [line.split() for line in done.out.replace(str(file), "FILE").splitlines()]
    assert heads == ["name", "provider", "env", "state", "file"]
    # Neither was the keyring opened, nor the command run.
    assert lines == [["acme", "oneaccess", "ACME", "configured", "FILE"], ["b", "astra", "configured", "FILE"]]


@pytest.mark.parametrize(
    ("settings", "state", "problem"),
    [
        ({"provider": "astra", "api_token": "env:NOT_THERE"}, "no secret", "NOT_THERE is not set"),
        ({"provider": "astra", "api_token": "file:not-there"}, "no secret", "cannot be read"),
        ({"provider": "astra", "api_token": "env:"}, "no secret", "is incomplete"),
        ({"api_token": "env:HOME"}, "wrong", "has no provider"),
        (["astra"], "wrong", "has no provider"),
    ],
)
def test_what_is_missing_is_told(run: Run, config_dir: Path, settings: Any, state: str, problem: str) -> None:
    write_profiles(config_dir, {"one": settings, "other": {"provider": "eiam"}})
    done = run("--json")
    one, other = json.loads(done.out)["profiles"]
    assert (done.code, one["state"], other["state"], other["problem"]) == (0, state, "configured", None)
    assert problem in one["problem"]
    told = run()
    assert state in told.out
    assert problem in told.err


def test_no_secret_is_shown(run: Run, config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "c4n4ry-of-the-environment")
    literal = {"provider": "astra", "api_token": "c4n4ry-literal"}
    write_profiles(config_dir, {"a": literal, "b": {"provider": "astra", "x": "env:THERE"}})
    for done in (run(), run("--json")):
        assert "c4n4ry" not in done.out + done.err


def test_wrong_usage(run: Run, config_dir: Path) -> None:
    assert run("acme").code == 2
    (config_dir / "jupyter_tokens_config.json").write_text("{")
    done = run()
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "jupyter_tokens_config.json cannot be read" in done.err


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_listed(
    run: Run, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles(config_dir, {"acme": {"provider": "oneaccess"}})
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path))
    broken = tmp_path / "jupyter_tokens_config.json"
    broken.write_text("{")
    done = run("--json")
    assert [entry["name"] for entry in json.loads(done.out)["profiles"]] == ["acme"]
    assert done.err.startswith(f"{broken} cannot be read: error in line 1.")
    assert done.code == 0


def test_it_loads_no_shell_no_server_and_no_keyring(config_dir: Path) -> None:
    write_profiles(config_dir, {"acme": {"provider": "oneaccess", "client_secret": "env:HOME"}})
    program = (
        "import sys, contextlib\n"
        "from jupyter_tokens.cli.app import main\n"
        "sys.argv = ['jupyter-tokens', 'list']\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "print(sorted({'IPython', 'tornado', 'keyring', 'ipywidgets'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "acme" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
