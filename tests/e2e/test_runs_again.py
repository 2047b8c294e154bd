"""A notebook that is run again, by another program than the server: what its cards say, and that nbval accepts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Sandbox

from ..notebook_runs import PatientClient, notebook_of
from ..sampling import long

DEADLINE = 300
SANITIZE = Path(__file__).parents[2] / "docs" / "nbval.cfg"


@pytest.fixture
def configured(config_dir: Path, tmp_path: Path, sandbox: Sandbox) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    write_config(config_dir, sandbox.profiles(secrets))


def executed(*sources: str) -> Any:
    notebook = notebook_of(*sources)
    PatientClient(notebook, store_widget_state=False).execute()
    return notebook


@pytest.mark.usefixtures("configured")
def test_a_card_says_why_the_server_did_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    # As papermill in a terminal of JupyterLab: a server is there, but it did not start this kernel.
    monkeypatch.setenv("JUPYTER_TOKENS_URL", "http://127.0.0.1:9/jupyter-tokens")
    (shown,) = executed("%load_ext jupyter_tokens\n%gettoken oneaccess").cells[0].outputs
    reason = "source: direct (a program other than the Jupyter server started this kernel, for example papermill)"
    assert reason in shown.data["text/plain"]


@long
@pytest.mark.usefixtures("configured")
def test_nbval_accepts_the_cards_of_another_run(tmp_path: Path) -> None:
    notebook = executed("%load_ext jupyter_tokens", "%gettoken oneaccess", "%gettoken pai-dlc --env X --once")
    file = tmp_path / "again.ipynb"
    nbformat.write(notebook, file)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", f"--nbval-sanitize-with={SANITIZE}"]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", str(file)],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
