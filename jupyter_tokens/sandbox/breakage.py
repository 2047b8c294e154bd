"""Applies planned faults: replaces a correct response with a faulty response."""

from __future__ import annotations

import asyncio
import functools
import json
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from .api import Api
from .faults import TOKEN_KINDS, Fault
from .messages import Request, Response
from .server import Connection

_CHUNK = 1 << 20
_HTML = "text/html; charset=utf-8"
_PAGE = b"<!DOCTYPE html><html><head><title>Please log in</title></head><body><h1>Please log in</h1></body></html>"
_JSON = "application/json"
_REPLACED = {
    "html": (_HTML, _PAGE),
    "garbage": (_JSON, b"\x00\xff\xfe{{{ not JSON \x80" * 8),
    "empty": (_JSON, b""),
    "deep": (_JSON, b'{"token":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}
"""The Content-Type and the body of responses that have nothing to do with the request."""


def faulty_response(fault: Fault, api: Api, request: Request) -> Response:
    """Return the response to a call that is hit by the fault."""
    if fault.status is not None:
        return _with_status(fault, api, request, fault.status)
    if fault.kind == "throttle":
        wait = 1 if fault.retry_after is None else fault.retry_after
        return api.throttled(request).with_headers({**api.retry_header(wait), **(fault.headers or {})})
    if fault.kind in TOKEN_KINDS:
        request.variant = fault.kind
        return api.answer(request)
    if fault.kind in _REPLACED:
        media, body = _REPLACED[fault.kind]
        return Response(200, body, [("Content-Type", media)])
    if fault.kind == "redirect":
        location = fault.location or f"https://elsewhere.invalid{request.target}"
        return Response(301, b"", [("Location", location)])
    # The other kinds change a correct response, or the way it is sent.
    response = api.answer(request)
    if fault.kind in _REWRITTEN:
        response.body = json.dumps(_REWRITTEN[fault.kind](json.loads(response.body or b"{}"))).encode()
    elif fault.kind == "half-json":
        response.body = response.body[: len(response.body) // 2]
    elif fault.kind == "content-type":
        response = response.with_headers({"Content-Type": _HTML})
    else:
        response.delivery = functools.partial(_deliver, fault)
    return response


def _with_status(fault: Fault, api: Api, request: Request, status: int) -> Response:
    response = Response(status) if status < HTTPStatus.BAD_REQUEST else api.failure(request, status)
    if fault.body is not None and status not in (204, 304):
        response.body = fault.body.encode("utf-8", "replace")
    wait = {} if fault.retry_after is None else api.retry_header(fault.retry_after)
    return response.with_headers({**wait, **(fault.headers or {})})


def _wrong_types(value: Any) -> Any:
    """Replace each value with a value of another type, and keep the keys."""
    if isinstance(value, dict):
        return {name: _wrong_types(inner) for name, inner in value.items()}
    if isinstance(value, str):
        return {"text": 7}
    return "soon" if isinstance(value, int | float) else 7


def _another_type(body: Any) -> Any:
    """Return the body with an undocumented token type or, if it names no token type, a token of another JSON type."""
    fields = [name for name in ("token_type", "TokenType", "ApplicationTokenType", "type") if name in body]
    if fields:
        return {**body, **dict.fromkeys(fields, "application/x-other")}
    return {
        name: _another_type(value) if isinstance(value, dict) else [value] if name in ("token", "Token") else value
        for name, value in body.items()
    }


_REWRITTEN: dict[str, Callable[[Any], Any]] = {"token-type": _another_type, "wrong-types": _wrong_types}


async def _deliver(fault: Fault, response: Response, connection: Connection) -> None:
    """Send a response in a faulty way."""
    if fault.kind == "gzip-bomb":
        response.body = await asyncio.to_thread(_bomb, fault.bytes)
        response = response.with_headers({"Content-Encoding": "gzip"})
    body, half = response.body, response.body[: len(response.body) // 2]
    if fault.kind not in ("reset", "hang"):
        await connection.head(response, None if fault.kind == "huge" else len(body))
    match fault.kind:
        case "reset":
            connection.reset()
        case "reset-mid":
            await connection.send(half)
            # Wait until the first half is sent: the RST discards what has not been sent.
            await connection.idle(0.01)
            connection.reset()
        case "truncated":
            await connection.send(half)
        case "slow":
            await connection.send(body[:1])
            for index in range(1, len(body)):
                if not await connection.idle(fault.interval):
                    break
                await connection.send(body[index : index + 1])
        case "gzip-bomb":
            await connection.send(body)
        case "huge":
            await _send_huge(fault.bytes, connection)
        case _:  # hang and hang-mid
            await connection.idle(None)


async def _send_huge(size: int, connection: Connection) -> None:
    left, part = size, b'{"token": "' + b"a" * (_CHUNK - 11)
    while left > 0:
        await connection.send(part[:left])
        left, part = left - len(part[:left]), b"a" * _CHUNK
    await connection.finish()


@functools.lru_cache(maxsize=2)
def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    full, rest = divmod(size, _CHUNK)
    parts = [packer.compress(b'"' + b"a" * (_CHUNK - 1)) for _ in range(full)]
    return b"".join([*parts, packer.compress(b"a" * rest), packer.flush()])
