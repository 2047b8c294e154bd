"""The thread that a kernel publishes on, without a kernel: what is sent is kept, and time is the test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_client.session import DELIM, Session


class Loop:
    """An event loop whose time comes when a test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_later(self, _seconds: float, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def later(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class _Thread:
    def is_alive(self) -> bool:
        return True


class Publisher:
    """In the place of ipykernel's IOPubThread and of the sockets that lead to it."""

    def __init__(self) -> None:
        self.io_loop = Loop()
        self.thread = _Thread()
        self.sent: list[list[bytes]] = []

    def schedule(self, call: Callable[[], None]) -> None:
        call()

    def send_multipart(self, parts: list[bytes], **_options: Any) -> None:
        self.sent.append(parts)


class Socket:
    """A socket that leads to no thread, such as that of the answers."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []

    def send_multipart(self, parts: list[bytes], **_options: Any) -> None:
        self.sent.append(parts)


def received(sent: list[list[bytes]], key: bytes = b"key") -> list[dict[str, Any]]:
    """What a client makes of it; a wrong signature raises."""
    reader = Session(key=key)
    return [reader.deserialize(parts[parts.index(DELIM) + 1 :]) for parts in sent]
