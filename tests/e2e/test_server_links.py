"""A kernel reaches its own server over TLS with the server's own certificate, and over a unix socket."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_tokens.sandbox import Sandbox

from ..hearing import free_port, until_heard, until_listening
from ..sampling import first, long
from .certificate import self_signed
from .test_server_mode import DEADLINE, config, run, text

__all__ = ["config"]  # a fixture
LOGIN = "a-login-that-no-kernel-has"


@contextmanager
def serving(config: Path, user: httpx.Client, *options: str) -> Iterator[BlockingKernelClient]:
    """A kernel of a server that is started with these options. user : who asks that server to start it."""
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--ServerApp.allow_root=True", *options]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": str(config), "JUPYTER_TOKEN": LOGIN}
    client = BlockingKernelClient()
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            next(line for line in process.stderr if "Use Control-C to stop" in line)
            if user.base_url.port is not None:
                until_listening(user.base_url.port)
            started = user.post("/api/kernels", headers={"Authorization": f"token {LOGIN}"}, json={"name": "python3"})
            started.raise_for_status()
            runtime = Path(os.environ["JUPYTER_RUNTIME_DIR"])
            client.load_connection_file(str(runtime / f"kernel-{started.json()['id']}.json"))
            client.start_channels(hb=False)
            until_heard(client, DEADLINE)
            yield client
        finally:
            if client.channels_running:
                client.stop_channels()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE)


class _Late(httpx.HTTPTransport):
    """A unix socket that is not there yet: of httpx's own retries each would leave a socket open."""

    def __init__(self, path: str) -> None:
        super().__init__(uds=path)
        self._path = Path(path)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + DEADLINE
        while not self._path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        return super().handle_request(request)


def card_of(client: BlockingKernelClient, first: str = "") -> str:
    """What `%gettoken` shows in a kernel that has no profile of its own. first : code that runs before."""
    run(client, f"import os; os.environ['JUPYTER_CONFIG_PATH'] = ''\n{first}")
    run(client, "%load_ext jupyter_tokens")
    return text(run(client, "%gettoken oneaccess"))


@contextmanager
def serving_tls(
    config: Path, certificate: Path, key: Path, authority: Path, *more: str
) -> Iterator[BlockingKernelClient]:
    port = free_port()
    options = (f"--ServerApp.certfile={certificate}", f"--ServerApp.keyfile={key}", f"--port={port}", *more)
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(certificate, key)
    # It says that it is running a little before it listens: hence the retries.
    transport = httpx.HTTPTransport(verify=context, retries=9)
    with (
        httpx.Client(base_url=f"https://127.0.0.1:{port}", transport=transport, timeout=DEADLINE) as user,
        serving(config, user, *options, "--ServerApp.ip=127.0.0.1") as client,
    ):
        yield client


def issued(folder: Path) -> tuple[Path, Path, Path]:
    """The PEM files of an authority, and of a certificate for 127.0.0.1 and its key."""
    ca = trustme.CA()
    made = ca.issue_cert("127.0.0.1")
    authority, certificate, key = (folder / f"{name}.pem" for name in ("authority", "certificate", "key"))
    ca.cert_pem.write_to_path(authority)
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    return authority, certificate, key


def test_over_tls_with_the_servers_own_certificate(tmp_path: Path, config: Path, sandbox: Sandbox) -> None:
    certificate, key = self_signed(tmp_path)
    with serving_tls(config, certificate, key, certificate) as client:
        assert "source: Jupyter server" in card_of(client)
    assert sandbox.requests["oneaccess"] == 1


@long
def test_over_tls_with_a_certificate_of_an_authority(tmp_path: Path, config: Path, sandbox: Sandbox) -> None:
    authority, certificate, key = issued(tmp_path)
    with serving_tls(config, certificate, key, authority) as client:
        assert "source: Jupyter server" in card_of(client)
    assert sandbox.requests["oneaccess"] == 1


@long
def test_over_tls_no_other_certificate_is_trusted(tmp_path: Path, config: Path, sandbox: Sandbox) -> None:
    (tmp_path / "another").mkdir()
    stranger, _ = self_signed(tmp_path / "another")
    certificate, key = self_signed(tmp_path)
    with serving_tls(config, certificate, key, certificate) as client:
        shown = card_of(client, f"os.environ['JUPYTER_TOKENS_CERT'] = {str(stranger)!r}")
    assert "SSLCertVerificationError" in shown
    assert "source: Jupyter server" not in shown
    assert sandbox.requests["oneaccess"] == 0


@pytest.mark.parametrize("passed_on", first([True, False]))
def test_to_a_server_that_asks_for_the_hubs_certificates(
    tmp_path: Path, config: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, passed_on: bool
) -> None:
    authority, certificate, key = issued(tmp_path)
    if passed_on:
        # As JupyterHub does with internal_ssl: one certificate, to serve with and to show.
        monkeypatch.setenv("JUPYTERHUB_SSL_CERTFILE", str(certificate))
        monkeypatch.setenv("JUPYTERHUB_SSL_KEYFILE", str(key))
    with serving_tls(config, certificate, key, authority, f"--ServerApp.client_ca={authority}") as client:
        # This kernel could read the profiles itself.
        shown = card_of(client, f"os.environ['JUPYTER_CONFIG_PATH'] = {str(config)!r}")
    if passed_on:
        assert "source: Jupyter server" in shown
    else:
        assert "asks for a client certificate, and this process has none" in shown
        assert "served:" not in shown
    assert sandbox.requests["oneaccess"] == int(passed_on)


@long
@pytest.mark.skipif(sys.platform == "win32", reason="Jupyter serves on unix sockets where there are some")
def test_over_a_unix_socket(config: Path, sandbox: Sandbox) -> None:
    # The path of a socket may have about a hundred characters, fewer than pytest's own folders.
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/jupyter.sock"
        with (
            httpx.Client(base_url="http://localhost", transport=_Late(path), timeout=DEADLINE) as user,
            serving(config, user, f"--ServerApp.sock={path}") as client,
        ):
            assert "source: Jupyter server" in card_of(client)
            assert "http+unix://" in text(run(client, "print(os.environ['JUPYTER_TOKENS_URL'])"))
    assert sandbox.requests["oneaccess"] == 1
