"""How a test waits for a kernel that somebody else has started."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty

from jupyter_client.blocking.client import BlockingKernelClient


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
