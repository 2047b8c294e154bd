"""What stands in for the world: a clock that tests own, scripted answers, servers that misbehave on purpose."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import httpx

from jupyter_tokens.providers.base import Flow
from jupyter_tokens.token import Token

_T = TypeVar("_T")

NOW = 1_768_465_800.0
"""2026-01-15T08:30:00Z, the date of the recorded vectors."""
CANARY = "c4n4ry-5ecr3t-v4lue"
VECTORS = Path(__file__).parent / "vectors"


class Clock:
    """Two clocks that stand still until a test moves them."""

    def __init__(self) -> None:
        self.wall = NOW
        self.ticks = 1000.0
        self.looks = 0

    def now(self) -> float:
        return self.wall

    def elapsed(self) -> float:
        self.looks += 1
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


def vector(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return data


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    """An answer in JSON; header names with underscores for hyphens."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, str | bytes):
        return httpx.Response(status, content=body, headers=given)
    return httpx.Response(status, json=body, headers=given)


def drive(flow: Flow, *answers: httpx.Response) -> tuple[list[httpx.Request], Token]:
    """Runs a flow against these answers; raises what it raises."""
    requests: list[httpx.Request] = []
    left = list(answers)
    try:
        requests.append(next(flow))
        while True:
            requests.append(flow.send(left.pop(0)))
    except StopIteration as stop:
        assert not left, "more answers than requests"
        return requests, stop.value


class Script(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A vendor who answers from a list, and keeps the requests as they were. An exception in the list is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        return self._answer(request, b"".join(request.stream))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return self._answer(request, b"".join([part async for part in request.stream]))

    def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        kept = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        kept.extensions = request.extensions
        self.requests.append(kept)
        following = self.answers.pop(0)
        if isinstance(following, Exception):
            raise following
        return following


@dataclass
class Loopback:
    """A server on a real socket that does to a connection whatever a test wants."""

    url: str
    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: SimpleQueue[None] = field(default_factory=SimpleQueue)
    """An item for each connection that has ended."""


def read_head(connection: socket.socket) -> bytes:
    """The request up to the empty line and, by its length, the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    chunked = b"transfer-encoding: chunked" in head.lower()
    while (not body.endswith(b"0\r\n\r\n")) if chunked else len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            return b""  # The client has gone in the middle of its request.
        body += chunk
    return head + b"\r\n\r\n" + body


@contextmanager
def loopback(
    handle: Callable[[socket.socket, bytes], None], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Loopback]:
    """Serves until the block ends; `handle` gets the socket and one request, again and again while it comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    served = Loopback(f"{'https' if tls else 'http'}://{host}:{port}", port)
    threads: list[threading.Thread] = []
    opened: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if tls is None:
                talk(connection)
            else:
                with tls.wrap_socket(connection, server_side=True) as secured:
                    talk(secured)
        served.ended.put(None)

    def talk(connection: socket.socket) -> None:
        while request := read_head(connection):
            served.requests.append(request)
            handle(connection, request)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            served.connections += 1
            opened.append(connection)
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield served
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        # Only then are all that were accepted in `opened`.
        acceptor.join()
        listener.close()
        for connection in opened:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def raw_answer(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def together(times: int, work: Callable[[], _T]) -> list[_T]:
    """Calls `work` on as many threads at the same moment; what each of them returned."""
    barrier = threading.Barrier(times)

    def begin(_number: int) -> _T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(begin, range(times)))


def told(error: BaseException) -> str:
    """All that a verbose traceback, a log and a person could see of an error."""
    seen = traceback.TracebackException.from_exception(error, capture_locals=True)
    # A test knows its own canary.
    here = str(Path(__file__).parent)
    seen.stack = traceback.StackSummary.from_list([f for f in seen.stack if not f.filename.startswith(here)])
    return "".join(seen.format()) + repr(error) + str(error) + repr(vars(error)) + repr(error.args)
