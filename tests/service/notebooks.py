"""Notebooks on users' servers under a real hub, driven through the hub's proxy as a front end does it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import httpx
from websocket import WebSocket, create_connection

from .test_real_hub import ADMIN, RealHub

SECONDS = 300


class Notebook:
    """A kernel, and the websocket to it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.heard: list[dict[str, Any]] = []

    def run(self, code: str) -> str:
        """Returns what the code prints."""
        message_id = self.begin(code)
        printed, left = "", {"execute_reply", "idle"}
        while left:
            message = json.loads(self._socket.recv())
            self.heard.append(message)
            if message["parent_header"].get("msg_id") == message_id:
                kind, content = message["msg_type"], message["content"]
                left -= {kind, content.get("execution_state")}
                printed += content["text"] if kind == "stream" else ""
        return printed.strip()

    def begin(self, code: str) -> str:
        """Sends code, and does not wait for it; returns the message's id."""
        header = {"msg_id": uuid4().hex, "msg_type": "execute_request", "session": uuid4().hex, "version": "5.4"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._socket.send(json.dumps(message))
        return header["msg_id"]

    def errors(self) -> list[str]:
        """What people read of all errors so far."""
        return [message["content"]["evalue"] for message in self.heard if message["msg_type"] == "error"]


@contextmanager
def notebook(hub: RealHub, user: str, server: str = "") -> Iterator[Notebook]:
    """One on a user's server, which has to run; `server` is the server's name if it has one."""
    kernels = f"{hub.prefix(user, server)}api/kernels"
    started = hub.api.post(kernels, json={"name": "python3"})
    assert started.status_code == httpx.codes.CREATED
    kernel_id = started.json()["id"]
    channels = f"ws{hub.url.removeprefix('http')}{kernels}/{kernel_id}/channels"
    shown = {"Authorization": f"token {ADMIN}"}
    with closing(create_connection(channels, header=shown, timeout=SECONDS)) as socket:
        yield Notebook(socket)
    assert hub.api.delete(f"{kernels}/{kernel_id}").status_code == httpx.codes.NO_CONTENT
