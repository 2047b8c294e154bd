"""Tokens for one cell: the cell runs as any other, and what was there before is back when it has ended."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens import Token
from jupyter_tokens.errors import Forbidden, ParameterError, Throttled, UnknownProfile
from jupyter_tokens.kernel.cells import as_line_magic
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sources.cache import Key

from .shells import RealKernel, done, magics_of, misused, printed, refused, run, undeletable, whoami


def test_the_cell_has_the_token_and_the_next_one_has_what_was_before(
    shell: InteractiveShell, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "before")
    cell = "%%withtoken oneaccess --env MINE --var mine\nimport os\nseen = os.environ['MINE'], mine"
    outcome = done(shell, cell)
    value, token = shell.user_ns["seen"]
    assert whoami(sandbox, value)["api"] == "oneaccess"
    assert isinstance(token, Token)
    assert os.environ["MINE"] == "before"
    assert "mine" not in shell.user_ns
    assert outcome.outputs == []
    held = magics_of(shell).session
    assert held.client.source.keys() == []
    assert not held.refresher.keeps(Key("oneaccess"))


def test_the_last_expression_is_shown_as_usual(shell: InteractiveShell) -> None:
    outcome = done(shell, "%%withtoken oneaccess\n40\n40 + 2")
    assert outcome.result.result == 42
    assert "42" in outcome.printed
    assert "40" not in outcome.printed


def test_a_cell_may_await(shell: InteractiveShell) -> None:
    done(
        shell, "%%withtoken oneaccess\nimport asyncio, os\nawait asyncio.sleep(0)\nseen = os.environ['ONEACCESS_TOKEN']"
    )
    assert shell.user_ns["seen"]
    assert "ONEACCESS_TOKEN" not in os.environ


def test_an_error_of_the_cell_is_its_own_with_its_own_lines_and_shown_once(shell: InteractiveShell) -> None:
    outcome = run(shell, "%%withtoken oneaccess\nx = 1\n1 / 0  # here")
    assert isinstance(outcome.error, ZeroDivisionError)
    assert outcome.printed.count("ZeroDivisionError") == 2  # heading and last line of one traceback
    assert outcome.printed.count("Traceback") == 1
    assert "3 1 / 0  # here" in outcome.printed
    assert "magics.py" not in outcome.printed
    assert "ONEACCESS_TOKEN" not in os.environ


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_an_interrupted_cell_gives_back_too(shell: InteractiveShell) -> None:
    code = "%%withtoken oneaccess\nimport os, signal\nseen = os.environ['ONEACCESS_TOKEN']\n"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = run(shell, code + "signal.raise_signal(signal.SIGINT)\nafter = 1")
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(outcome.error, KeyboardInterrupt)
    assert shell.user_ns["seen"]
    assert "after" not in shell.user_ns
    assert "ONEACCESS_TOKEN" not in os.environ


def test_a_cell_that_does_not_compile_asks_for_nothing(shell: InteractiveShell, sandbox: Sandbox) -> None:
    outcome = run(shell, "%%withtoken oneaccess\nthis is no Python")
    assert isinstance(outcome.result.error_before_exec, SyntaxError)
    assert not sandbox.requests.total()


def test_without_a_token_the_cell_does_not_run(shell: InteractiveShell, sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "403", "times": 1})
    refused(shell, "%%withtoken oneaccess\nran = 1", Forbidden)
    refused(shell, "%%withtoken oneacess\nran = 1", UnknownProfile)
    refused(shell, "%%withtoken astra\nran = 1", ParameterError)
    assert "ran" not in shell.user_ns


def test_wrong_words_are_a_usage_error(shell: InteractiveShell) -> None:
    assert "--once" in misused(shell, "%%withtoken oneaccess --once\nran = 1")
    assert "profile" in misused(shell, "%%withtoken\nran = 1")
    assert "ran" not in shell.user_ns


def test_a_parameter_may_come_from_python_and_a_brace_that_is_no_variable_stays(
    shell: InteractiveShell, sandbox: Sandbox
) -> None:
    shell.user_ns["job_id"] = "dlc1a2b3c4d5e6f7"
    done(shell, "%%withtoken pai-dlc TargetType=job TargetId={job_id} --var mine\ngot = mine")
    assert whoami(sandbox, shell.user_ns["got"].reveal())["subject"]["target_id"] == "dlc1a2b3c4d5e6f7"
    outcome = run(shell, "%%withtoken pai-dlc TargetType={no_such_name}\nran = 1")
    assert isinstance(outcome.error, ParameterError)
    assert "{no_such_name}" in outcome.printed


def test_a_file_lives_as_long_as_the_cell(shell: InteractiveShell, tmp_path: Path) -> None:
    file = tmp_path / "header"
    body = f"from pathlib import Path\nseen = Path({str(file)!r}).read_text()"
    done(shell, f"%%withtoken oneaccess --file {shlex.quote(str(file))} --format header\n{body}")
    assert shell.user_ns["seen"].startswith("Authorization: Bearer ")
    assert not file.exists()


def test_what_the_session_holds_is_below_and_stays(shell: InteractiveShell) -> None:
    done(shell, "%gettoken oneaccess")
    value = os.environ["ONEACCESS_TOKEN"]
    done(shell, "%%withtoken pai-dlc --env ONEACCESS_TOKEN\nimport os\nseen = os.environ['ONEACCESS_TOKEN']")
    assert shell.user_ns["seen"] != value
    assert os.environ["ONEACCESS_TOKEN"] == value
    assert magics_of(shell).session.refresher.keeps(Key("oneaccess"))


@pytest.mark.parametrize("above", ["%%time", "%%capture out"])
def test_it_may_stand_below_another_magic_and_above_it(shell: InteractiveShell, above: str) -> None:
    done(shell, f"{above}\n%%withtoken oneaccess\nimport os\nseen = os.environ['ONEACCESS_TOKEN']")
    assert shell.user_ns.pop("seen")
    assert "ONEACCESS_TOKEN" not in os.environ
    done(shell, f"%%withtoken oneaccess\n{above}\nimport os\nseen = os.environ['ONEACCESS_TOKEN']")
    assert shell.user_ns["seen"]
    assert "ONEACCESS_TOKEN" not in os.environ


def test_two_may_stand_above_one_another(shell: InteractiveShell) -> None:
    code = "seen = os.environ['ONEACCESS_TOKEN'], os.environ['PAI_DLC_TOKEN']"
    done(shell, f"%%withtoken oneaccess\n%%withtoken pai-dlc\nimport os\n{code}")
    assert all(shell.user_ns["seen"])
    assert not {"ONEACCESS_TOKEN", "PAI_DLC_TOKEN"} & os.environ.keys()


def test_a_cell_that_a_cell_runs_ends_its_own_loans_only(shell: InteractiveShell) -> None:
    shell.user_ns["inner"] = "%%withtoken pai-dlc\nimport os\ninside = os.environ['PAI_DLC_TOKEN']"
    body = (
        "import os\nip = get_ipython()\nip.run_cell(inner)\nip.run_cell('')\nip.run_cell('1', silent=True)\n"
        "seen = os.environ['ONEACCESS_TOKEN'], os.environ.get('PAI_DLC_TOKEN')"
    )
    done(shell, f"%%withtoken oneaccess\n{body}")
    assert shell.user_ns["inside"]
    assert shell.user_ns["seen"][0]
    assert shell.user_ns["seen"][1] is None
    assert "ONEACCESS_TOKEN" not in os.environ


def test_as_a_line_it_lends_until_the_end_of_the_cell(shell: InteractiveShell) -> None:
    done(shell, "import os\n%withtoken oneaccess\nseen = os.environ['ONEACCESS_TOKEN']")
    assert shell.user_ns["seen"]
    assert "ONEACCESS_TOKEN" not in os.environ


def test_a_silent_cell_gives_back_too(shell: InteractiveShell) -> None:
    shell.run_cell("%%withtoken oneaccess\nimport os\nseen = os.environ['ONEACCESS_TOKEN']", silent=True)
    assert shell.user_ns["seen"]
    assert "ONEACCESS_TOKEN" not in os.environ


def test_a_program_may_call_it(shell: InteractiveShell) -> None:
    call = "get_ipython().run_cell_magic('withtoken', 'oneaccess', {!r})\nran = 1"
    done(shell, call.format("import os\nseen = os.environ['ONEACCESS_TOKEN']"))
    assert shell.user_ns["seen"]
    assert shell.user_ns.pop("ran")
    outcome = run(shell, call.format("1 / 0"))
    assert isinstance(outcome.error, ZeroDivisionError)
    assert outcome.printed.count("Traceback") == 1
    assert "ran" not in shell.user_ns
    assert "ONEACCESS_TOKEN" not in os.environ
    held = magics_of(shell)
    with pytest.raises(SyntaxError):
        held.withtoken("oneaccess", "no Python at all")
    assert "ONEACCESS_TOKEN" not in os.environ


def test_its_help_is_shown_and_nothing_lent(shell: InteractiveShell, sandbox: Sandbox) -> None:
    outcome = done(shell, "%%withtoken?")
    assert not sandbox.requests.total()
    assert outcome.result.success


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        (["x = 1\n"], ["x = 1\n"]),
        (["%%withtokens a\n"], ["%%withtokens a\n"]),
        (["%%withtoken?\n"], ["%%withtoken?\n"]),
        (["%%withtoken a\n", "x\n"], ["%withtoken a\n", "x\n"]),
        (["%%withtoken\n"], ["%withtoken\n"]),
    ],
)
def test_only_its_own_line_is_changed(lines: list[str], expected: list[str]) -> None:
    assert as_line_magic(lines) == expected


def test_unloading_within_a_cell_gives_back_at_once(shell: InteractiveShell) -> None:
    body = "import os\n%unload_ext jupyter_tokens\nleft = os.environ.get('ONEACCESS_TOKEN')"
    done(shell, f"%%withtoken oneaccess\n{body}")
    assert shell.user_ns["left"] is None
    outcome = run(shell, "%%withtoken oneaccess\nx = 1")
    assert "not found" in outcome.printed


@pytest.mark.parametrize("by_a_program", [False, True])
def test_a_file_that_cannot_be_put_back_is_told_and_the_rest_is_put_back(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_a_program: bool
) -> None:
    line = f"oneaccess --env MINE --file {shlex.quote(str(tmp_path / 't'))}"
    call = f"get_ipython().run_cell_magic('withtoken', {line!r}, 'x = 1')"
    with monkeypatch.context() as patched:
        undeletable(patched)
        outcome = done(shell, call if by_a_program else f"%%withtoken {line}\nx = 1")
    assert "cannot be removed" in outcome.card
    assert "Traceback" not in outcome.everything
    assert "MINE" not in os.environ


# Notices


def test_what_failed_in_the_background_is_told_once_below_the_next_cell(shell: InteractiveShell) -> None:
    done(shell, "%gettoken oneaccess")
    held = magics_of(shell).session
    held._on_failure(Key("oneaccess"), Throttled("Too many calls.", code="Throttling"))
    hidden = run(shell, "1")
    assert hidden.outputs == []
    outcome = run(shell, "x = 1 / 0", seen=True)
    assert isinstance(outcome.error, ZeroDivisionError)
    (card,) = outcome.outputs
    assert "oneaccess could not be kept fresh: Too many calls." in card.data["text/plain"]
    assert "Too many calls." in card.data["text/html"]
    assert run(shell, "x = 1", seen=True).outputs == []


# In a real kernel, whose loop runs already


SEEN = "import os; print(os.environ.get('ONEACCESS_TOKEN'), 'mine' in globals())"


def test_in_a_kernel_a_cell_may_await_and_shows_its_last_expression(kernel: RealKernel) -> None:
    body = "import asyncio\nawait asyncio.sleep(0)\n(mine.profile, bool(__import__('os').environ['ONEACCESS_TOKEN']))"
    messages = kernel.run(f"%%withtoken oneaccess --var mine --env ONEACCESS_TOKEN\n{body}")
    (result,) = [message for message in messages if message["kind"] == "execute_result"]
    assert result["data"]["text/plain"] == "('oneaccess', True)"
    assert printed(kernel.run(SEEN)) == "None False\n"


def test_in_a_kernel_an_error_is_shown_once_and_fails_the_cell(kernel: RealKernel) -> None:
    messages = kernel.run("%%withtoken oneaccess --var mine\nmine.profile\n1 / 0")
    (error,) = [message for message in messages if message["kind"] == "error"]
    assert error["ename"] == "ZeroDivisionError"
    assert "3" in "".join(error["traceback"])  # its line in the cell
    assert "jupyter_tokens" not in "".join(error["traceback"])
    assert messages[-1]["status"] == "error"
    assert printed(kernel.run(SEEN)) == "None False\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_in_a_kernel_an_interrupted_cell_gives_back_too(kernel: RealKernel) -> None:
    def heard(message: dict[str, Any]) -> None:
        if message["kind"] == "stream" and "ready" in message["text"]:
            kernel.manager.interrupt_kernel()

    ready = "import os, threading; print('ready', bool(os.environ['ONEACCESS_TOKEN']), flush=True)"
    body = f"{ready}\nthreading.Event().wait()"
    messages = kernel.run(f"%%withtoken oneaccess --var mine --env ONEACCESS_TOKEN\n{body}", heard)
    assert "ready True" in printed(messages)
    assert messages[-1]["status"] == "error"
    assert printed(kernel.run(SEEN)) == "None False\n"


def test_in_a_kernel_a_cancelled_cell_gives_back_too(kernel: RealKernel) -> None:
    body = "import asyncio\nasyncio.current_task().cancel()\nawait asyncio.sleep(0)\nmine = 1"
    messages = kernel.run(f"%%withtoken oneaccess --var mine --env ONEACCESS_TOKEN\n{body}")
    assert messages[-1]["status"] == "error"
    assert printed(kernel.run(SEEN)) == "None False\n"


def test_in_a_kernel_no_error_of_ours_has_a_traceback(kernel: RealKernel) -> None:
    for code in ("%gettoken nobody", "%%withtoken nobody\n1", "%deltoken nobody"):
        (error,) = [message for message in kernel.run(code) if message["kind"] == "error"]
        assert error["ename"] == "UnknownProfile"
        assert error["traceback"][0].startswith("TokenError: ")
        assert "nobody" in error["evalue"]
        assert ".py" not in "".join(error["traceback"])
    for code in ("%gettoken", "%tokens x", "%%withtoken\n1"):
        messages = kernel.run(code)
        assert messages[-1]["status"] == "error"
        assert messages[-1]["ename"] == "UsageError"
        assert "Traceback" not in printed(messages)
