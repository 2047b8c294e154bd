"""`%tokenlogin` and `%tokenlogout`, with a person at the sandbox's OpenID provider."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.kernel import magics
from jupyter_tokens.kernel.session import get_session
from jupyter_tokens.sandbox import Sandbox

from ..person import Person
from .shells import done, run


@pytest.fixture
def configured(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    profiles = {**sandbox.profiles(tmp_path), "me": sandbox.neighbours(tmp_path)["openid"]}
    write_config(config_dir, profiles)
    return profiles


def logged_in(shell: InteractiveShell) -> list[str]:
    """What `%tokenlogin` shows to a person, who does what it says."""
    shown: list[str] = []

    def display(notice: object) -> None:
        shown.append(repr(notice))
        place = re.search(r"Open (\S+) in any browser, and type the code (\S+)\.", shown[-1])
        if place:
            Person().type_code(place[1], place[2])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(magics, "display", display)
        assert run(shell, "%tokenlogin me").result.success
    return shown


def test_a_person_logs_in_gets_a_token_and_logs_out(shell: InteractiveShell) -> None:
    before = run(shell, "%gettoken me")
    assert "%tokenlogin me" in before.printed
    # The page logs in at a server, and here is none.
    assert before.outputs == []
    assert logged_in(shell)[-1].startswith("Logged in to me as demo")
    assert run(shell, "%gettoken me").result.success
    assert run(shell, "%tokenlogout me").card == "Logged out of me; the login server has revoked the login."
    assert run(shell, "%tokenlogout me").card == "Nobody was logged in to me."


def test_a_new_login_is_enough_for_what_is_kept_fresh(shell: InteractiveShell) -> None:
    session = get_session(shell)

    def until(state: str) -> None:
        changed = threading.Event()
        end = session.watch(changed.set)
        while {row.state for row in session.statuses() if row.profile == "me"} != {state}:
            assert changed.wait(60)
            changed.clear()
        end()

    logged_in(shell)
    done(shell, "%gettoken me --env MINE")
    first = os.environ["MINE"]
    done(shell, "%tokenlogout me")
    until("login")
    assert os.environ["MINE"] == first
    logged_in(shell)
    until("fresh")
    assert os.environ["MINE"] not in {"", first}


def test_a_profile_that_nobody_logs_in_to(shell: InteractiveShell) -> None:
    told = run(shell, "%tokenlogin oneaccess")
    assert not told.result.success
    assert "oneaccess" in told.printed
