"""`jupyter tokens sandbox`: serves the sandbox in the foreground."""

from __future__ import annotations

import math
import re
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import datetime

from traitlets import Bool, Float, Integer, Unicode

from ..sandbox import Accounts, Sandbox, running
from .command import Action
from .terminal import POLL_SECONDS, record_signals, write_json

__all__ = ["SandboxApp"]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


class SandboxApp(Action):
    """Serve until SIGINT or SIGTERM; print one JSON line with the URL and profiles when ready."""

    name = "jupyter-tokens-sandbox"
    description = "Serve imitations of the token APIs on loopback, as strict as the real APIs, for demos and tests."
    examples = "jupyter tokens sandbox --port 8899 --life 60"

    port = Integer(0, min=0, max=65535, help="Port to serve on; 0, the default, takes a free one.").tag(alias="port")
    accounts = Unicode("", help="JSON file with accounts; by default, random ones are created.").tag(alias="accounts")
    clock = Unicode("", help="Freeze the clock at this time in UTC (2026-01-15T08:30:00Z); by default it runs.").tag(
        alias="clock"
    )
    life = Float(None, allow_none=True, help="Longest lifetime of tokens in seconds; by default the vendor's.").tag(
        alias="life"
    )
    lock_after = Integer(
        None,
        min=1,
        allow_none=True,
        help="Lock a Huawei AK after this many failures in a row; by default never.",
    ).tag(alias="lock-after")
    reuse = Bool(default_value=False, help="Make OneAccess return the same token while it is valid.").tag(flag="reuse")

    def run(self) -> int:
        self.refuse_arguments()
        if self.life is not None and not (math.isfinite(self.life) and self.life > 0):
            self.fail(2, "--life must be a number of seconds above 0")
        try:
            accounts = Accounts.from_file(self.accounts) if self.accounts else Accounts.random()
        except (OSError, ValueError) as error:
            self.fail(2, f"--accounts: {error}")
        clock = self._frozen() if self.clock else time.time
        sandbox = Sandbox(accounts, clock=clock, life=self.life, reuse=self.reuse, lock_after=self.lock_after)
        try:
            with (
                record_signals([signal.SIGINT, signal.SIGTERM]) as signals,
                running(sandbox, port=self.port),
                tempfile.TemporaryDirectory(prefix="jupyter-tokens-sandbox-") as secrets,
            ):
                profiles = {**sandbox.profiles(secrets), **sandbox.neighbours(secrets)}
                write_json({"url": sandbox.url, "profiles": profiles})
                while not signals:
                    time.sleep(POLL_SECONDS)
        except OSError as error:
            self.fail(1, f"cannot serve on port {self.port}: {error.strerror or error}; choose another with --port")
        return 0

    def _frozen(self) -> Callable[[], float]:
        try:
            moment = datetime.fromisoformat(self.clock).timestamp() if _INSTANT.fullmatch(self.clock) else None
        except ValueError:
            moment = None
        if moment is None:
            self.fail(2, f"--clock must be a time in UTC like 2026-01-15T08:30:00Z, not {self.clock!r}")
        return lambda: moment
