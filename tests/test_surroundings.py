"""The tests' processes have the same surroundings however the tests themselves were started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHILD = """
import os, signal, sys
mask = os.umask(0)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGHUP) is signal.SIG_DFL,
      oct(mask), os.environ["TERM"], os.environ.get("COLUMNS", "80"),
      *sorted({"MAKEFLAGS", "JUPYTER_TOKENS_URL", "GIT_DIR", "VIRTUAL_ENV"} & os.environ.keys()))
"""
# What is tried in a run of pytest of its own, by the root conftest.
TEST = f"""
import subprocess, sys
def test_child():
    done = subprocess.run([sys.executable, "-c", {CHILD!r}], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "0o22", "xterm", "80"], done.stdout
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals and masks as on Unix")
def test_a_child_starts_with_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_child.py").write_text(TEST)

    def as_a_job_of_a_script_with_nohup() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.umask(0o077)

    noise = {"COLUMNS": "40", "MAKEFLAGS": "-j2", "JUPYTER_TOKENS_URL": "http://x"}
    noise |= {"GIT_DIR": "/nowhere", "VIRTUAL_ENV": "/nowhere"}
    environment = {name: value for name, value in os.environ.items() if name != "TERM"} | noise
    # In its default folder pytest would first remove the temporary files of earlier runs.
    places = [f"--rootdir={tmp_path}", f"--basetemp={tmp_path / 'base'}", str(tmp_path / "tests")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", *places],
        cwd=ROOT,
        env=environment,
        preexec_fn=as_a_job_of_a_script_with_nohup,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
