"""A small HTTP/1.1 server on asyncio streams and h11, for loopback only.

Tornado and http.server cannot be used: the official Alibaba SDK sends a complete URL in the header Host, and planned
faults need the raw connection (a TCP RST, half a response, a byte per second).
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from email.utils import formatdate

import h11

from .messages import Request, Response, json_response

_HOST = "127.0.0.1"
_MAX_HEAD, _MAX_BODY, _READ = 64 * 1024, 1024 * 1024, 64 * 1024
_REASONS = {status.value: status.phrase for status in http.HTTPStatus}
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_log = logging.getLogger("jupyter_tokens.sandbox")


class _TooLargeError(Exception):
    pass


class Server:
    """An HTTP server that calls `handle` for each request. Each connection has its own task."""

    def __init__(
        self, handle: Callable[[Request], Response], clock: Callable[[], float], ssl_context: ssl.SSLContext | None
    ) -> None:
        self._handle, self._clock, self._ssl = handle, clock, ssl_context
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._connections: set[asyncio.Task[None]] = set()
        self._interruption: asyncio.Future[None] | None = None

    async def start(self, port: int) -> str:
        """Bind to loopback only, and return the URL. Raises OSError if the port is taken."""
        self._stopping = False
        # reuse_port is off by default, so a taken port raises an error instead of being shared.
        self._server = await asyncio.start_server(self._connected, _HOST, port, ssl=self._ssl, backlog=512)
        return f"{'https' if self._ssl else 'http'}://{_HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Stop listening, and close all connections, including those that hang on purpose."""
        if self._server is not None:
            self._server.close()
            self._server, self._interruption, self._stopping = None, None, True
            for task in self._connections:
                task.cancel()
            # Not Server.wait_closed: since Python 3.12 it waits for clients that are still in the TLS handshake.
            await asyncio.gather(*self._connections)

    def interrupt(self) -> None:
        """End all current waits of connections that are slow or hang on purpose."""
        self.interruption().set_result(None)
        self._interruption = None

    def interruption(self) -> asyncio.Future[None]:
        """Return the future that `interrupt` completes to end the current waits. Later waits get a new future."""
        self._interruption = self._interruption or asyncio.get_running_loop().create_future()
        return self._interruption

    def date(self) -> str:
        """Return the current value of the Date header, by the sandbox's clock."""
        return formatdate(self._clock(), usegmt=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._stopping or task is None:
            return writer.transport.abort()  # The connection was accepted just before the server stopped.
        self._connections.add(task)
        connection = Connection(self, reader, writer)
        try:
            await connection.serve(self._handle)
        except asyncio.CancelledError:
            writer.transport.abort()  # Not raised again: `stop` cancelled this task, and nothing else waits for it.
        except OSError:
            _log.debug("a client disconnected")
        finally:
            connection.close()
            self._connections.discard(task)


class Connection:
    """One connection. To send a faulty response, a `Delivery` uses its public methods."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._interrupted: asyncio.Future[None] | None = None
        self._disconnected: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Close the connection, and stop waiting for the client to disconnect."""
        if self._disconnected is not None:
            self._disconnected.cancel()
        self._writer.close()

    async def serve(self, handle: Callable[[Request], Response]) -> None:
        """Serve one request after another until either side closes the connection."""
        while True:
            try:
                request = await self._read()
            except h11.RemoteProtocolError:
                return await self._refuse(400, f"The request is not HTTP/1.1, or its head exceeds {_MAX_HEAD} bytes.")
            except _TooLargeError:
                return await self._refuse(413, f"The body is larger than {_MAX_BODY} bytes.")
            if request is None:
                return None
            response = _answer(handle, request)
            if response.delivery is not None:
                self._interrupted = self._server.interruption()
                return await response.delivery(response, self)
            await self._reply(response, bodiless=request.method == "HEAD")
            if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
                return None
            self._h11.start_next_cycle()

    async def _read(self) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
                self._h11.receive_data(await self._reader.read(_READ))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MAX_BODY:
                    raise _TooLargeError
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
                return Request(head.method.decode("ascii"), head.target.decode("ascii"), headers, bytes(body))
            else:
                return None

    def _write(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._h11.send(event) or b"" for event in events))

    def _head(self, response: Response, framing: list[tuple[str, str]]) -> h11.Response:
        headers = [("Date", self._server.date()), *response.headers, *framing]
        reason = _REASONS.get(response.status, "").encode()
        return h11.Response(status_code=response.status, headers=headers, reason=reason)

    async def _reply(self, response: Response, *, bodiless: bool = False) -> None:
        framing = [] if response.status == http.HTTPStatus.NO_CONTENT else [("Content-Length", str(len(response.body)))]
        body = b"" if bodiless or response.status in (204, 304) else response.body
        self._write(self._head(response, framing), h11.Data(data=body), h11.EndOfMessage())
        await self._writer.drain()

    async def _refuse(self, status: int, message: str) -> None:
        await self._reply(json_response(status, {"message": message}, [("Connection", "close")]))

    async def head(self, response: Response, length: int | None) -> None:
        """Send the status line and headers. They announce a body of `length` bytes; None announces a chunked body."""
        chunked, sized = ("Transfer-Encoding", "chunked"), ("Content-Length", str(length))
        self._write(self._head(response, [chunked if length is None else sized]))
        await self._writer.drain()

    async def send(self, data: bytes) -> None:
        """Send a part of the body; wait if the client reads slowly."""
        self._write(h11.Data(data=data))
        await self._writer.drain()

    async def finish(self) -> None:
        """End a chunked body."""
        self._write(h11.EndOfMessage())
        await self._writer.drain()

    async def idle(self, seconds: float | None) -> bool:
        """Wait for `seconds` and return True; None waits for ever.

        Return False as soon as the client disconnects or the faults are cleared.
        """
        assert self._interrupted is not None
        self._disconnected = self._disconnected or asyncio.create_task(self._wait_for_disconnect())
        done, _ = await asyncio.wait(
            {self._disconnected, self._interrupted}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        return not done

    async def _wait_for_disconnect(self) -> None:
        with contextlib.suppress(OSError):
            while await self._reader.read(_READ):
                pass

    def reset(self) -> None:
        """Reset the connection (TCP RST)."""
        # With this linger option, the system closes the connection with a RST instead of a FIN.
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self._writer.transport.abort()


def _answer(handle: Callable[[Request], Response], request: Request) -> Response:
    try:
        return handle(request)
    except Exception as error:  # Otherwise the connection would end without a response.
        # Only the type is logged: the message of an exception may quote the request.
        _log.error("the sandbox itself failed: %s", type(error).__name__)
        return json_response(500, {"message": "the sandbox itself failed; this is not a vendor's response"})
