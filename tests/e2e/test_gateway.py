"""Kernels behind a gateway: no server of ours has started them, so they get tokens by a handle."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx

from jupyter_tokens.sandbox import Sandbox, running

from ..hearing import free_port
from ..labextension.served import DEADLINE, Served, environment, serving
from ..sampling import long
from .test_inject import kernel

JUPYTER_TOKENS = Path(sys.executable).with_name("jupyter-tokens")


@contextmanager
def gateway(home: Path, handle: Path) -> Iterator[str]:
    """A Jupyter Kernel Gateway, whose kernels find a handle in that file. Gives its address."""
    home.mkdir(mode=0o700)
    port = free_port()
    command = [
        *(sys.executable, "-m", "kernel_gateway"),
        f"--KernelGatewayApp.port={port}",
        "--KernelGatewayApp.port_retries=0",
        "--KernelGatewayApp.env_process_whitelist=JUPYTER_TOKENS_HANDLE",
        # Jupyter servers ask a gateway for its kernels.
        "--JupyterWebsocketPersonality.list_kernels=True",
    ]
    env = {**environment(home), "JUPYTER_TOKENS_HANDLE": str(handle)}
    with (home / "gateway.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + DEADLINE
    try:
        while not answers(url):
            assert process.poll() is None, (home / "gateway.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(DEADLINE)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api").is_success
    except httpx.TransportError:
        return False


def issue_handle(served: Served, file: Path) -> None:
    env = {**environment(served.home), "JUPYTER_TOKEN": served.token}
    command: list[str | Path] = [JUPYTER_TOKENS, "handle", "oneaccess", "--file", file, "--server", served.url]
    subprocess.run(command, env=env, check=True, timeout=DEADLINE)


@long
def test_a_gateways_kernel_gets_its_token_by_a_handle(tmp_path: Path) -> None:
    handle, remote = tmp_path / "job.handle", tmp_path / "gateway"
    with (
        running(Sandbox()) as sandbox,
        gateway(remote, handle) as url,
        serving("jupyterlab", tmp_path / "lab", sandbox, options=[f"--GatewayClient.url={url}"]) as served,
    ):
        issue_handle(served, handle)
        with kernel(served, home=remote) as python:
            # The server has no channels to it on this machine.
            refused = python.inject("oneaccess")
            assert refused.status_code == 409
            assert "gateway" in refused.json()["message"]
            assert python.run("%load_ext jupyter_tokens") == ""
            assert "source: handle" in python.run("%gettoken oneaccess --env REMOTE_TOKEN")
            value = served.value_of("oneaccess")
            assert python.digest("REMOTE_TOKEN") == sha256(value.encode()).hexdigest()
            assert python.run("print(os.environ['REMOTE_TOKEN'])") == "[token oneaccess]"
            assert "oneaccess" in python.run("%tokens")
            assert sandbox.requests["oneaccess"] == 1
            [issued] = served.ask("GET", "jupyter-tokens/handles").json()["handles"]
            served.ask("DELETE", f"jupyter-tokens/handles/{issued['id']}")
            assert "This handle has been revoked" in python.run("%gettoken oneaccess --refresh")
            assert value not in python.heard
        assert value not in (remote / "gateway.log").read_text()
        assert handle.stat().st_mode & 0o077 == 0
