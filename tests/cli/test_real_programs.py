"""kubectl, Kubernetes' Python client and docker, unmodified, with what `jupyter tokens sdk` prints for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.sdk import SdkApp
from jupyter_tokens.sandbox import Sandbox

from ..cluster import VERSION, Cluster
from ..e2e.certificate import self_signed
from .machine import write_profiles
from .running import Run, install_programs, runner


@pytest.fixture
def sdk(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(SdkApp, capfd)


@pytest.fixture(autouse=True)
def _programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of an installation; a home of this test's own; a store, as there is by default."""
    install_programs(tmp_path / "programs", monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", "file:")


@pytest.fixture
def write(config_dir: Path, sandbox: Sandbox, tmp_path: Path) -> Callable[..., None]:
    def write(**changes: Any) -> None:
        profile = {**sandbox.profiles(tmp_path)["pai-dlc"], **changes}
        write_profiles(config_dir, {"mine": profile})

    write()
    return write


@pytest.fixture
def cluster(sandbox: Sandbox, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(sandbox, self_signed(tmp_path)).serving() as served:
        yield served


@pytest.fixture
def kubeconfig(sdk: Run, write: Any, cluster: Cluster, tmp_path: Path) -> Path:
    written = f"""\
apiVersion: v1
kind: Config
clusters:
  - name: here
    cluster: {{server: "https://{cluster.host}", certificate-authority: {tmp_path / "certificate.pem"}}}
contexts:
  - name: here
    context: {{cluster: here, user: mine}}
current-context: here
{sdk("kubectl", "mine").out}"""
    file = tmp_path / "kubeconfig"
    file.write_text(written)
    return file


def kubectl(kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--kubeconfig", str(kubeconfig), "get", "--raw", "/version"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_kubectl_shows_the_token_and_one_call_serves_all_its_runs(
    kubeconfig: Path, cluster: Cluster, sandbox: Sandbox
) -> None:
    for _ in range(3):
        done = kubectl(kubeconfig)
        assert (done.returncode, json.loads(done.stdout)) == (0, VERSION), done.stderr
    assert len({*cluster.shown}) == 1
    assert sandbox.requests["pai-dlc"] == 1


def test_kubectl_says_why_there_is_no_token(kubeconfig: Path, sandbox: Sandbox) -> None:
    sandbox.plan({"api": "pai-dlc", "kind": "403", "times": 9})
    done = kubectl(kubeconfig)
    assert done.returncode != 0
    assert "NoPermission" in done.stderr
    assert "request id" in done.stderr


def test_kubernetes_client_shows_the_token_and_asks_for_each_life(
    kubeconfig: Path, cluster: Cluster, sandbox: Sandbox, write: Callable[..., None]
) -> None:
    write(params={"TargetType": "job", "TargetId": "dlc1", "ExpireTime": 60})
    code = f"""
from kubernetes import client, config
config.load_kube_config({str(kubeconfig)!r})
for _ in range(5):
    print(client.VersionApi().get_code().git_version)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout.split()) == (0, ["v1.32.4"] * 5), done.stderr
    # Each life shorter than five minutes, so the client runs the program for each call.
    assert len(cluster.shown) == 5
    assert sandbox.requests["pai-dlc"] == 1


def docker(host: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "manifest", "inspect", "--insecure", f"{host}/o/r:latest"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_docker_logs_in_at_the_hosts_of_the_profile(
    sdk: Run, write: Callable[..., None], cluster: Cluster, sandbox: Sandbox, tmp_path: Path
) -> None:
    write(hosts=[f"robot@{cluster.host}"])
    folder = tmp_path / "home" / ".docker"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(sdk("docker", "mine").out)
    for _ in range(2):
        done = docker(cluster.host)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["schemaVersion"] == 2
    assert {*filter(None, cluster.shown)} == {*sandbox.issued}
    assert sandbox.requests["pai-dlc"] == 1
    # What docker keeps beside its configuration is no token.
    kept = "".join(file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file())
    assert not [value for value in sandbox.issued if value in kept]
