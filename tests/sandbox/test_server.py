"""The HTTP server: loopback only, keep-alive, limits, TLS, and what it does with nonsense."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sandbox.messages import Response
from jupyter_tokens.sandbox.server import Server

from .client import SECRETS, Clock, acs3, address, call, eiam, login, oneaccess, raw_request, read_answer, send
from .test_astra import astra


def test_it_serves_on_loopback_only(url: str) -> None:
    assert address(url)[0] == "127.0.0.1"


def test_a_taken_port_is_an_error_and_a_freed_one_is_not() -> None:
    with running() as first:
        port = address(first.url)[1]
        with pytest.raises(OSError), running(port=port):
            raise AssertionError
    with running(port=port) as second:
        assert address(second.url)[1] == port


def test_it_can_stop_without_having_started_and_start_again() -> None:
    async def run() -> None:
        sandbox = Sandbox()
        await sandbox.stop()
        sandbox.clear_faults()
        for _ in range(2):
            await sandbox.start()
            reader, writer = await asyncio.open_connection(*address(sandbox.url))
            writer.write(b"GET /_sandbox/requests HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            await sandbox.stop()
            writer.close()

    asyncio.run(run())


def test_a_connection_accepted_just_before_the_end_is_ended() -> None:
    async def run() -> bytes:
        server = Server(lambda _request: Response(204), lambda: 0.0, None)
        await server.start(0)
        await server.stop()
        # What asyncio does with a connection that it had accepted but not yet handed over.
        late = await asyncio.start_server(server._connected, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*late.sockets[0].getsockname())
        try:
            return await reader.read()
        finally:
            writer.close()
            late.close()

    assert asyncio.run(run()) == b""


def test_a_connection_is_kept_and_pipelining_works(url: str) -> None:
    get = b"GET /_sandbox/requests HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(address(url), timeout=300) as sock:
        for _ in range(3):
            sock.sendall(get)
            assert read_answer(sock).status == 200
        sock.sendall(get + b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        seen = b""
        while part := sock.recv(65536):
            seen += part
    assert seen.count(b"HTTP/1.1 200 OK") == 1
    assert seen.count(b"HTTP/1.1 404 Not Found") == 1
    assert seen.count(b"Date: Thu, 15 Jan 2026 08:30:00 GMT") == 2


def test_the_date_follows_the_sandboxs_clock(sandbox: Sandbox, clock: Clock) -> None:
    clock.now += 61
    assert call(sandbox.url, "GET", "/nowhere").headers["date"] == "Thu, 15 Jan 2026 08:31:01 GMT"


def test_head_has_no_body(url: str) -> None:
    answer = call(url, "HEAD", "/_sandbox/requests")
    assert (answer.status, answer.body) == (404, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_client_that_waits_for_100_gets_it(url: str) -> None:
    body = b"[]"
    headers = {"Host": "x", "Expect": "100-continue", "Content-Length": str(len(body))}
    with socket.create_connection(address(url), timeout=300) as sock:
        sock.sendall(raw_request("POST", "/_sandbox/faults", headers))
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(body)
        assert read_answer(sock).status == 201


@pytest.mark.parametrize(
    "raw",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
    ],
    ids=["words", "no-host", "two-hosts", "endless-head", "length"],
)
def test_what_is_not_http_is_refused(url: str, raw: bytes) -> None:
    answer = send(url, raw)
    assert answer.status in (400, 431)
    assert answer.headers["connection"] == "close"


def test_nonsense_after_a_right_request_ends_the_connection(url: str) -> None:
    with socket.create_connection(address(url), timeout=300) as sock:
        sock.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n\x00\x00\x00\r\n\r\n")
        seen = b""
        while part := sock.recv(65536):
            seen += part
    assert seen.startswith(b"HTTP/1.1 404 ")


def test_a_request_that_breaks_off_gets_no_answer_of_an_api(sandbox: Sandbox) -> None:
    with socket.create_connection(address(sandbox.url), timeout=300) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        sock.shutdown(socket.SHUT_WR)
        assert read_answer(sock).status == 400
    assert sandbox.requests["eiam"] == 0


def test_a_body_beyond_the_limit_is_refused(url: str) -> None:
    head = b"POST /_sandbox/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"
    assert send(url, head + b" " * 1_048_577).status == 413


def test_utf8_in_a_header_is_taken_as_it_is(url: str) -> None:
    assert call(url, "GET", "/_sandbox/whoami", {"Authorization": "Bearer é"}).status == 401


def test_a_client_that_resets_does_no_harm(url: str) -> None:
    with socket.create_connection(address(url), timeout=300) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert call(url, "GET", "/_sandbox/requests").status == 200


def test_a_failure_of_its_own_is_a_500_without_details(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]

    def clock() -> float:
        if now[0] > 1:
            now[0] = 0.0
            raise RuntimeError("secret-value")
        return now[0]

    with running(clock=clock) as sandbox, caplog.at_level(logging.DEBUG, logger="jupyter_tokens.sandbox"):
        now[0] = 2.0
        answer = oneaccess(
            sandbox.url,
            client_id=next(iter(sandbox.accounts.oneaccess)),
            client_secret=next(iter(sandbox.accounts.oneaccess.values())),
        )
    assert answer.status == 500
    assert "not a vendor's response" in answer.json()["message"]
    assert "RuntimeError" in caplog.text
    assert "secret-value" not in caplog.text


def test_the_log_holds_no_secret(
    accounts: Accounts, clock: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), running(accounts=accounts, clock=clock) as sandbox:
        issued = [
            login(sandbox.url).headers["x-subject-token"],
            oneaccess(sandbox.url).json()["access_token"],
            acs3(sandbox.url, query={"TargetId": "in-the-query"}).json()["Token"],
        ]
        astra(sandbox.url)
        eiam(sandbox.url, {})
        oneaccess(sandbox.url, client_secret="wrong-secret")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("jupyter_tokens")]
    assert "oneaccess answered 200" in ours
    for text in (*SECRETS, *issued, "wrong-secret", "in-the-query", "SDK-HMAC", "ACS3"):
        assert text not in "\n".join(ours)
