"""`%tokenlogin` and `%tokenlogout`, with a person at the sandbox's OpenID provider."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.kernel import magics
from jupyter_tokens.sandbox import Sandbox

from ..person import Person
from .shells import run


@pytest.fixture
def configured(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    profiles = {**sandbox.profiles(tmp_path), "me": sandbox.neighbours(tmp_path)["openid"]}
    write_config(config_dir, profiles)
    return profiles


def test_a_person_logs_in_gets_a_token_and_logs_out(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def display(notice: object) -> None:
        shown.append(repr(notice))
        place = re.search(r"Open (\S+) in any browser, and type the code (\S+)\.", shown[-1])
        if place:
            Person().type_code(place[1], place[2])

    before = run(shell, "%gettoken me")
    assert "%tokenlogin me" in before.printed
    # The page logs in at a server, and here is none.
    assert before.outputs == []
    with monkeypatch.context() as patch:
        patch.setattr(magics, "display", display)
        assert run(shell, "%tokenlogin me").result.success
    assert shown[-1].startswith("Logged in to me as demo")
    assert run(shell, "%gettoken me").result.success
    assert run(shell, "%tokenlogout me").card == "Logged out of me; the server has revoked the login."
    assert run(shell, "%tokenlogout me").card == "Nobody was logged in to me."


def test_a_profile_that_nobody_logs_in_to(shell: InteractiveShell) -> None:
    told = run(shell, "%tokenlogin oneaccess")
    assert not told.result.success
    assert "oneaccess" in told.printed
