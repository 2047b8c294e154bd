"""`jupyter tokens demo`: what it starts, and that it ends without a trace; with JupyterLab, and with a stand-in."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_tokens.cli import demo
from jupyter_tokens.cli.demo import FIRST_NOTEBOOK, DemoApp, copy_notebooks, notebooks_folder, write_config
from jupyter_tokens.config.files import load_profiles

from ..hearing import free_port, until_heard, until_listening

ROOT = Path(__file__).parents[2]
T = TypeVar("T")

DEADLINE = 300.0
"""Seconds: JupyterLab starts in three, on a busy machine in many."""

STAND_IN = """#!{python} -S
import json, os, signal, sys, time
def end(*_):
    {at_the_end}
    os._exit(0)
signal.signal(signal.SIGTERM, end)
with open({report!r}, "w") as out:
    config = os.environ["JUPYTER_CONFIG_PATH"]
    json.dump({{"pid": os.getpid(), "argv": sys.argv[1:], "config": config, "input": sys.stdin.read()}}, out)
{then}
"""
FOREVER = "while True: signal.pause()"


@dataclass
class Lab:
    """A stand-in for JupyterLab, and what it saw."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def does(self, then: str, at_the_end: str = "pass") -> None:
        script = self.folder / "lab"
        # Its interpreter has to be named before sys.executable becomes the script.
        text = STAND_IN.format(python=REAL_PYTHON, then=then, at_the_end=at_the_end, report=str(self.report))
        script.write_text(text, encoding="utf-8")
        script.chmod(0o700)
        self.monkeypatch.setattr(sys, "executable", str(script))

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    @property
    def saw(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.report.read_text(encoding="utf-8"))
        return told


REAL_PYTHON = sys.executable


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go, to see that none is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path) -> Lab:
    made = Lab(tmp_path, monkeypatch)
    made.does("sys.exit(0)")
    return made


ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def ended(*arguments: str) -> int:
    """The exit code of the command, run here."""
    before = [signal.getsignal(number) for number in ENDINGS]
    with pytest.raises(SystemExit) as end:
        _run(list(arguments))
    assert [signal.getsignal(number) for number in ENDINGS] == before
    return int(end.value.code or 0)


def _run(arguments: list[str]) -> None:
    app = DemoApp()
    app.initialize(arguments)
    app.start()


def is_alive(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(("status", "code"), [("0", 0), ("3", 1)])
def test_it_ends_with_jupyterlab_and_leaves_nothing(lab: Lab, temporary: Path, status: str, code: int) -> None:
    lab.does(f"sys.exit({status})")
    assert ended() == code
    assert not list(temporary.iterdir())


def test_a_jupyterlab_that_was_killed_is_an_error(lab: Lab) -> None:
    lab.does("os.kill(os.getpid(), signal.SIGKILL)")
    assert ended() == 1


def test_jupyterlab_opens_the_first_notebook(lab: Lab) -> None:
    assert ended() == 0
    assert lab.saw["argv"][:2] == ["-m", "jupyterlab"]
    assert f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}" in lab.saw["argv"]
    assert lab.saw["input"] == ""
    assert not {"--no-browser", "--ServerApp.port_retries=0"} & set(lab.saw["argv"])
    assert (notebooks_folder() / FIRST_NOTEBOOK).is_file()


def test_options_and_what_follows_them_reach_jupyterlab(lab: Lab) -> None:
    port = free_port()
    assert ended("--no-browser", "--port", str(port), "--", "--LabApp.collaborative=False") == 0
    wanted = {"--no-browser", f"--port={port}", "--ServerApp.port_retries=0", "--LabApp.collaborative=False"}
    assert wanted <= set(lab.saw["argv"])


def test_the_five_profiles_come_first_on_the_configuration_path_and_are_nobody_elses(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/users/own")
    lab.does(
        f"""
import shutil
folder = os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0]
shutil.copytree(os.path.dirname(folder), {str(tmp_path / "copy")!r})
"""
    )
    assert ended() == 0
    first, second = lab.saw["config"].split(os.pathsep)
    assert second == "/users/own"
    copied = tmp_path / "copy"
    file = copied / Path(first).name / "jupyter_tokens_config.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((copied / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(secret.stat().st_mode) for secret in (copied / "secrets").iterdir()} == {0o600}
    assert set(load_profiles([file])) == {"modelarts", "pai-dlc", "oneaccess", "astra", "eiam"}
    text = file.read_text(encoding="utf-8")
    assert not [secret for secret in (copied / "secrets").iterdir() if secret.read_text(encoding="utf-8") in text]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_each_way_to_end_it_ends_both(lab: Lab, temporary: Path, name: str) -> None:
    lab.does(f"os.kill(os.getppid(), signal.{name})\n{FOREVER}")
    assert ended() == 0
    assert not is_alive(lab.saw["pid"])
    assert not list(temporary.iterdir())


def test_pressing_ctrl_c_twice_ends_both_too(lab: Lab, temporary: Path) -> None:
    # Kernels take a while to end; whoever does not wait for them leaves them behind.
    again = "os.kill(os.getppid(), signal.SIGINT)"
    lab.does(f"{again}\n{FOREVER}", at_the_end=f"{again}; time.sleep(0.5)")
    assert ended() == 0
    assert not is_alive(lab.saw["pid"])
    assert not list(temporary.iterdir())


def test_ctrl_c_while_it_starts_leaves_nothing(lab: Lab, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class InterruptedPopen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("subprocess.Popen", InterruptedPopen)
    lab.does(FOREVER)
    assert ended() == 0
    assert [each.poll() is not None for each in started] == [True]
    assert not list(temporary.iterdir())


def test_a_jupyterlab_that_does_not_end_is_killed(lab: Lab, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_STOP_SECONDS", 0.1)
    stubborn = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.kill(os.getppid(), signal.SIGINT)\n{FOREVER}"
    lab.does(stubborn)
    assert ended() == 0
    assert not is_alive(lab.saw["pid"])
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("package", ["jupyterlab", "ipykernel"])
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], package: str
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == package else object())
    assert ended() == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert package in err
    assert "pip install 'jupyter_tokens[demo]'" in err
    assert not lab.report.exists()


def test_a_taken_port_is_one_line_and_starts_nothing(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ended("--port", str(port)) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"port {port} is taken or not allowed" in err
    assert not lab.report.exists()


def test_where_the_system_has_no_such_option_a_free_port_is_still_free(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    # Only while it looks: pathlib would take this for Windows too.
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        assert demo._is_free(port)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(["--port", "abc"], "port"), (["--port", "70000"], "--port must be an int from 0 to 65535")],
)
def test_wrong_usage_is_one_line_and_2(
    lab: Lab, capfd: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    assert ended(*options) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert complaint in err
    assert not lab.report.exists()


def test_notebooks_in_a_folder_of_ones_own_are_kept_and_never_overwritten(
    lab: Lab, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "deep" / "mine"
    assert ended("--dir", str(folder)) == 0
    assert f"--ServerApp.root_dir={folder}" in lab.saw["argv"]
    assert f"Tutorials: in {folder}, kept when the demo ends." in capfd.readouterr().err
    notebook = folder / FIRST_NOTEBOOK
    assert notebook.read_bytes() == (notebooks_folder() / FIRST_NOTEBOOK).read_bytes()
    notebook.write_text("my work", encoding="utf-8")
    assert ended("--dir", str(folder)) == 0
    assert notebook.read_text(encoding="utf-8") == "my work"


def test_without_a_folder_it_says_that_nothing_is_kept(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    assert ended() == 0
    err = capfd.readouterr().err
    assert "removed when the demo ends; --dir FOLDER keeps them" in err
    assert "http://127.0.0.1:" in err


def test_a_relative_folder_is_taken_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert copy_notebooks(Path("mine")) == tmp_path / "mine"


def test_the_installed_notebooks_come_before_those_of_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "package" / "cli" / "demo.py"))
    assert notebooks_folder() == tmp_path / "notebooks"
    (tmp_path / "package" / "notebooks").mkdir(parents=True)
    assert notebooks_folder() == tmp_path / "package" / "notebooks"


def test_a_configuration_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    write_config(tmp_path / "config", {})
    with pytest.raises(FileExistsError):
        write_config(tmp_path / "config", {})


@dataclass
class Running:
    """A demo in a process of its own."""

    process: subprocess.Popen[str]
    http: httpx.Client
    runtime: Path
    temporary: Path


def left_in(folder: Path) -> list[Path]:
    """What is left there, but for that of an R which jupyter_lsp asked for its packages, and which ended with it."""
    return [file for file in folder.iterdir() if not file.name.startswith("Rtmp")]


def until(found: Callable[[], T | None], process: subprocess.Popen[str]) -> T:
    """What a real process brings about sooner or later."""
    end = time.monotonic() + DEADLINE
    while not (value := found()):
        assert process.poll() is None, "it ended early"
        assert time.monotonic() < end, "too late"
        time.sleep(0.05)
    return value


@contextmanager
def demonstrating(tmp_path: Path, *options: str) -> Iterator[Running]:
    folders = {name: tmp_path / name.lower() for name in ("HOME", "TMPDIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
    # The kernel runs in the notebooks' folder, where a relative path of this run leads nowhere.
    environment = {**os.environ, **{name: str(folder) for name, folder in folders.items()}, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jupyter_tokens.cli.app", "demo", "--no-browser", *options]
    runtime = folders["JUPYTER_RUNTIME_DIR"]
    with (
        (tmp_path / "log.txt").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True) as process,
    ):
        try:
            server = until(lambda: _server(runtime), process)
            until_listening(server["port"], DEADLINE)
            headers = {"Authorization": f"token {server['token']}"}
            with httpx.Client(base_url=server["url"], headers=headers, timeout=DEADLINE, trust_env=False) as http:
                yield Running(process, http, runtime, folders["TMPDIR"])
        finally:
            process.terminate()


def _server(runtime: Path) -> dict[str, Any] | None:
    for file in runtime.glob("jpserver-*.json"):
        try:
            told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            return None  # half written
        return told
    return None


@contextmanager
def kernel_of(running: Running) -> Iterator[BlockingKernelClient]:
    kernel = running.http.post("api/kernels", json={"name": "python3"}).raise_for_status().json()
    file = running.runtime / f"kernel-{kernel['id']}.json"
    client = BlockingKernelClient(connection_file=str(until(lambda: file if file.exists() else None, running.process)))
    client.load_connection_file()
    client.start_channels(hb=False)
    try:
        until_heard(client, int(DEADLINE))
        yield client
    finally:
        client.stop_channels()


def executed(client: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """What a cell showed."""
    shown: list[dict[str, Any]] = []
    reply = client.execute_interactive(code, output_hook=lambda message: shown.append(message["content"]), timeout=300)
    assert reply["content"]["status"] == "ok", reply["content"]
    return shown


def test_a_token_in_a_notebook_and_after_ctrl_c_no_trace(tmp_path: Path) -> None:
    with demonstrating(tmp_path) as running:
        assert running.http.get("lab").is_success
        listed = running.http.get("api/contents").raise_for_status().json()["content"]
        assert FIRST_NOTEBOOK in {entry["name"] for entry in listed}
        assert list(running.temporary.iterdir())
        with kernel_of(running) as kernel:
            executed(kernel, "%load_ext jupyter_tokens")
            (card,) = [content for content in executed(kernel, "%gettoken oneaccess") if "data" in content]
            assert "injected: $ONEACCESS_TOKEN" in card["data"]["text/plain"]
            (length,) = [
                content
                for content in executed(kernel, "import os; print(len(os.environ['ONEACCESS_TOKEN']))")
                if "text" in content
            ]
            assert length["text"] == "40\n"
        # JupyterLab, and the kernel below it.
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) >= 2
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(DEADLINE) == 0
        assert not psutil.wait_procs(children, timeout=DEADLINE)[1]
        assert not left_in(running.temporary)
    assert "Traceback" not in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_a_port_of_ones_own_and_the_end_by_the_servers_shutdown(tmp_path: Path) -> None:
    port = free_port()
    with demonstrating(tmp_path, "--port", str(port)) as running:
        assert running.http.base_url.port == port
        running.http.post("api/shutdown").raise_for_status()
        assert running.process.wait(DEADLINE) == 0
        assert not left_in(running.temporary)
