"""`jupyter tokens service` and `hub-config` as processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest
from traitlets.config import Config

from jupyter_tokens.service.hub_config import hub_config

from .conftest import ALICE, PREFIX, Hub

COMMAND = [sys.executable, "-m", "jupyter_tokens.cli.app"]


@contextmanager
def started(*arguments: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The service as a process, and its URLs."""
    process = subprocess.Popen(
        [*COMMAND, "service", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **more},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, json.loads(line)["urls"] if line else []
    finally:
        process.terminate()
        process.communicate(timeout=30)


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], check=False, capture_output=True, text=True, env={**os.environ, **more}, timeout=60
    )


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A unix socket's path has about 100 characters at most."""
    folder = Path(mkdtemp(prefix="jt-"))
    yield folder
    shutil.rmtree(folder)


def test_serves_until_it_is_told_to_end(profiles: dict[str, Any], hub: Hub) -> None:
    with started("--port", "0") as (process, [url]):
        assert url.endswith(PREFIX)
        answer = httpx.post(
            url + "v1/token", headers={"Authorization": f"token {ALICE}"}, json={"profile": "oneaccess"}
        )
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert '"user": "alice"' in log
    assert answer.json()["value"] not in log
    assert ALICE not in log


def test_on_a_port_and_a_socket_that_all_may_use(profiles: dict[str, Any], hub: Hub, short_path: Path) -> None:
    path = short_path / "s"
    # What an earlier process has left.
    with started("--socket", str(path)):
        assert path.is_socket()
    with started("--port", "0", "--socket", str(path)) as (_, urls):
        assert [url.partition(":")[0] for url in urls] == ["http", "http+unix"]
        assert path.stat().st_mode & 0o777 == 0o666
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.get(f"http://service{PREFIX}health").json()["status"] == "ok"


def test_where_the_hub_wants_it(profiles: dict[str, Any], hub: Hub) -> None:
    told = {"JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:0", "JUPYTERHUB_SERVICE_PREFIX": "/hub2/services/tokens"}
    with started(**told) as (_, [url]):
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/hub2/services/tokens/")
        assert httpx.get(url + "health").status_code == 200


def test_a_managed_one_ends_with_its_parent(profiles: dict[str, Any], hub: Hub) -> None:
    starts_it = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    command = [sys.executable, "-c", starts_it, *COMMAND, "service", "--managed", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        [url] = json.loads(parent.stdout.readline())["urls"]
        parent.kill()
        # Its end of the pipe is closed when the service has ended as well.
        assert parent.stdout.read() == ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "health")


@pytest.mark.parametrize(
    ("arguments", "hub_url", "said"),
    [
        (["service"], "", "JUPYTERHUB_API_URL"),
        (["service", "--socket", "here"], "http://127.0.0.1:1/hub/api", "absolute"),
        (["service", "now"], "http://127.0.0.1:1/hub/api", "no arguments"),
        (["hub-config", "now"], "", "no arguments"),
    ],
)
def test_wrong_usage(arguments: list[str], hub_url: str, said: str) -> None:
    ended = run(*arguments, JUPYTERHUB_API_URL=hub_url)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken(profiles: dict[str, Any], hub: Hub) -> None:
    ended = run("service", "--port", str(hub.port))
    assert ended.returncode == 1
    assert str(hub.port) in ended.stderr.splitlines()[-1]


def _file_in_the_way(folder: Path) -> None:
    folder.write_text("")


def _folder_in_the_way(folder: Path) -> None:
    (folder / ".jupyter_tokens_store.key.lock").mkdir(parents=True)


@pytest.mark.parametrize("disturb", [_file_in_the_way, _folder_in_the_way])
def test_a_key_file_that_cannot_be_written(
    *, profiles: dict[str, Any], hub: Hub, tmp_path: Path, disturb: Callable[[Path], None]
) -> None:
    data = tmp_path / "data-folder"
    disturb(data)
    ended = run("service", "--port", "0", JUPYTER_TOKENS_STORE="redis://127.0.0.1:1", JUPYTER_DATA_DIR=str(data))
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert str(data) in line
    assert "cannot serve" not in line


def executed(block: str) -> tuple[Config, dict[str, Any]]:
    """What a block configures, and the service that it adds."""
    config = Config()
    exec(block, {"c": config})
    [service] = config.JupyterHub.services.get_value([])
    return config, service


def test_the_hubs_block_is_configuration(profiles: dict[str, Any]) -> None:
    block = run("hub-config", "--url", "http://127.0.0.1:9999").stdout
    config, service = executed(block)
    assert service["url"] == "http://127.0.0.1:9999"
    assert service["command"][1:] == ["-m", "jupyter_tokens.cli.app", "service", "--managed"]
    scope = "custom:jupyter-tokens:use:pai-dlc"
    assert scope in config.Spawner.server_token_scopes
    assert list(config.JupyterHub.custom_scopes.get_value({})) == [scope]
    told = config.Spawner.environment.get_value({})
    assert told == {"JUPYTER_TOKENS_SERVICE_URL": "http://127.0.0.1:9999/services/jupyter-tokens"}


def test_the_hubs_block_without_the_grants_comes_with_a_warning(profiles: dict[str, Any], tmp_path: Path) -> None:
    assert run("hub-config").stderr == ""
    ended = run("hub-config", JUPYTER_CONFIG_DIR=str(tmp_path / "another"))
    assert ended.returncode == 0
    assert "load_roles" in ended.stdout
    [line] = ended.stderr.splitlines()
    assert "TokenService.grants" in line
    assert "JUPYTER_CONFIG_DIR" in line


def test_the_hubs_block_quotes_any_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", '/home/o\'brien/"q" \\é/bin/python')
    _, service = executed(hub_config("http://127.0.0.1:9999", {}, external=False))
    assert service["command"][0] == sys.executable
    assert service["oauth_no_confirm"] is True


def test_the_hubs_block_for_a_socket_and_systemd(profiles: dict[str, Any]) -> None:
    block = run("hub-config", "--external", "--url", "unix:/run/x/s").stdout
    config, service = executed(block)
    assert service == {"name": "jupyter-tokens"}
    [url] = config.Spawner.environment.get_value({}).values()
    assert url == "http+unix://%2Frun%2Fx%2Fs/services/jupyter-tokens"
