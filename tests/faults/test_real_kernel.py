"""One column of the table in a real kernel: what a cell shows that asks for a token, while its API fails."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.sources import upstream
from jupyter_tokens.transport import Transport

from ..leaks import Leaks
from ..sampling import long
from ..server.kernels import Client, started
from .cells import Row
from .table import ROWS
from .vendor import Vendor

API = "eiam"
"""Whose answers say most: an expiry, codes and request ids."""


class Cells:
    """A kernel of the server's, in which cells are run; it has no profiles but the server's."""

    def __init__(self, kernel: Client, leaks: Leaks) -> None:
        self._kernel = kernel
        self._leaks = leaks

    async def get(self, *options: str) -> tuple[str, str]:
        """How a cell ends that gets the token, "token" or the name of an error, and what such a cell shows."""
        cell = " ".join(("%gettoken", API, "--once", *options))
        # Or what comes while the kernel still ends the failed cell is aborted.
        reply = await self._kernel.reply(self._kernel.begin(cell, stop_on_error=False))
        if reply["status"] == "ok":
            return "token", ""
        self._leaks.told("reply", json.dumps(reply))
        return reply["ename"], "\n".join(reply["traceback"])

    async def print(self, code: str) -> str:
        return (await self._kernel.run(code)).strip()


def write(profile: dict[str, Any], extension: TokensExtension) -> None:
    file = Path(os.environ["JUPYTER_CONFIG_DIR"]) / "jupyter_tokens_config.json"
    # "server": what the server does not get, the kernel does not get by itself.
    file.write_text(json.dumps({"TokenProfiles": {"mode": "server", "profiles": {API: profile}}}))
    file.chmod(0o600)
    extension.source.expire_config()


async def check(row: Row, vendor: Vendor, cells: Cells) -> tuple[str, int, str, int]:
    """How the cell ends, and the calls; when nothing is held, and when something is."""
    expected = row.of(API)
    with vendor.failing():
        ended, shown = await cells.get()
    calls = vendor.calls
    for part in (expected.hint, expected.code or "", "request id" if expected.request_id else ""):
        assert part in shown, row.title
    assert "Traceback" not in shown
    assert (await cells.get())[0] == "token", row.title

    await cells.print(f"before = get_token('{API}')")
    since = vendor.calls
    with vendor.failing():
        again, _ = await cells.get("--refresh")
        # What is held goes on being served.
        assert await cells.print(f"print(get_token('{API}') is before)") == str(expected.error is not None), row.title
    return ended, calls, again, vendor.calls - since


@long
async def test_each_fault_in_a_real_kernel(
    jp_serverapp: Any,
    http_server_client: Any,
    extension: TokensExtension,
    leaks: Leaks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "Transport", partial(Transport, sleep=lambda _: None))
    await extension._start_jupyter_server_extension(jp_serverapp)
    seen, expected = {}, {}
    async with started(jp_serverapp) as kernel:
        cells = Cells(kernel, leaks)
        assert not await cells.print("%load_ext jupyter_tokens\nfrom jupyter_tokens import get_token")
        for number, row in enumerate(ROWS):
            with Vendor(API, row.fault, time.time, tmp_path / str(number)).serving() as vendor:
                write(vendor.profile(), extension)
                await cells.print(f"%deltoken {API}")
                seen[row.title] = await check(row, vendor, cells)
            gets = row.of(API)
            ended = gets.error.__name__ if gets.error else "token"
            expected[row.title] = (ended, gets.calls, ended, gets.calls)
    assert seen == expected
