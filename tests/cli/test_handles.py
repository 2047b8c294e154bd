"""`jupyter tokens handle` and `handles`, against a real server in a process of its own."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_tokens.cli.handles import HandleApp, HandlesApp
from jupyter_tokens.client import Client
from jupyter_tokens.errors import HandleRefused
from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import CERT_VARIABLE, URL_VARIABLE
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sources.opening import HANDLE_VARIABLE

from ..e2e.certificate import self_signed
from ..hearing import free_port
from .machine import jupyter_server, write_profiles
from .running import Run, runner


@pytest.fixture
def issue(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(HandleApp, capfd)


@pytest.fixture
def handles(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(HandlesApp, capfd)


@pytest.fixture
def server(sandbox: Sandbox, tmp_path: Path, config_dir: Path) -> Iterator[str]:
    """A Jupyter server that has the profiles; this process has none."""
    with serving(sandbox, tmp_path) as url:
        yield url


@contextmanager
def serving(sandbox: Sandbox, tmp_path: Path, *options: str) -> Iterator[str]:
    for name in ("config", "secrets"):
        (tmp_path / name).mkdir(mode=0o700)
    write_profiles(tmp_path / "config", sandbox.profiles(tmp_path / "secrets"))
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": str(tmp_path / "config")}
    with jupyter_server(tmp_path / "server.log", *options, environment=environment) as url:
        yield url


def test_from_issue_to_revocation(
    *, server: str, issue: Run, handles: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    file = tmp_path / "job.handle"
    done = issue("oneaccess", "--lease", "8h", "--file", str(file))
    assert (done.code, done.out) == (0, ""), done.err
    handle = Handle.read(str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert handle.key.hex() not in done.err
    assert handle.url.endswith(f":{server.rpartition(':')[2]}/jupyter-tokens")

    monkeypatch.setenv(HANDLE_VARIABLE, str(file))
    job = Client()
    assert job.get("oneaccess").reveal() in sandbox.issued
    # Calls to this machine use no proxy.
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    shown = handles("--server", server)
    assert (handle.id in shown.out, handle.key.hex() in shown.out) == (True, False)
    [listed] = json.loads(handles("--json").out)["handles"]
    assert (listed["id"], listed["uses"], listed["lease"]) == (handle.id, 1, 8 * 3600)

    assert handles("revoke", handle.id).code == 0
    with pytest.raises(HandleRefused, match="revoked"):
        job.get("oneaccess", refresh=True)
    job.close()
    assert "No handle" in handles().err
    assert handles("revoke", handle.id).code == 0
    assert handles("revoke", "0" * 32).code == 1
    # A handle's file may be written again.
    assert issue("astra", "--file", str(file)).code == 0
    assert Handle.read(str(file)).profile == "astra"
    assert issue("nobody", "--file", str(file)).code == 2


def test_a_server_with_a_certificate_of_its_own(
    *, sandbox: Sandbox, handles: Run, tmp_path: Path, config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    with serving(sandbox, tmp_path, f"--certfile={certificate}", f"--keyfile={key}") as url:
        port = url.rpartition(":")[2]
        # As in a terminal of that server. The certificate is for another name of this machine.
        monkeypatch.setenv(URL_VARIABLE, f"https://localhost:{port}/jupyter-tokens")
        monkeypatch.setenv(CERT_VARIABLE, str(certificate))
        assert "No handle" in handles().err
        assert "No handle" in handles("--server", f"https://127.0.0.1:{port}/").err
        monkeypatch.setenv(CERT_VARIABLE, str(tmp_path / "none.pem"))
        assert "none.pem cannot be loaded" in handles().err
        monkeypatch.delenv(CERT_VARIABLE)
        assert (handles().code, handles().out) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "PROFILE"),
        (("oneaccess",), "--file"),
        (("oneaccess", "--file", "x", "--lease", "soon"), "not a duration"),
        (("oneaccess", "TargetId", "--file", "x"), "name=value"),
        (("oneaccess", "--file", "{folder}"), "not a regular file"),
        (("oneaccess", "--file", "{document}"), "is not a handle"),
        (("oneaccess", "--file", "{new}"), "No Jupyter server"),
    ],
)
def test_what_is_wrong_is_said(issue: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    document = tmp_path / "document"
    document.write_text("of mine")
    places = {"folder": tmp_path, "document": document, "new": tmp_path / "new"}
    done = issue(*(argument.format(**places) for argument in arguments))
    assert (done.code, said in done.err) == (2, True), done.err
    assert document.read_text() == "of mine"
    assert not (tmp_path / "new").exists()


def test_a_server_that_is_gone(handles: Run) -> None:
    done = handles("--server", f"http://127.0.0.1:{free_port()}")
    assert (done.code, done.err.count("cannot be reached"), "--server" in done.err) == (1, 1, True)
    assert handles("forget", "x").code == 2
