"""Runs the service: on a port, on a unix socket, or on both, until it is told to end or its parent has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket

from .app import TokenService

__all__ = ["Place", "serve"]

_PARENT_SECONDS = 1.0
_MOST_BYTES = 2**20
"""Of a body, before anything looks at it; the routes themselves take less."""


class Place(NamedTuple):
    """Where the service answers.

    ip, port : None if not on a port; 0 takes a free one. path : of a unix socket, or "". prefix : of the routes.
    """

    ip: str
    port: int | None
    path: str
    prefix: str


async def serve(service: TokenService, place: Place, *, managed: bool, ready: Callable[[list[str]], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Parameters
    ----------
    service : TokenService
        What is served.
    place : Place
        Where.
    managed : bool
        Whether the hub started this process: then it ends when the hub has gone, and a restarted hub can start the
        next one before this one has noticed.
    ready : callable
        Called with the URLs when requests are answered.

    Raises
    ------
    OSError
        If the port or the socket cannot be had.
    """
    parent = os.getppid()
    server = HTTPServer(service.application(place.prefix), max_body_size=_MOST_BYTES)
    urls = []
    if place.port is not None:
        sockets = bind_sockets(place.port, place.ip, family=socket.AF_UNSPEC, reuse_port=managed)
        server.add_sockets(sockets)
        urls += [f"http://{place.ip}:{sockets[0].getsockname()[1]}{place.prefix}"]
    if place.path:
        # Everybody may connect: who asks is known by the token. The folder decides who may put a socket there.
        server.add_socket(bind_unix_socket(place.path, mode=0o666))
        urls += [f"http+unix://{quote(place.path, safe='')}{place.prefix}"]
    ready(urls)
    try:
        await _until_told(parent if managed else None)
    finally:
        server.stop()
        await server.close_all_connections()
        service.close()


async def _until_told(parent: int | None) -> None:
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    while not told.is_set() and parent in {None, os.getppid()}:
        try:
            await asyncio.wait_for(told.wait(), None if parent is None else _PARENT_SECONDS)
        except TimeoutError:
            continue
