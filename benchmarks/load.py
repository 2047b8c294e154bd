"""Clients that ask a server one request after the other on kept connections, and the rate and median they see."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Seen(NamedTuple):
    """What clients saw. each : seconds of the server's time per request (1 / rate).

    p50, p99 : seconds within which so many of a hundred had their answer.
    """

    each: float
    p50: float
    p99: float


async def _client(port: int, request: bytes, until: float, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    until = max(until, time.perf_counter() + 0.001)
    began = time.perf_counter()
    while began < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        ended = time.perf_counter()
        taken.append(ended - began)
        began = ended
    writer.close()


async def _clients(port: int, request: bytes, clients: int, seconds: float) -> Seen:
    taken: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(_client(port, request, began + seconds, taken) for _ in range(clients)))
    each = (time.perf_counter() - began) / len(taken)
    return Seen(each, statistics.median(taken), sorted(taken)[math.ceil(0.99 * len(taken)) - 1])


def interleaved(
    port: int, asked: Mapping[str, bytes], rounds: int, clients: Sequence[int], seconds: float
) -> dict[tuple[str, int], list[Seen]]:
    """What clients see of each request in so many seconds, by its name and their number; every answer has to be 200."""
    taken: dict[tuple[str, int], list[Seen]] = {(name, count): [] for count in clients for name in asked}
    for what in asked.values():
        asyncio.run(_clients(port, what, 5, 0.3))
    for _ in range(rounds):
        for (name, count), seen in taken.items():
            seen.append(asyncio.run(_clients(port, asked[name], count, seconds)))
    return taken


def request(method: str, path: str, token: str) -> bytes:
    """A request with a Jupyter server's token and without a body."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {token}\r\n"
    return f"{head}Content-Length: 0\r\n\r\n".encode()
