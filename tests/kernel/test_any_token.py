"""Keys from the keyring and programs that print tokens, in a real kernel: the same as any other token."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.demo import write_config

from .shells import PROGRESS, RealKernel, printed

KEY = "sk-c4n4ry-5ecr3t-v4lue-0123456789"


@pytest.fixture
def tokens_of_az(tmp_path: Path) -> Path:
    """What the program prints, so that it can be another token the next time."""
    return tmp_path / "az.json"


@pytest.fixture
def configured(config_dir: Path, tmp_path: Path, tokens_of_az: Path) -> dict[str, dict[str, Any]]:
    key = tmp_path / "openai-key"
    key.touch(mode=0o600)
    key.write_text(f"{KEY}\n")
    command = [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", str(tokens_of_az)]
    profiles: dict[str, dict[str, Any]] = {
        "openai": {"provider": "static", "token": f"file:{key}", "env": "MINE"},
        "az": {"provider": "command", "command": shlex.join(command), "env": "AZ_TOKEN"},
    }
    write_config(config_dir, profiles)
    return profiles


def card(messages: list[dict[str, Any]]) -> str:
    shown = [message["data"]["text/plain"] for message in messages if message["kind"].endswith("display_data")]
    (text,) = [text for text in shown if not PROGRESS.match(text)]
    return str(text)


def test_a_key_goes_into_its_variable_and_is_not_shown(kernel: RealKernel) -> None:
    messages = kernel.run("%gettoken openai")
    assert messages[-1]["status"] == "ok"
    text = card(messages)
    assert "API key or personal access token" in text
    assert "injected: $MINE" in text
    assert "sandbox" not in text
    messages += kernel.run("import os; print(os.environ['MINE']); os.environ['MINE']")
    assert KEY not in json.dumps(messages)
    length = kernel.run("print(len(os.environ['MINE']), os.environ['MINE'].startswith('sk-'))")
    assert printed(length) == f"{len(KEY)} True\n"
    assert "openai" in json.dumps(kernel.run("%tokens"))
    kernel.run("%deltoken openai")
    assert printed(kernel.run("print('MINE' in os.environ)")) == "False\n"


def test_what_a_program_prints_is_fetched_again_by_refresh(kernel: RealKernel, tokens_of_az: Path) -> None:
    first, second = f"first-{KEY}", f"second-{KEY}"
    tokens_of_az.write_text(json.dumps({"accessToken": first, "expires_on": 4102444800}, indent=2))
    messages = kernel.run("%gettoken az")
    assert "Program that prints a token" in card(messages)
    assert "days after it was fetched" in card(messages)
    tokens_of_az.write_text(json.dumps({"accessToken": second, "expires_on": 4102444800}))
    messages += kernel.run("%gettoken az --refresh")
    messages += kernel.run("import os; print(os.environ['AZ_TOKEN'])")
    assert KEY not in json.dumps(messages)
    assert printed(kernel.run("print(os.environ['AZ_TOKEN'][:6])")) == "second\n"


def test_a_program_that_fails_says_what_to_do(kernel: RealKernel, tokens_of_az: Path) -> None:
    messages = kernel.run("%gettoken az")
    assert messages[-1]["status"] == "error"
    assert "ended with status 1" in json.dumps(messages)
    assert "Run it in a terminal" in json.dumps(messages)
    assert "Traceback" not in json.dumps(messages)
    tokens_of_az.write_text(f"Please log in: {KEY}")
    assert KEY not in json.dumps(kernel.run("%gettoken az"))
