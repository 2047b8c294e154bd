"""A server with ready answers and no checks, in a process of its own: it costs every client the same, and little."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ANSWERS = {
    "/api/v1/tokens": {"RequestId": "473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E", "Token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"},
    "/accounts/": {"type": "application/astra-token", "version": "1.0", "id": "822fab12-c224-4d1f-8118-5fb5d2def8b9"},
    "/v1/": {"token": "7211546f57cd432790643bb6612da19d"},
    "/api/v2/tenant/token": {"access_token": "334" + "a" * 40, "token_type": "Bearer", "expires_in": 1719},
    "/": {
        "RequestId": "0441BD79-92F3-53AA-8657-F8CE4A2B912A",
        "ApplicationToken": {
            "ApplicationToken": "SATF" + "w" * 120,
            "Status": "enabled",
            "ExpirationTime": 4102444800000,
        },
    },
}


def _answer(target: str) -> bytes:
    path = target.partition("?")[0]
    body = next(json.dumps(answer).encode() for start, answer in ANSWERS.items() if path.startswith(start))
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            _, _, length = head.partition("content-length:")
            if length:
                await reader.readexactly(int(length.split("\r\n")[0]))
            writer.write(_answer(head.split(" ")[1]))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def answering() -> Iterator[str]:
    """Its URL, while it runs."""
    with subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


if __name__ == "__main__":
    asyncio.run(_main())
