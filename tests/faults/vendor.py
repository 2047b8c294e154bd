"""One token API that can be made to fail, and made well again; must not know what a user should get of it."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme

from jupyter_tokens.sandbox import Sandbox, running

from ..doubles import Clock
from .cells import Certificate, Fault, Planned, Refused, Skewed

BRIEF = 1.0
"""Seconds for a whole call where the API keeps silent: what a profile's `timeout` is set to."""
MOST_BYTES = 16 * 1024 * 1024
"""What server, API and test may take together while an answer of 100 MB comes."""


class WaitingClock(Clock):
    """A test's clock that can also run, for limits that sockets have; the waits between tries move it, and are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._since: float | None = None

    def run(self) -> float:
        """From here on it runs; where it stands now."""
        self._since = time.monotonic()
        return super().elapsed()

    def stop(self) -> float:
        """From here on it stands; where that is."""
        if self._since is not None:
            run, self._since = time.monotonic() - self._since, None
            self.advance(run)
        return super().elapsed()

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.advance(seconds)

    def now(self) -> float:
        return super().now() + self._run()

    def elapsed(self) -> float:
        return super().elapsed() + self._run()

    def _run(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since


class Vendor:
    """A sandbox on a port of its own, in which one API can fail.

    folder : for the profile's secrets and the CA bundle.
    """

    def __init__(self, api: str, fault: Fault, clock: Callable[[], float], folder: Path) -> None:
        self.api = api
        self.fault = fault
        self._skew = 0.0
        self._folder = folder
        folder.mkdir(mode=0o700)
        context = None
        if isinstance(fault, Certificate):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority = trustme.CA()
            self._authority.cert_pem.write_to_path(folder / "ca.pem")
        self._context = context
        self.sandbox = Sandbox(clock=lambda: clock() + self._skew, ssl_context=context)
        self._served = ExitStack()

    @property
    def calls(self) -> int:
        """Those that have reached it so far."""
        return self.sandbox.requests[self.api]

    def profile(self, name: str = "") -> dict[str, Any]:
        """A profile that leads here, by default that of the API that can fail."""
        written = dict(self.sandbox.profiles(self._folder)[name or self.api])
        if isinstance(self.fault, Certificate):
            written["endpoint"] = written["endpoint"].replace("127.0.0.1", "localhost")
            written["verify"] = str(self._folder / "ca.pem")
        if isinstance(self.fault, Planned) and self.fault.silent:
            written["timeout"] = BRIEF
        return written

    @contextmanager
    def serving(self) -> Iterator[Vendor]:
        """Well, until the block ends."""
        self._certify("localhost")
        self._start()
        try:
            yield self
        finally:
            self._served.close()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Has the fault, until the block ends."""
        match self.fault:
            case Planned(kind, times, _, options):
                self.sandbox.plan({"api": self.api, "kind": kind, "times": times, **options})
                yield
                self.sandbox.clear_faults()
            case Skewed(seconds):
                self._skew = seconds
                yield
                self._skew = 0.0
            case Refused():
                port = self._stop()
                # Bound and not listened to, so that no one else takes it meanwhile.
                with socket.socket() as held:
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    held.bind(("127.0.0.1", port))
                    yield
                self._start(port)
            case Certificate(name, known, expired):
                port = self._stop()
                self._certify(name, known=known, expired=expired)
                self._start(port)
                yield
                port = self._stop()
                self._certify("localhost")
                self._start(port)

    def _start(self, port: int = 0) -> None:
        self._served.enter_context(running(self.sandbox, port=port))

    def _stop(self) -> int:
        """Ends its connections as well, and returns the port that it had."""
        self._served.close()
        port = urlsplit(self.sandbox.url).port
        assert port is not None
        return port

    def _certify(self, name: str, *, known: bool = True, expired: bool = False) -> None:
        if self._context is not None:
            authority = self._authority if known else trustme.CA()
            ends = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
            authority.issue_cert(name, not_after=ends).configure_cert(self._context)
