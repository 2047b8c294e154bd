"""A fetch that takes long shows a line, which the card replaces; an interrupt cancels the fetch. In a real kernel."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.demo import write_config

from ..doubles import loopback, raw_answer
from ..hearing import SECONDS
from .shells import RealKernel, real_kernel

LINE = "slow: fetching the token … (to cancel, interrupt the kernel)"


class Slow:
    """An API that answers when it is allowed to."""

    def __init__(self, kernel: RealKernel, allowed: threading.Event) -> None:
        self.kernel = kernel
        self.allowed = allowed

    def run(self, code: str, seen: threading.Event) -> list[tuple[str, str]]:
        """Run a cell; set `seen` when the line is there. Returns what was shown, and under which id."""

        def heard(message: dict[str, Any]) -> None:
            if message["kind"] == "display_data" and message["data"].get("text/plain") == LINE:
                seen.set()

        messages = self.kernel.run(code, heard)
        return [
            (message["data"]["text/plain"], message.get("transient", {}).get("display_id", ""))
            for message in messages
            if message["kind"] in {"display_data", "update_display_data"}
        ]


@pytest.fixture
def slow(config_dir: Path, tmp_path: Path) -> Iterator[Slow]:
    allowed = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        assert allowed.wait(SECONDS)
        connection.sendall(raw_answer(b'{"access_token": "c4n4ry-of-a-token", "expires_in": 3600}'))

    secret = tmp_path / "secret"
    secret.write_text("a-client-secret")
    secret.chmod(0o600)
    with loopback(answer) as api:
        settings = {"endpoint": api.url, "client_id": "a", "client_secret": f"file:{secret}", "timeout": SECONDS}
        write_config(config_dir, {"slow": {"provider": "oneaccess", "env": "SLOW", **settings}})
        with real_kernel() as kernel:
            yield Slow(kernel, allowed)
            allowed.set()


def test_a_line_is_shown_and_the_card_replaces_it(slow: Slow) -> None:
    (line, first), (card, second) = slow.run("%gettoken slow", slow.allowed)
    assert (line, first) == (LINE, second)
    assert first
    assert card.startswith("slow · Huawei Cloud OneAccess")


def test_a_quick_fetch_shows_the_card_alone(slow: Slow) -> None:
    slow.allowed.set()
    ((card, name),) = slow.run("%gettoken slow", threading.Event())
    assert (card.startswith("slow · "), name) == (True, "")


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
@pytest.mark.parametrize("code", ["%gettoken slow", "%%withtoken slow --var mine\n1"])
def test_an_interrupt_cancels_the_fetch(slow: Slow, code: str) -> None:
    class Interrupts(threading.Event):
        def set(self) -> None:
            slow.kernel.manager.interrupt_kernel()

    assert slow.run(code, Interrupts())[-1][0] == "slow: cancelled"
    (error,) = [message for message in slow.kernel.run("%gettoken nobody") if message["kind"] == "error"]
    assert error["ename"] == "UnknownProfile"
    slow.allowed.set()
    assert slow.run("%gettoken slow", threading.Event())[-1][0].startswith("slow · ")


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_an_interrupt_shows_no_code_of_ours(slow: Slow) -> None:
    def heard(message: dict[str, Any]) -> None:
        if message["kind"] == "display_data":
            slow.kernel.manager.interrupt_kernel()

    messages = slow.kernel.run("%gettoken slow", heard)
    (error,) = [message for message in messages if message["kind"] == "error"]
    assert (error["ename"], ".py" in json.dumps(error["traceback"])) == ("KeyboardInterrupt", False)
