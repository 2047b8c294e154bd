"""Renews the leases of the handles issued for this process, and revokes these handles when the process ends."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..clock import Clock, SystemClock
from ..errors import HandleRefused, NotGranted, TokenError

if TYPE_CHECKING:
    from ..protocol.handles import Handle
    from .base import TokenSource

__all__ = ["Leases"]

_MAX_SLEEP_SECONDS = 30.0
"""Longest time between two checks of the clock, in seconds: timers stop while a machine is suspended, leases do not."""
_RETRY_SECONDS = 5.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lease:
    handle: Handle
    source: TokenSource
    seconds: float
    due_at: float


class Leases:
    """Renews each lease after a third of its time. One daemon thread renews all leases.

    Parameters
    ----------
    clock : Clock, optional
        For tests.
    wait : callable, optional
        Waits on a condition for a number of seconds. Replaced in tests.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        self._clock = clock or SystemClock()
        self._wait = wait
        self.after_fork()

    def after_fork(self) -> None:
        """Start without leases in a forked child: only the parent renews and revokes the handles."""
        self._changed = threading.Condition()
        self._running: dict[str, _Lease] = {}
        self._thread: threading.Thread | None = None

    def add(self, handle: Handle, source: TokenSource, seconds: float) -> None:
        """Renew the lease of a new handle through `source` from now on. The lease lasts `seconds`."""
        with self._changed:
            self._running[handle.id] = _Lease(handle, source, seconds, self._clock.elapsed() + seconds / 3)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jupyter_tokens leases", daemon=True)
                thread.start()
                self._thread = thread
                atexit.register(self.close)
            self._changed.notify()

    @property
    def handles(self) -> list[Handle]:
        """The handles whose leases are renewed."""
        return [lease.handle for lease in tuple(self._running.values())]

    def has(self, handle: Handle) -> bool:
        """Whether the lease of this handle is renewed, because the handle was issued for this process."""
        return handle.id in self._running

    def revoke(self, handle: Handle) -> None:
        """Stop renewing the lease of a handle, and revoke the handle. Does nothing for any other handle.

        If this raises `TokenError`, the handle ends with its lease.
        """
        with self._changed:
            lease = self._running.pop(handle.id, None)
            self._changed.notify()
        if lease is not None:
            lease.source.revoke(handle)

    def close(self) -> None:
        """Revoke all handles whose issuer can be reached, and end the thread."""
        atexit.unregister(self.close)
        for lease in list(self._running.values()):
            with suppress(TokenError):
                self.revoke(lease.handle)
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while (lease := self._next()) is not None:
            pause = self._renew(lease)
            with self._changed:
                lease.due_at = self._clock.elapsed() + pause

    def _next(self) -> _Lease | None:
        """Sleep until a lease has to be renewed, and return the lease. Return None if the thread must end."""
        with self._changed:
            while self._thread is threading.current_thread():
                first = min(self._running.values(), key=lambda lease: lease.due_at, default=None)
                left = _MAX_SLEEP_SECONDS if first is None else first.due_at - self._clock.elapsed()
                if first is not None and left <= 0:
                    return first
                self._wait(self._changed, min(left, _MAX_SLEEP_SECONDS))
        return None

    def _renew(self, lease: _Lease) -> float:
        """Renew a lease, and return the seconds until the next attempt. Drop the lease if the handle has ended."""
        handle = lease.handle
        try:
            try:
                lease.source.renew(handle)
            except HandleRefused:
                _log.debug("%s: the issuer does not renew the handle; issuing it again", handle.profile)
                lease.source.issue(handle, lease.seconds)
        except (HandleRefused, NotGranted) as refused:
            _log.warning("%s: the handle of the workers has ended: %s", handle.profile, refused.message)
            with self._changed:
                self._running.pop(handle.id, None)
        except Exception as error:
            # Any error is caught, because the other leases need this thread. Only the message of a `TokenError` is
            # certain to contain no secret.
            why = error.message if isinstance(error, TokenError) else type(error).__name__
            _log.debug("%s: the lease was not renewed: %s", handle.profile, why)
            return min(_RETRY_SECONDS, lease.seconds / 6)
        return lease.seconds / 3
