"""Runs the service on a port, a unix socket, or both, until it is stopped or the hub that started it has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket

from .app import TokenService

__all__ = ["BindAddress", "serve"]

_PARENT_SECONDS = 1.0
_MAX_BYTES = 2**20
"""Size limit of a request's body, in bytes, for all routes. The routes with JSON have a smaller limit."""


class BindAddress(NamedTuple):
    """Where the service listens.

    Attributes
    ----------
    ip : str
        Address to listen on.
    port : int or None
        The port; 0 for any free port, None for no port.
    path : str
        Path of a unix socket, or "".
    prefix : str
        The path before the routes, with a slash at both ends.
    """

    ip: str
    port: int | None
    path: str
    prefix: str


async def serve(
    service: TokenService, address: BindAddress, *, managed: bool, ready: Callable[[list[str]], None]
) -> None:
    """Serve until SIGINT or SIGTERM or, if `managed`, until the hub has ended.

    Parameters
    ----------
    service : TokenService
        The service to run.
    address : BindAddress
        Where the service listens.
    managed : bool
        Whether the hub started this process. Then this process ends soon after the hub, and lets other processes listen
        on its port: a restarted hub may start the next process before this process has ended.
    ready : callable
        Called with the URLs as soon as requests are answered.

    Raises
    ------
    OSError
        The port or the socket cannot be opened.
    TokenError
        The token store's URL or keys are missing or invalid.
    """
    parent = os.getppid()
    server = HTTPServer(service.application(address.prefix), max_body_size=_MAX_BYTES)
    urls = []
    if address.port is not None:
        sockets = bind_sockets(address.port, address.ip, family=socket.AF_UNSPEC, reuse_port=managed)
        server.add_sockets(sockets)
        urls += [f"http://{address.ip}:{sockets[0].getsockname()[1]}{address.prefix}"]
    if address.path:
        # All users of the machine may connect, because each request has to contain a token or a proof. The mode of the
        # folder limits which users can create a socket in it.
        server.add_socket(bind_unix_socket(address.path, mode=0o666))
        urls += [f"http+unix://{quote(address.path, safe='')}{address.prefix}"]
    ready(urls)
    try:
        await _wait_for_stop(parent if managed else None)
    finally:
        server.stop()
        await server.close_all_connections()
        service.close()


async def _wait_for_stop(parent: int | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set() and parent in {None, os.getppid()}:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), None if parent is None else _PARENT_SECONDS)
