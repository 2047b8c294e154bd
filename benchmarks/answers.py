"""A server with ready answers and no checks, in a process of its own: it costs every client the same, and little.

Below `/delay-50/` each answer takes 50 ms. Below `/life-60-delay-20/` it is the token endpoint of the libraries in
`beside.py`: its tokens live for 60 seconds from the client's `x-now`, and take 20 ms to make. `/calls` returns how many
it has made.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from .served import telling

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
AUTHORITY = "https://authority.example"
"""What msal and azure-identity are told instead of this server's address, since they take https alone."""

_TENANT = re.compile(r"/life-(\d+)-delay-(\d+)/(.*)")
_DELAYED = re.compile(r"/delay-(\d+)(/.*)")
_made: list[str] = []


def _ready(path: str) -> dict[str, Any]:
    if path == "/calls":
        return {"calls": len(_made)}
    return next(answer for start, answer in ANSWERS.items() if path.startswith(start))


async def _token(path: str, life: int, delay: int, rest: str, now: float) -> dict[str, Any]:
    if rest.endswith("openid-configuration"):
        tenant = f"{AUTHORITY}{path.removesuffix(rest)}"
        return {"issuer": tenant, "authorization_endpoint": f"{tenant}authorize", "token_endpoint": f"{tenant}token"}
    ends = now + life
    # The value tells its own end, so that who gets it sees how long it has to live.
    value = f"{len(_made)}-{ends:.0f}"
    _made.append(value)
    await asyncio.sleep(delay / 1000)
    if rest == "container":
        until = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"AccessKeyId": "AKIABENCHMARK", "SecretAccessKey": "benchmark", "Token": value, "Expiration": until}
    return {"access_token": value, "token_type": "Bearer", "expires_in": life}


async def _answer(head: str) -> bytes:
    path = head.split(" ")[1].partition("?")[0]
    delayed = _DELAYED.fullmatch(path)
    if delayed is not None:
        await asyncio.sleep(int(delayed[1]) / 1000)
        path = delayed[2]
    tenant = _TENANT.fullmatch(path)
    if tenant is None:
        told = _ready(path)
    else:
        now = float(head.partition("x-now:")[2].split("\r\n")[0])
        told = await _token(path, int(tenant[1]), int(tenant[2]), tenant[3], now)
    body = json.dumps(told).encode()
    answer = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return answer.encode() + body


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            _, _, length = head.partition("content-length:")
            if length:
                await reader.readexactly(int(length.split("\r\n")[0]))
            writer.write(await _answer(head))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def answering() -> Iterator[str]:
    """Its URL, while it runs."""
    with telling([__name__]) as port:
        yield f"http://127.0.0.1:{port.strip()}"


if __name__ == "__main__":
    asyncio.run(_main())
