"""A person at a machine of their own: a clean home, the command on a terminal or in a pipe, and a look around."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect

from ..hearing import free_port, until_listening

SECONDS = 300
"""For one answer of the command, on a busy machine."""
PLAIN = "keyrings.alt.file.PlaintextKeyring"
NO_KEYRING = "keyring.backends.fail.Keyring"

_KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "COVERAGE_PROCESS_START", "JUPYTER_TOKENS_STORE")


@dataclass
class Machine:
    """home : which only this machine uses. variables : beside those that every process needs."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config.mkdir(mode=0o700, exist_ok=True)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # `jupyter` and `jupyter-tokens` are beside the interpreter.
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.pop("PATH", "")])
        own = {
            "PATH": path,
            "HOME": str(self.home),
            "JUPYTER_CONFIG_DIR": str(self.config),
            "PYTHON_KEYRING_BACKEND": PLAIN,
        }
        self.variables = {**kept, **own, **self.variables}

    @property
    def config(self) -> Path:
        return self.home / ".jupyter"

    @property
    def file(self) -> Path:
        """Where `add` writes profiles."""
        return self.config / "jupyter_tokens_config.json"

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command in a pipe."""
        return self.shell([sys.executable, "-m", "jupyter_tokens.cli.app", *arguments], **variables)

    def shell(self, command: Sequence[str], **variables: str) -> subprocess.CompletedProcess[str]:
        """Any command."""
        return subprocess.run(
            command,
            env={**self.variables, **variables},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def terminal(self, *arguments: str, before: str = "", **variables: str) -> pexpect.spawn[Any]:
        """The command on a terminal. before : Python that is run in its process first."""
        program = f"import os, signal, sys; {before}\nfrom jupyter_tokens.cli.app import main; main()"
        return pexpect.spawn(
            sys.executable,
            ["-c", program, *arguments],
            env={**self.variables, **variables},
            cwd=str(self.home),
            encoding="utf-8",
            timeout=SECONDS,
            dimensions=(40, 250),
        )

    def answers(self, *arguments: str, to: Sequence[tuple[str, str]], **variables: str) -> tuple[int, str]:
        """The exit code, and all that was on the terminal. to : beginnings of questions or their keys, and answers."""
        terminal = self.terminal(*arguments, **variables)
        seen = answer_all(terminal, to)
        terminal.expect(pexpect.EOF)
        seen += terminal.before
        terminal.close()
        return int(terminal.exitstatus if terminal.exitstatus is not None else -1), seen

    def holding(self, text: str) -> set[str]:
        """The files below the home that hold a text."""
        return {str(path.relative_to(self.home)) for path in self.files() if text.encode() in path.read_bytes()}

    def files(self) -> Iterator[Path]:
        return (path for path in self.home.rglob("*") if path.is_file() and not path.is_symlink())


@contextmanager
def jupyter_server(log: Path, *options: str, environment: Mapping[str, str], enabled: bool = True) -> Iterator[str]:
    """A Jupyter server without a browser, with the extension or without it; its URL. log : what it prints."""
    port = free_port()
    command = [
        sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", f"--port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.jpserver_extensions=jupyter_tokens={enabled}", *options,
    ]  # fmt: skip
    with log.open("w") as out, subprocess.Popen(command, env=environment, stderr=out, cwd=log.parent) as process:
        try:
            until_listening(port, SECONDS)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(SECONDS)


def write_profiles(folder: Path, profiles: Any, mode: int = 0o600) -> Path:
    """The configuration in this folder has these profiles, and no others; returns its file."""
    file = folder / "jupyter_tokens_config.json"
    file.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}}))
    file.chmod(mode)
    return file


def answer_all(terminal: pexpect.spawn[Any], to: Sequence[tuple[str, str]]) -> str:
    """Answers each question when it is asked; returns what was on the terminal."""
    seen = ""
    for question, answer in to:
        terminal.expect(rf"{re.escape(question)}\]?(?::| [^\r\n]*:) ")
        seen += terminal.before + str(terminal.after)
        if question.endswith("(hidden)"):
            # What is typed before the echo is off would be shown, as with every prompt of its kind.
            assert terminal.waitnoecho(SECONDS)
        terminal.sendline(answer)
    return seen
