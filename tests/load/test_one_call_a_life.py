"""Replicas that share one real Redis make one call for each life of a token, whoever dies meanwhile."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sources.cache import windows

from ..sampling import long
from ..sources.conftest import RedisServer, begin, redis_server  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.slow, long]

REPLICAS, LIFE = 4, 10
# An expiry comes in whole seconds.
USED = LIFE - 1 - windows(LIFE)[0]
"""Seconds after which a token is fetched anew."""


class Load(NamedTuple):
    """profiles : how many. seconds : how long they are asked for."""

    profiles: int
    seconds: int


@pytest.fixture
def load(full: bool) -> Load:
    return Load(20, 36) if full else Load(4, 12)


@pytest.fixture
def sandbox(load: Load) -> Iterator[Sandbox]:
    clients = {f"client-{number}": f"c4n4ry-secret-{number:08}" for number in range(load.profiles)}
    with running(accounts=Accounts(oneaccess=clients), life=LIFE) as served:
        yield served


class Replicas:
    def __init__(self, load: Load) -> None:
        self.load = load
        command = [sys.executable, str(Path(__file__).with_name("replica.py")), str(load.seconds)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes) for _ in range(REPLICAS)]

    def begin(self) -> None:
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    def end(self) -> list[dict[str, Any]]:
        """What those tell that have lived to the end."""
        told = [process.communicate(timeout=self.load.seconds + 120)[0] for process in self.processes]
        return [json.loads(line) for line in told if line]

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def replicas(
    load: Load,
    sandbox: Sandbox,
    redis_server: RedisServer,  # noqa: F811
    config_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Replicas]:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", redis_server.url)
    profiles = {}
    for client, secret in sandbox.accounts.oneaccess.items():
        file = tmp_path / client
        file.write_text(secret)
        file.chmod(0o600)
        one = {"provider": "oneaccess", "endpoint": sandbox.url, "client_id": client, "client_secret": f"file:{file}"}
        profiles[client] = one
    config = config_dir / "jupyter_tokens_config.json"
    config.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}}))
    config.chmod(0o600)
    begun = Replicas(load)
    yield begun
    begun.kill()


def lives(load: Load) -> int:
    """The most lives of a token in that time."""
    return math.ceil(load.seconds / USED) + 1


def _until(sandbox: Sandbox, calls: int) -> None:
    deadline = time.monotonic() + 60
    while sandbox.requests["oneaccess"] < calls:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_call_a_life(replicas: Replicas, sandbox: Sandbox, load: Load) -> None:
    replicas.begin()
    told = replicas.end()
    assert [(one["errors"], one["dead"]) for one in told] == [({}, 0)] * REPLICAS
    assert sandbox.requests["oneaccess"] <= load.profiles * lives(load)
    assert sandbox.requests["oneaccess"] >= load.profiles * load.seconds // LIFE


def test_a_replica_that_is_killed_changes_nothing(replicas: Replicas, sandbox: Sandbox, load: Load) -> None:
    replicas.begin()
    _until(sandbox, load.profiles)
    replicas.processes[0].kill()
    told = replicas.end()
    assert [(one["errors"], one["dead"]) for one in told] == [({}, 0)] * (REPLICAS - 1)
    # A call that nobody has heard the answer of is made again.
    assert sandbox.requests["oneaccess"] <= load.profiles * lives(load) + 1


@pytest.mark.parametrize("trouble", ["killed", "hung"])
def test_without_redis_each_calls_for_itself_and_nobody_is_refused(
    trouble: str,
    replicas: Replicas,
    sandbox: Sandbox,
    load: Load,
    redis_server: RedisServer,  # noqa: F811
) -> None:
    replicas.begin()
    _until(sandbox, load.profiles)
    with ExitStack() as stack:
        if trouble == "killed":
            redis_server.kill()
        else:
            redis_server.stop()
            stack.callback(redis_server.go_on)
        _until(sandbox, 2 * load.profiles)
    if trouble == "killed":
        redis_server.process = begin(redis_server.folder, redis_server.port)
    told = replicas.end()
    assert [(one["errors"], one["dead"]) for one in told] == [({}, 0)] * REPLICAS
    assert sandbox.requests["oneaccess"] <= load.profiles * REPLICAS * lives(load)
    # What is cached is served without a look at Redis.
    assert all(one["median"] < 0.005 for one in told)
