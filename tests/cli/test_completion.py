"""Tab, in a real bash: sub-commands, options, profiles, providers and parameters, through `jupyter` as well."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pexpect
import pytest

from jupyter_tokens.cli.completion import SHELLS, CompletionApp, profile_then_params, provider_names

from .machine import SECONDS, Machine, write_profiles
from .running import Run

APP = CompletionApp

PROMPT = "ready> "
PROFILES = {
    "acme-one": {"provider": "oneaccess", "endpoint": "https://a.example", "client_id": "a", "client_secret": "env:A"},
    "share": {"provider": "pai-dlc", "region": "cn-hangzhou", "access_key_id": "a", "access_key_secret": "env:A"},
}


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[pexpect.spawn[Any]]:
    """A shell that has evaluated what the command prints."""
    machine = Machine(tmp_path)
    write_profiles(machine.config, PROFILES)
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        env={**machine.variables, "PS1": PROMPT, "TERM": "dumb", "INPUTRC": "/dev/null"},
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(40, 250),
    )
    shell.expect_exact(PROMPT)
    # One Tab lists what fits, and nothing is coloured or rung.
    for line in (
        "bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
        'eval "$(jupyter tokens completion bash)"',
    ):
        shell.sendline(line)
        shell.expect_exact(PROMPT)
    yield shell
    shell.close(force=True)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("jupyter-tokens sand", "box"),
        ("jupyter tokens get ac", "me-one "),
        ("jupyter-tokens remove sh", "are "),
        ("jupyter tokens get acme-one --for", "mat "),
        ("jupyter tokens get acme-one --format head", "er "),
        ("jupyter tokens add new --provider one", "access "),
        ("jupyter tokens providers ei", "am "),
        ("jupyter tokens get share TargetT", "ype="),
        ("jupyter tokens get share TargetType=j", "ob"),
        ("jupyter tokens completion z", "sh "),
    ],
)
def test_tab(bash: pexpect.spawn[Any], typed: str, completed: str) -> None:
    bash.send(typed + "\t")
    bash.expect_exact(typed)
    bash.expect_exact(completed)


def test_tab_lists_what_there_is(bash: pexpect.spawn[Any]) -> None:
    bash.send("jupyter tokens get \t")
    bash.expect(r"acme-one +share *\r\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_code(run: Run, shell: str) -> None:
    done = run(shell)
    assert (done.code, done.err) == (0, "")
    assert "jupyter-tokens" in done.out
    assert ("complete" if shell == "fish" else "compdef") in done.out


def test_bash_can_read_its_code(run: Run) -> None:
    assert subprocess.run(["bash", "-n"], input=run("bash").out, text=True, check=False).returncode == 0


@pytest.mark.parametrize("arguments", [[], ["csh"], ["bash", "zsh"]])
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.out, "bash, zsh, fish" in done.err) == (2, "", True)


def test_what_is_broken_completes_to_nothing(config_dir: Path) -> None:
    (config_dir / "jupyter_tokens_config.json").write_text("{")
    assert profile_then_params(SimpleNamespace()) == []
    assert profile_then_params(SimpleNamespace(extra_args=["acme"])) == []
    assert "oneaccess" in provider_names()
