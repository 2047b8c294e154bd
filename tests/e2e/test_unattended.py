"""Notebooks that run with nobody there, and whose token needs a login: they say so at once, and wait for nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Sandbox

from ..notebook_runs import PatientClient, notebook_of

DEADLINE = 300
TIMED = """\
import time
from jupyter_tokens import LoginNeeded, get_token
get_token("oneaccess")
began = time.monotonic()
try:
    get_token("openid")
except LoginNeeded as needed:
    print(time.monotonic() - began, needed.reason, needed.hint)
"""


@pytest.fixture(autouse=True)
def configured(config_dir: Path, tmp_path: Path, sandbox: Sandbox) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    write_config(config_dir, {**sandbox.profiles(secrets), **sandbox.neighbours(secrets)})


def test_it_takes_less_than_a_second_and_asks_nobody(sandbox: Sandbox) -> None:
    notebook = notebook_of("%load_ext jupyter_tokens", TIMED, "%gettoken openid", "%tokenlogin openid")
    PatientClient(notebook, store_widget_state=False, allow_errors=True).execute()
    seconds, reason, hint = notebook.cells[1].outputs[0].text.split(" ", 2)
    assert (float(seconds) < 1, reason) == (True, "login")
    assert "jupyter tokens login openid in a terminal" in hint
    for cell, what in zip(notebook.cells[2:], ("Nobody is logged in", "runs unattended"), strict=True):
        shown = json.dumps(cell.outputs)
        assert what in shown
        assert "jupyter tokens login openid" in shown
    # Neither a poll nor any other call.
    assert sandbox.requests["openid"] == 0


@pytest.mark.parametrize("program", ["papermill", "nbconvert"])
def test_the_programs_end_with_the_command_to_type(program: str, tmp_path: Path, sandbox: Sandbox) -> None:
    file = tmp_path / "job.ipynb"
    nbformat.write(notebook_of("%load_ext jupyter_tokens", "%gettoken openid", "print('never')"), file)
    arguments = {
        "papermill": ["papermill", str(file), "-", "--no-progress-bar", f"--execution-timeout={DEADLINE}"],
        "nbconvert": ["nbconvert", "--to=notebook", "--execute", "--stdout", str(file)],
    }[program]
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode != 0
    assert "jupyter tokens login openid" in done.stderr
    assert sandbox.requests["openid"] == 0
