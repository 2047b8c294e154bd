"""The proxy's column: a vendor's own call comes back as the vendor answered it, or as an error; it is made once."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.base import http_status
from jupyter_tokens.server.vendor_proxy import CACHE_HEADER

from ..leaks import Leaks
from .cells import Planned
from .table import ROWS
from .vendor import BRIEF, MOST_BYTES, Vendor

API = "eiam"
Call = Callable[[Vendor], Awaitable[HTTPResponse]]


@pytest.fixture
def call(
    http_server_client: Any,
    jp_base_url: str,
    jp_auth_header: dict[str, str],
    extension: TokensExtension,
    leaks: Leaks,
    write_profiles: Callable[[dict[str, Any]], Path],
) -> Call:
    """Makes the vendor's own call through the proxy, while the vendor fails."""

    async def call(vendor: Vendor) -> HTTPResponse:
        profile = vendor.profile()
        write_profiles({API: profile})
        extension.source.expire_config()
        query = "&".join(f"{name}={value}" for name, value in profile["params"].items())
        with vendor.failing():
            answer: HTTPResponse = await http_server_client.fetch(
                f"{jp_base_url}jupyter-tokens/proxy/{API}/?{query}",
                method="POST",
                body=b"",
                headers=jp_auth_header,
                raise_error=False,
                follow_redirects=False,
                request_timeout=300,
            )
        if answer.code >= 400:
            leaks.told(f"body of {answer.code}", answer.body.decode(errors="replace"))
        return answer

    return call


async def test_each_fault_through_the_proxy(call: Call, tmp_path: Path) -> None:
    seen, expected = {}, {}
    for number, row in enumerate(ROWS):
        with Vendor(API, row.fault, time.time, tmp_path / str(number)).serving() as vendor:
            began = time.monotonic()
            answer = await call(vendor)
            assert time.monotonic() - began < 60 * BRIEF, row.title
        if isinstance(row.proxy, int):
            seen[row.title] = answer.code, answer.headers.get(CACHE_HEADER), vendor.calls
            expected[row.title] = row.proxy, "pass", 1
        else:
            error = row.proxy("")
            seen[row.title] = answer.code, json.loads(answer.body)["reason"], vendor.calls
            expected[row.title] = http_status(error), error.reason, min(row.gets.calls, 1)
    assert seen == expected


@pytest.mark.parametrize("kind", ["huge", "gzip-bomb"])
async def test_a_large_answer_is_not_kept_in_memory(call: Call, tmp_path: Path, kind: str) -> None:
    with Vendor(API, Planned("500"), time.time, tmp_path / "right").serving() as vendor:
        # What is loaded at first use is loaded.
        assert (await call(vendor)).code == 500
    with Vendor(API, Planned(kind), time.time, tmp_path / "wrong").serving() as vendor:
        tracemalloc.start()
        try:
            assert (await call(vendor)).code == 502
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < MOST_BYTES
