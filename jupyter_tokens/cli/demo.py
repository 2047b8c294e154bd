"""`jupyter tokens demo`: starts the sandbox and JupyterLab with five profiles, and opens the first tutorial."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from traitlets import Bool, Integer, Unicode

from ..config.files import CONFIG_NAME
from ..sandbox import Sandbox, running
from .command import Action
from .terminal import POLL_SECONDS, echo, record_signals

__all__ = ["DemoApp", "notebooks_folder"]

FIRST_NOTEBOOK = "01-first-token.ipynb"
_STOP_SECONDS = 10.0
# Closing the terminal and stopping a service end the demo like Ctrl-C. Windows has no SIGHUP.
_STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class DemoApp(Action):
    """Start the demo, and run until Ctrl-C or until JupyterLab is shut down."""

    name = "jupyter-tokens-demo"
    description = "Start the sandbox and JupyterLab with five profiles, and open the first tutorial. No account needed."
    examples = "jupyter tokens demo\njupyter tokens demo --no-browser --port 9999"

    port = Integer(0, min=0, max=65535, help="Port of JupyterLab; 0: the first free one from 8888 on.").tag(
        alias="port"
    )
    folder = Unicode(
        "", help="Folder for the notebooks, kept when the demo ends; by default a temporary one, which is removed."
    ).tag(alias="dir")
    browser = Bool(default_value=True, help="Open a browser.").tag(
        flag="no-browser", flag_help="Do not open a browser; print the address."
    )

    def run(self) -> int:
        for package in ("jupyterlab", "ipykernel"):
            if find_spec(package) is None:
                self.fail(1, f"the demo needs {package}; install it: pip install 'jupyter_tokens[demo]'")
        if self.port and not _is_free(self.port):
            self.fail(1, f"port {self.port} is taken or not allowed; choose another with --port, or leave out --port")
        with (
            record_signals(_STOP_SIGNALS) as signals,
            tempfile.TemporaryDirectory(prefix="jupyter-tokens-demo-") as scratch,
            running(Sandbox()) as sandbox,
        ):
            scratch_path = Path(scratch)
            secrets = scratch_path / "secrets"
            secrets.mkdir(mode=0o700)
            config = scratch_path / "config"
            write_config(config, sandbox.profiles(secrets))
            notebooks = copy_notebooks(Path(self.folder) if self.folder else scratch_path / "notebooks")
            echo(f"Sandbox: the APIs are at {sandbox.url}; no account is needed.")
            lifetime = (
                "kept when the demo ends" if self.folder else "removed when the demo ends; --dir FOLDER keeps them"
            )
            echo(f"Tutorials: in {notebooks}, {lifetime}.")
            opens = "it opens the first tutorial in your browser" if self.browser else "its address follows"
            echo(f"JupyterLab: starting; {opens}. Press Ctrl-C to stop.")
            lab = self._start_lab(notebooks, config)
            while lab.poll() is None and not signals:
                time.sleep(POLL_SECONDS)
            lab.terminate()
            try:
                lab.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                lab.kill()
                lab.wait()
        return 1 if lab.returncode and not signals else 0

    def _start_lab(self, notebooks: Path, config: Path) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            f"--ServerApp.root_dir={notebooks}",
            f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}",
            # Containers often have no user but root; JupyterLab serves on loopback only, and requires its token.
            "--ServerApp.allow_root=True",
            *([] if self.browser else ["--no-browser"]),
            *([f"--port={self.port}", "--ServerApp.port_retries=0"] if self.port else []),
            *self.extra_args,
        ]
        path = os.pathsep.join(filter(None, [str(config), os.environ.get("JUPYTER_CONFIG_PATH")]))
        # In a session of its own, JupyterLab does not get the terminal's Ctrl-C: it would ask for confirmation.
        return subprocess.Popen(  # noqa: S603 (our own command line)
            command,
            env={**os.environ, "JUPYTER_CONFIG_PATH": path},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def write_config(folder: Path, profiles: Mapping[str, Any]) -> None:
    """Write a `jupyter_tokens_config.json` with these profiles, readable only by this user."""
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"{CONFIG_NAME}.json"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump({"TokenProfiles": {"profiles": profiles}}, out, indent=2)


def notebooks_folder() -> Path:
    """Return the folder of the tutorials: in the installed package, or next to it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "notebooks"
    return installed if installed.is_dir() else package.parent / "notebooks"


def copy_notebooks(folder: Path) -> Path:
    """Copy the tutorials into a folder, without overwriting files; return the folder's absolute path."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(notebooks_folder().glob("*.ipynb")):
        target = folder / source.name
        if not target.exists():
            shutil.copyfile(source, target)
    return folder.resolve()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":
            # As in the server: otherwise, connections that have just ended would block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
