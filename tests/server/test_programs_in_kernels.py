"""Unmodified programs that a cell starts: git, docker's credential helper and kubectl get the token of the kernel."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension

from ..cli.running import install_programs
from ..cluster import VERSION, Cluster
from ..e2e.certificate import self_signed
from .kernels import Client, started, until

HOST = "git.example.com"


class Program(NamedTuple):
    """A command line and its input. shows : whether it prints the token; kubectl shows it to its cluster."""

    command: str
    asked: str = ""
    shows: bool = True


PROGRAMS = {
    "git": Program("git credential fill", f"protocol=https\nhost={HOST}\n\n"),
    "docker": Program("docker-credential-jupyter-tokens get", f"https://{HOST}"),
    "kubectl": Program("kubectl get --raw /version", shows=False),
}
# Runs a program; what it has printed is left in the kernel.
RUN = """
import hashlib, json, subprocess
done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
print(json.dumps([done.returncode, hashlib.sha256(done.stdout.encode()).hexdigest(), done.stderr]))
"""


@pytest.fixture
def cluster(sandbox: Sandbox, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(sandbox, self_signed(tmp_path)).serving() as served:
        yield served


@pytest.fixture(autouse=True)
def _installed(jp_environ: None, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of an installation, their configuration, and a store, as there is by default."""
    install_programs(tmp_path / "programs", monkeypatch)
    (tmp_path / "gitconfig").write_text("[credential]\n\thelper = jupyter-tokens\n")
    get = "[get, pai-dlc, ExpireTime=60, --format, exec-credential]"
    (tmp_path / "kubeconfig").write_text(f"""\
apiVersion: v1
kind: Config
clusters: [{{name: here, cluster: {{server: "https://{cluster.host}", certificate-authority: certificate.pem}}}}]
contexts: [{{name: here, context: {{cluster: here, user: mine}}}}]
current-context: here
users:
  - name: mine
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: jupyter-tokens
        args: {get}
        interactiveMode: Never
""")
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "GIT_TERMINAL_PROMPT": "0",
        "JUPYTER_TOKENS_STORE": "file:",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def profiles(profiles: dict[str, Any], write_profiles: Callable[..., Path]) -> dict[str, Any]:
    """For one host."""
    params = {"TargetType": "job", "TargetId": "dlc1", "ExpireTime": 60}
    written = {"pai-dlc": {**profiles["pai-dlc"], "params": params, "hosts": [HOST]}}
    write_profiles(written)
    return written


async def ran(client: Client, program: Program) -> tuple[int, str, str]:
    """Exit code, hash of the output, and standard error of the program."""
    setting = f"command, asked = {shlex.split(program.command)!r}, {program.asked!r}\n"
    code, digest, problem = json.loads((await client.run(setting + RUN)).strip().rpartition("\n")[2])
    return code, digest, problem


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_that_a_cell_starts_shares_the_kernels_token(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, sandbox: Sandbox, cluster: Cluster, name: str
) -> None:
    program = PROGRAMS[name]
    key = extension.source.key("pai-dlc")
    async with started(jp_serverapp) as client:
        await client.run("%gettoken pai-dlc")
        first = await ran(client, program)
        assert first[0] == 0, first[2]
        assert await ran(client, program) == first
        # However often it is started.
        assert sandbox.requests["pai-dlc"] == 1
        extension.source.get(key, refresh=True)
        second = await ran(client, program)
        assert second[0] == 0, second[2]
        assert sandbox.requests["pai-dlc"] == 2
        if program.shows:
            assert second[1] != first[1]
        else:
            assert len(set(cluster.shown)) == 2
        extension.source.forget_profile("pai-dlc")
        sandbox.plan({"api": "pai-dlc", "kind": "403", "times": 9})
        refused = await ran(client, program)
        assert refused[0] != 0
        # docker's protocol has the error on standard output.
        assert "NoPermission" in refused[2] or name == "docker"
        assert not [value for value in sandbox.issued if value in client.all_heard()]


# Kubernetes' client runs the program of the kubeconfig for each call, as the token has less than five minutes.
KUBERNETES = """
from kubernetes import client, config
config.load_kube_config()
api = client.VersionApi()
"""
UNTIL_TOLD = """
import os, time
end = time.monotonic() + 300
while not os.path.exists(flag):
    assert time.monotonic() < end
    api.get_code()
"""


async def test_kubernetes_client_in_a_kernel(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, sandbox: Sandbox, cluster: Cluster, tmp_path: Path
) -> None:
    async with started(jp_serverapp) as client:
        await client.run("%gettoken pai-dlc")
        await client.run(KUBERNETES)
        for _ in range(3):
            assert (await client.run("print(api.get_code().git_version)")).strip() == VERSION["gitVersion"]
        assert sandbox.requests["pai-dlc"] == 1
        # The next token while a cell runs.
        shown = len(cluster.shown)
        cell = client.begin(f"flag = {str(tmp_path / 'flag')!r}\n{UNTIL_TOLD}")
        await until(lambda: len(cluster.shown) > shown)
        await asyncio.to_thread(extension.source.get, extension.source.key("pai-dlc"), refresh=True)
        await until(lambda: len(set(cluster.shown)) > 1)
        (tmp_path / "flag").touch()
        assert (await client.reply(cell))["status"] == "ok"
        assert sandbox.requests["pai-dlc"] == 2
        extension.source.forget_profile("pai-dlc")
        sandbox.plan({"api": "pai-dlc", "kind": "403", "times": 9})
        # It logs what the program prints, and goes on with the last token.
        assert "code NoPermission, request id " in await client.run("api.get_code()")
        assert not [value for value in sandbox.issued if value in client.all_heard()]
