"""Applies planned faults: replaces a correct response with a faulty response."""

from __future__ import annotations

import asyncio
import functools
import json
import zlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from .api import Api
from .faults import TOKEN_KINDS, Fault
from .messages import Request, Response
from .server import Connection

_CHUNK = 1 << 20
_HTML = b"<!DOCTYPE html><html><head><title>Please log in</title></head><body><h1>Please log in</h1></body></html>"


def broken(fault: Fault, api: Api, request: Request) -> Response:
    """Return the response to a call that is hit by the fault."""
    if fault.status is not None:
        return _with_status(fault, api, request, fault.status)
    if fault.kind == "throttle":
        wait = 1 if fault.retry_after is None else fault.retry_after
        return api.throttled(request).with_headers({**dict([api.retry_header(wait)]), **(fault.headers or {})})
    if fault.kind in TOKEN_KINDS:
        request.variant = fault.kind
        return api.answer(request)
    if fault.kind in _REPLACED:
        return _REPLACED[fault.kind](fault, request)
    # The other kinds change a correct response, or the way it is sent.
    right = api.answer(request)
    if fault.kind in _SPOILED:
        return _SPOILED[fault.kind](right)
    right.delivery = functools.partial(_DELIVERIES[fault.kind], fault)
    return right


def _with_status(fault: Fault, api: Api, request: Request, status: int) -> Response:
    bodiless = status in (204, 304)
    response = Response(status) if status < HTTPStatus.BAD_REQUEST else api.failure(request, status)
    if fault.body is not None and not bodiless:
        response.body = fault.body.encode("utf-8", "replace")
    headers = dict(fault.headers or {})
    if fault.retry_after is not None:
        headers = {**dict([api.retry_header(fault.retry_after)]), **headers}
    return response.with_headers(headers)


def _json(body: bytes) -> Response:
    return Response(200, body, [("Content-Type", "application/json")])


def _deep(_fault: Fault, _request: Request) -> Response:
    return _json(b'{"token":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def _redirect(fault: Fault, request: Request) -> Response:
    location = fault.location or f"https://elsewhere.invalid{request.target}"
    return Response(301, b"", [("Location", location)])


_REPLACED: dict[str, Callable[[Fault, Request], Response]] = {
    "html": lambda _fault, _request: Response(200, _HTML, [("Content-Type", "text/html; charset=utf-8")]),
    "garbage": lambda _fault, _request: _json(b"\x00\xff\xfe{{{ not JSON \x80" * 8),
    "empty": lambda _fault, _request: _json(b""),
    "deep": _deep,
    "redirect": _redirect,
}


def _wrong_types(value: Any) -> Any:
    """Replace each value with a value of another type, and keep the keys."""
    if isinstance(value, dict):
        return {name: _wrong_types(inner) for name, inner in value.items()}
    if isinstance(value, str):
        return {"text": 7}
    return "soon" if isinstance(value, int | float) else 7


def _with_wrong_types(right: Response) -> Response:
    right.body = json.dumps(_wrong_types(json.loads(right.body or b"{}"))).encode()
    return right


def _half(right: Response) -> Response:
    right.body = right.body[: len(right.body) // 2]
    return right


def _another_type(body: Any) -> Any:
    """Return the body with an undocumented token type or, if it names no token type, a token of another JSON type."""
    told = [name for name in ("token_type", "TokenType", "ApplicationTokenType", "type") if name in body]
    if told:
        return {**body, **dict.fromkeys(told, "application/x-other")}
    return {
        name: _another_type(value) if isinstance(value, dict) else [value] if name in ("token", "Token") else value
        for name, value in body.items()
    }


def _with_another_type(right: Response) -> Response:
    right.body = json.dumps(_another_type(json.loads(right.body or b"{}"))).encode()
    return right


_SPOILED: dict[str, Callable[[Response], Response]] = {
    "half-json": _half,
    "token-type": _with_another_type,
    "content-type": lambda right: right.with_headers({"Content-Type": "text/html; charset=utf-8"}),
    "wrong-types": _with_wrong_types,
}


async def _reset(_fault: Fault, _response: Response, wire: Connection) -> None:
    wire.reset()


async def _reset_mid(_fault: Fault, response: Response, wire: Connection) -> None:
    await wire.head(response, len(response.body))
    await wire.send(response.body[: len(response.body) // 2])
    # Wait until the first half is sent: the RST discards what has not been sent.
    await wire.idle(0.01)
    wire.reset()


async def _hang(_fault: Fault, _response: Response, wire: Connection) -> None:
    await wire.idle(None)


async def _hang_mid(_fault: Fault, response: Response, wire: Connection) -> None:
    await wire.head(response, len(response.body))
    await wire.idle(None)


async def _slow(fault: Fault, response: Response, wire: Connection) -> None:
    await wire.head(response, len(response.body))
    for place in range(len(response.body)):
        if place and not await wire.idle(fault.interval):
            return
        await wire.send(response.body[place : place + 1])


async def _truncated(_fault: Fault, response: Response, wire: Connection) -> None:
    await wire.head(response, len(response.body))
    await wire.send(response.body[: len(response.body) // 2])


async def _huge(fault: Fault, response: Response, wire: Connection) -> None:
    await wire.head(response, None)
    left, part = fault.bytes, b'{"token": "' + b"a" * (_CHUNK - 11)
    while left > 0:
        await wire.send(part[:left])
        left, part = left - len(part[:left]), b"a" * _CHUNK
    await wire.finish()


@functools.lru_cache(maxsize=2)
def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    whole, rest = divmod(size, _CHUNK)
    parts = [packer.compress(b'"' + b"a" * (_CHUNK - 1)) for _ in range(whole)]
    return b"".join([*parts, packer.compress(b"a" * rest), packer.flush()])


async def _gzip_bomb(fault: Fault, response: Response, wire: Connection) -> None:
    body = await asyncio.to_thread(_bomb, fault.bytes)
    await wire.head(response.with_headers({"Content-Encoding": "gzip"}), len(body))
    await wire.send(body)


_DELIVERIES: dict[str, Callable[[Fault, Response, Connection], Awaitable[None]]] = {
    "reset": _reset,
    "reset-mid": _reset_mid,
    "hang": _hang,
    "hang-mid": _hang_mid,
    "slow": _slow,
    "truncated": _truncated,
    "huge": _huge,
    "gzip-bomb": _gzip_bomb,
}
