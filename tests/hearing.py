"""How a test starts a kernel, and waits for a kernel or a server that another process has started."""

from __future__ import annotations

import os
import random
import socket
import sys
import tempfile
import time
from contextlib import suppress
from itertools import cycle
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

SECONDS = 300
_TIMES = 5


def started(connection_file: str = "", **options: Any) -> tuple[KernelManager, BlockingKernelClient]:
    """A kernel that is ready. One whose ports another process has taken meanwhile is started again.

    Between the choice of a port and its use, another process can take it: then ipykernel logs that, and ends.
    """
    for left in reversed(range(_TIMES)):
        with tempfile.TemporaryFile("w+") as log:
            manager = KernelManager(connection_file=connection_file)
            manager.start_kernel(**{"stderr": log, **options})
            client = manager.blocking_client()
            client.start_channels()
            try:
                client.wait_for_ready(SECONDS)
            except RuntimeError:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
                manager.cleanup_resources()
                log.seek(0)
                told = log.read()
                # With a log of its own, the caller sees what the kernel says.
                if not left or not ("stderr" in options or "Address already in use" in told):
                    sys.stderr.write(told)
                    raise
            else:
                return manager, client
    raise AssertionError


def until_heard(client: BlockingKernelClient, seconds: int) -> None:
    """Asks until an answer shows that what the kernel publishes arrives: the first of it may be lost.

    `wait_for_ready` goes by the heartbeat, which on a busy machine is late before the kernel is up.
    """
    client.kernel_info(reply=True, timeout=seconds)
    for _ in range(seconds):
        client.kernel_info()
        with suppress(Empty):
            client.get_iopub_msg(timeout=1)
            return
    raise AssertionError("The kernel publishes nothing.")


_WORKERS = 8
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_part = range(20_000 + _worker, 32_000, _WORKERS)
_ports = cycle(random.sample(_part, len(_part)))
"""Below the ports that the system assigns; each process of a test run has a part of its own."""


def free_port() -> int:
    """A port for a server or a kernel that binds it later."""
    while True:
        port = next(_ports)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def until_listening(port: int, seconds: float = SECONDS) -> None:
    """Waits until a server accepts connections: Jupyter logs that it is running a moment before it does."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
