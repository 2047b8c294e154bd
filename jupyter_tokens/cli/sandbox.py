"""`jupyter tokens sandbox`: serves the sandbox in the foreground."""

from __future__ import annotations

import asyncio
import json
import math
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime

from traitlets import Bool, Float, Integer, Unicode

from ..sandbox import Accounts, Sandbox
from .command import CommandApp

__all__ = ["SandboxApp"]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


class _WrongUsageError(Exception):
    pass


class SandboxApp(CommandApp):
    """Serve until SIGINT or SIGTERM; print one JSON line with the URL and profiles when ready."""

    name = "jupyter-tokens-sandbox"
    description = "Serve imitations of the token APIs on loopback, as strict as the real APIs, for demos and tests."
    examples = "jupyter tokens sandbox --port 8899 --life 60"

    port = Integer(0, min=0, max=65535, help="Port to serve on; 0, the default, takes a free one.").tag(
        config=True, alias="port"
    )
    accounts = Unicode("", help="JSON file with accounts; by default, random ones are created.").tag(
        config=True, alias="accounts"
    )
    clock = Unicode("", help="Freeze the clock at this time in UTC (2026-01-15T08:30:00Z); by default it runs.").tag(
        config=True, alias="clock"
    )
    life = Float(None, allow_none=True, help="Longest lifetime of tokens in seconds; by default the vendor's.").tag(
        config=True, alias="life"
    )
    lock_after = Integer(
        None,
        min=1,
        allow_none=True,
        help="Lock a Huawei AK after this many failures in a row; by default never.",
    ).tag(config=True, alias="lock-after")
    reuse = Bool(default_value=False, help="Make OneAccess return a token again while it is valid.").tag(
        config=True, flag="reuse"
    )

    def start(self) -> None:
        """Serve; exit with 2 for wrong usage and 1 if the port cannot be used."""
        super().start()
        try:
            sandbox = self._sandbox()
        except _WrongUsageError as error:
            self.fail(2, str(error))
        try:
            asyncio.run(self._serve(sandbox))
        except OSError as error:
            self.fail(1, f"cannot serve on port {self.port}: {error.strerror or error}; choose another with --port")

    def _sandbox(self) -> Sandbox:
        if self.extra_args:
            raise _WrongUsageError(f"takes no arguments, but was given {self.extra_args[0]!r}; see --help")
        if self.life is not None and not (math.isfinite(self.life) and self.life > 0):
            raise _WrongUsageError("--life must be a number of seconds above 0")
        try:
            accounts = Accounts.from_file(self.accounts) if self.accounts else Accounts.random()
        except (OSError, ValueError) as error:
            raise _WrongUsageError(f"--accounts: {error}") from None
        return Sandbox(accounts, clock=_clock(self.clock), life=self.life, reuse=self.reuse, lock_after=self.lock_after)

    async def _serve(self, sandbox: Sandbox) -> None:
        stopping = asyncio.Event()
        _on_signals(asyncio.get_running_loop(), stopping.set)
        await sandbox.start(port=self.port)
        try:
            with tempfile.TemporaryDirectory(prefix="jupyter-tokens-sandbox-") as secrets_dir:
                profiles = {**sandbox.profiles(secrets_dir), **sandbox.neighbours(secrets_dir)}
                ready = {"url": sandbox.url, "profiles": profiles}
                sys.stdout.write(json.dumps(ready) + "\n")
                sys.stdout.flush()
                await stopping.wait()
        finally:
            await sandbox.stop()


def _clock(instant: str) -> Callable[[], float]:
    if not instant:
        return time.time
    try:
        if not _INSTANT.fullmatch(instant):
            raise ValueError
        moment = datetime.fromisoformat(instant).timestamp()
    except ValueError:
        raise _WrongUsageError(f"--clock must be a time in UTC like 2026-01-15T08:30:00Z, not {instant!r}") from None
    return lambda: moment


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    def handle(*_: object) -> None:
        # A second Ctrl-C may come after the loop has ended.
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop)

    for number in (signal.SIGINT, signal.SIGTERM):
        # Not the loop's add_signal_handler, because Windows lacks it.
        signal.signal(number, handle)
