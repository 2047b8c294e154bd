"""A Redis of a test's own; a configuration; what was warned of."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from ..hearing import free_port, until_listening

PASSWORD = "c4n4ry-redis-passw0rd"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def write(folder: Path, **profiles: dict[str, Any]) -> None:
    """Configures these profiles."""
    file = folder / "jupyter_tokens_config.json"
    file.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}}))
    file.chmod(0o600)


@dataclass
class RedisServer:
    """folder : where it saves."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        return redis.Redis.from_url(self.url)

    @contextmanager
    def monitored(self) -> Iterator[list[str]]:
        """Records all commands during a `with` block; at its end the data is saved as `dump.rdb`."""
        told: list[str] = []
        with self.client() as client, client.monitor() as monitor:

            def listen() -> None:
                for command in monitor.listen():
                    told.append(str(command))
                    if "the end" in told[-1]:
                        return

            listener = threading.Thread(target=listen, daemon=True)
            listener.start()
            yield told
            client.echo("the end")
            listener.join(60)
            assert not listener.is_alive()
            client.save()

    @property
    def dump(self) -> bytes:
        return (self.folder / "dump.rdb").read_bytes()

    def stop(self) -> None:
        """It takes connections, and answers none."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def begin(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Starts it on a port; its password is in a file, not among its arguments."""
    file = folder / "redis.conf"
    file.write_text(f"requirepass {PASSWORD}\n")
    command = [
        "redis-server",
        str(file),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    until_listening(port)
    return process


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    folder = tmp_path / "redis"
    folder.mkdir()
    port = free_port()
    server = RedisServer(port, folder, begin(folder, port))
    yield server
    with suppress(ProcessLookupError):
        os.kill(server.process.pid, signal.SIGCONT)
    server.kill()
