"""Asks a kernel over a channel of its own: nobody else sees question or answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from .snippets import EXPRESSION, Snippet

__all__ = ["KernelChannel", "confirmed", "evaluated"]


class KernelChannel:
    """A channel of a kernel, with a session of its own: that of others may print what it sends.

    connect : the kernel's `connect_shell` or, for what a busy kernel answers too, its `connect_control`.
    """

    def __init__(self, kernel: Any, connect: Callable[..., Any]) -> None:
        self._session = Session(key=kernel.session.key, signature_scheme=kernel.session.signature_scheme)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        # A stream: jupyter_server's managers run on tornado's loop.
        self._stream = connect(identity=self._session.bsession)
        self._stream.on_recv(self._received)

    def execute(self, wanted: Snippet) -> asyncio.Future[dict[str, Any]]:
        """Has a snippet run where no one sees it; the future gets the content of the reply."""
        content = {
            "code": wanted.code,
            "silent": True,
            "store_history": False,
            "user_expressions": {EXPRESSION: wanted.expression} if wanted.expression else {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self.request("execute_request", content)

    def request(self, kind: str, content: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Sends a request of a type that Jupyter's protocol knows; the future gets the content of the reply."""
        reply = asyncio.get_running_loop().create_future()
        message = self._session.msg(kind, content)
        self._waiting[message["header"]["msg_id"]] = reply
        self._session.send(self._stream, message)
        return reply

    def close(self) -> None:
        """Frees the socket; what has not gone out yet is dropped."""
        self._stream.close(linger=0)

    def _received(self, frames: list[bytes]) -> None:
        try:
            message: Any = self._session.deserialize(self._session.feed_identities(frames)[1])
        except (ValueError, IndexError, KeyError, TypeError):
            # Unsigned, wrongly signed, or no message at all: as good as no answer.
            return
        reply = self._waiting.pop(message["parent_header"].get("msg_id"), None)
        if reply is not None:
            reply.set_result(message["content"])


def confirmed(reply: dict[str, Any], sent: Snippet) -> bool:
    """Whether the kernel says that the snippet ran."""
    if reply.get("status") != "ok" or not sent.expression:
        return reply.get("status") == "ok"
    evaluated = reply.get("user_expressions", {}).get(EXPRESSION, {})
    paid = [payload.get("source") for payload in reply.get("payload", [])]
    return evaluated.get("status") == "ok" or EXPRESSION in paid


def evaluated(reply: dict[str, Any]) -> str:
    """What the kernel says that the expression is, as text; empty if it could not be evaluated."""
    try:
        return str(reply["user_expressions"][EXPRESSION]["data"]["text/plain"])
    except (KeyError, TypeError):
        return ""
