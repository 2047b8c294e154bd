"""What tests do in a shell, and what they expect of a cell that failed."""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from traitlets.config import Config

from jupyter_tokens import TokenError
from jupyter_tokens.kernel import magics
from jupyter_tokens.sandbox import Sandbox

from ..hearing import started

VARIABLES = ("ONEACCESS_TOKEN", "PAI_DLC_TOKEN", "MODELARTS_TOKEN", "EIAM_TOKEN", "MINE")
"""Of the environment, which a shell's test has to itself."""


# On a busy machine any fetch may take longer than a second: see test_progress.py.
PROGRESS = re.compile(r"[\w.-]+: (fetching the token …|fetched$|not fetched$)")


class Run:
    """What a cell did."""

    def __init__(self, result: ExecutionResult, captured: CapturedIO) -> None:
        self.result: Any = result  # Any: IPython says that the value of a cell is None
        self.error = result.error_in_exec
        self.outputs = [output for output in captured.outputs if not PROGRESS.match(str(output.data["text/plain"]))]
        self.printed = captured.stdout + captured.stderr

    @property
    def card(self) -> str:
        (output,) = self.outputs
        return str(output.data["text/plain"])

    @property
    def everything(self) -> str:
        return self.printed + "".join(json.dumps(output.data) for output in self.outputs)


@contextmanager
def a_shell(history: dict[str, Any] | None = None) -> Iterator[InteractiveShell]:
    """One that has loaded nothing, and leaves nothing behind."""
    main = sys.modules["__main__"]
    config = {"HistoryManager": history or {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}}
    made = InteractiveShell.instance(config=Config(config))
    try:
        yield made
    finally:
        made.restore_sys_module_state()
        made.atexit_operations()
        atexit.unregister(made.atexit_operations)  # it has been done, and cannot be done twice
        InteractiveShell.clear_instance()
        sys.modules["__main__"] = main


def run(shell: InteractiveShell, cell: str, *, seen: bool = False) -> Run:
    """seen : whether it is a cell that a person runs and sees."""
    with capture_output() as captured:
        result = shell.run_cell(cell, store_history=seen)
    return Run(result, captured)


def done(shell: InteractiveShell, cell: str) -> Run:
    outcome = run(shell, cell)
    assert outcome.result.success, outcome.printed
    return outcome


def refused(shell: InteractiveShell, cell: str, kind: type[TokenError]) -> Run:
    """The cell failed with that error, of which a person sees what is of use and no traceback."""
    outcome = run(shell, cell)
    assert type(outcome.error) is kind
    assert outcome.printed.startswith("TokenError: ")
    assert "Traceback" not in outcome.printed
    assert ".py" not in outcome.printed
    assert not outcome.outputs
    return outcome


def misused(shell: InteractiveShell, cell: str) -> str:
    outcome = run(shell, cell)
    assert isinstance(outcome.error, UsageError)
    assert "Traceback" not in outcome.printed
    return outcome.printed


def magics_of(shell: InteractiveShell) -> magics.TokenMagics:
    found = shell.magics_manager.registry["TokenMagics"]
    assert isinstance(found, magics.TokenMagics)
    return found


def whoami(sandbox: Sandbox, value: str) -> dict[str, Any]:
    answer = httpx.get(f"{sandbox.url}/_sandbox/whoami", headers={"Authorization": f"Bearer {value}"})
    told: dict[str, Any] = answer.raise_for_status().json()
    return told


class RealKernel:
    """A kernel in a process of its own, which has loaded the extension."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client
        self.run("%load_ext jupyter_tokens")

    def run(self, code: str, heard: Callable[[dict[str, Any]], None] = lambda _: None) -> list[dict[str, Any]]:
        """All that a cell publishes, and then its reply."""
        messages: list[dict[str, Any]] = []

        def hear(message: dict[str, Any]) -> None:
            messages.append({"kind": message["msg_type"], **message["content"]})
            heard(messages[-1])

        reply = self.client.execute_interactive(code, output_hook=hear, timeout=300)
        return [*messages, {"kind": "reply", **reply["content"]}]


@contextmanager
def real_kernel() -> Iterator[RealKernel]:
    manager, client = started(env=dict(os.environ))
    try:
        yield RealKernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def printed(messages: list[dict[str, Any]]) -> str:
    """The text of a real kernel's messages."""
    return "".join(message["text"] for message in messages if message["kind"] == "stream")


def undeletable(patch: pytest.MonkeyPatch) -> None:
    """Let no file be removed."""

    def refused(self: Path, **_options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    patch.setattr(Path, "unlink", refused)
