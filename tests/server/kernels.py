"""Real kernels of the test's server, and a client beside ours that hears what they publish."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

WAIT = 300
IPYKERNEL = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]


class Client:
    """A kernel's other client: runs code, and keeps all that it hears."""

    def __init__(self, manager: Any, kernel_id: str) -> None:
        self.id = kernel_id
        self.manager = manager.get_kernel(kernel_id)
        self.heard: list[dict[str, Any]] = []
        self._client = self.manager.client()
        self._client.start_channels(hb=False, stdin=False)
        self._listener: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        await self._client.wait_for_ready(timeout=WAIT)
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            self.heard.append(await self._client.get_iopub_msg())

    async def run(self, code: str, **options: Any) -> str:
        """What the code prints."""
        message_id = self._client.execute(code, **options)
        await self.reply(message_id)
        await self.hears(lambda m: m["msg_type"] == "status" and m["content"]["execution_state"] == "idle", message_id)
        texts = [
            m["content"]["text"]
            for m in self.heard
            if m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == message_id
        ]
        return "".join(texts)

    def begin(self, code: str, **options: Any) -> str:
        """Sends code, and does not wait for it."""
        return str(self._client.execute(code, **options))

    async def reply(self, message_id: str) -> dict[str, Any]:
        while True:
            message = await self._client.get_shell_msg(timeout=WAIT)
            if message["parent_header"].get("msg_id") == message_id:
                return dict(message["content"])

    async def hears(self, wanted: Callable[[dict[str, Any]], bool], message_id: str) -> None:
        await until(lambda: any(wanted(m) and m["parent_header"].get("msg_id") == message_id for m in self.heard))

    def all_heard(self) -> str:
        return json.dumps(self.heard, default=str)

    async def ready_again(self) -> None:
        """After a restart."""
        await self._deafen()
        await self.ready()

    async def _deafen(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    async def close(self) -> None:
        await self._deafen()
        self._client.stop_channels()
        if self._client._created_context:
            self._client.context.destroy(linger=0)


async def until(seen: Callable[[], object]) -> None:
    """Lets the loop run until something can be seen."""
    async with asyncio.timeout(WAIT):
        while not seen():  # noqa: ASYNC110 (states of other libraries, which tell no one)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def started(serverapp: Any, name: str = "python3", **options: Any) -> AsyncIterator[Client]:
    manager = serverapp.kernel_manager
    kernel_id = await manager.start_kernel(kernel_name=name, **options)
    client = Client(manager, kernel_id)
    try:
        await client.ready()
        # The server counts a kernel as starting until something ran in it.
        await client.run("1", silent=True)
        await until(lambda: client.manager.execution_state == "idle")
        yield client
    finally:
        await client.close()
        if kernel_id in manager:
            await manager.shutdown_kernel(kernel_id, now=True)


def write_spec(data: Path, argv: list[str], **more: Any) -> None:
    """A kernelspec with the name `own`."""
    spec = data / "kernels" / "own"
    spec.mkdir(parents=True)
    facts = {"argv": argv, "display_name": "Own", "language": "python", **more}
    (spec / "kernel.json").write_text(json.dumps(facts))
