"""Commands run in this process, with what they print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jupyter_tokens.cli.app import TokensApp

PROGRAMS = {
    "jupyter-tokens": "from jupyter_tokens.cli.app import main as run",
    "git-credential-jupyter-tokens": "from jupyter_tokens.cli.credential_helpers import git as run",
    "docker-credential-jupyter-tokens": "from jupyter_tokens.cli.credential_helpers import docker as run",
}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def runner(app: Any, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs an application until its end."""

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as end:
            app.launch_instance(list(arguments))
        app.clear_instance()
        TokensApp.clear_instance()
        out, err = capfd.readouterr()
        return Done(int(end.value.code or 0), out, err)

    return run


def install_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of an installation, in a folder that SDKs find."""
    folder.mkdir()
    for name, imports in PROGRAMS.items():
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{imports}\nrun()\n")
        program.chmod(0o700)
    monkeypatch.setattr("jupyter_tokens.cli.sdk.sysconfig.get_path", lambda _: str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
