"""`jupyter tokens demo`: the sandbox and JupyterLab with five profiles, and the first tutorial open."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from jupyter_core.application import JupyterApp
from traitlets import Bool, Integer, Unicode

from .._version import __version__
from ..profiles import CONFIG_NAME
from ..sandbox import Sandbox, running

__all__ = ["DemoApp", "notebooks_folder"]

FIRST_NOTEBOOK = "01-first-token.ipynb"
_STOP_SECONDS = 10.0


class DemoApp(JupyterApp):
    """Runs until Ctrl-C, or until JupyterLab is shut down; both end together."""

    name = "jupyter-tokens-demo"
    version = __version__
    description = "Start the sandbox and JupyterLab with five profiles, and open the first tutorial. No account needed."
    examples = "jupyter tokens demo\njupyter tokens demo --no-browser --port 9999"

    port = Integer(0, help="Port of JupyterLab; 0: the first free one from 8888 on.").tag(config=True)
    folder = Unicode(
        "", help="Folder for the notebooks, kept when the demo ends; by default a temporary one, which is not."
    ).tag(config=True)
    browser = Bool(default_value=True, help="Open a browser.").tag(config=True)

    aliases = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        **JupyterApp.aliases,
        "port": "DemoApp.port",
        "dir": "DemoApp.folder",
    }
    flags = {  # noqa: RUF012
        **JupyterApp.flags,
        "no-browser": ({"DemoApp": {"browser": False}}, "Do not open a browser; print the address."),
    }

    def start(self) -> None:
        """Serves until one of the two ends."""
        super().start()
        for package in ("jupyterlab", "ipykernel"):
            if find_spec(package) is None:
                _fail(f"The demo needs {package}. Install it: pip install 'jupyter_tokens[demo]'")
        signal.signal(signal.SIGTERM, _interrupt)
        with tempfile.TemporaryDirectory(prefix="jupyter-tokens-demo-") as scratch, running(Sandbox()) as sandbox:
            scratch_path = Path(scratch)
            secrets = scratch_path / "secrets"
            secrets.mkdir(mode=0o700)
            config = scratch_path / "config"
            write_config(config, sandbox.profiles(secrets))
            notebooks = copy_notebooks(Path(self.folder) if self.folder else scratch_path / "notebooks")
            kept = f"Notebooks are kept in {notebooks}." if self.folder else "What you change is not kept: see --dir."
            say(f"Sandbox: {sandbox.url} (five APIs, no account). {kept} Ctrl-C ends it.")
            with self._lab(notebooks, config) as lab:
                try:
                    status = lab.wait()
                except KeyboardInterrupt:
                    status = 0
        sys.exit(1 if status else 0)

    @contextmanager
    def _lab(self, notebooks: Path, config: Path) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            f"--ServerApp.root_dir={notebooks}",
            f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}",
            *([] if self.browser else ["--no-browser"]),
            *([f"--port={self.port}", "--ServerApp.port_retries=0"] if self.port else []),
            *self.extra_args,
        ]
        path = os.pathsep.join(filter(None, [str(config), os.environ.get("JUPYTER_CONFIG_PATH")]))
        # In a session of its own, JupyterLab does not see the terminal's Ctrl-C, at which it would stop to ask back.
        lab = subprocess.Popen(  # noqa: S603 (our own command line)
            command,
            env={**os.environ, "JUPYTER_CONFIG_PATH": path},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield lab
        finally:
            lab.terminate()
            try:
                lab.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                lab.kill()
                lab.wait()


def say(message: str) -> None:
    """A line for the person at the terminal; standard output stays free for machines."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def write_config(folder: Path, profiles: Mapping[str, Any]) -> None:
    """A `jupyter_tokens_config.json` of these profiles, which nobody else can read."""
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"{CONFIG_NAME}.json"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump({"TokenProfiles": {"profiles": profiles}}, out, indent=2)


def notebooks_folder() -> Path:
    """Where the tutorials are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "notebooks"
    return installed if installed.is_dir() else package.parent / "notebooks"


def copy_notebooks(folder: Path) -> Path:
    """Copies the tutorials into a folder, and leaves alone what is there already; returns the absolute folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(notebooks_folder().glob("*.ipynb")):
        target = folder / source.name
        if not target.exists():
            shutil.copyfile(source, target)
    return folder.resolve()


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str) -> NoReturn:
    say(message)
    sys.exit(1)
