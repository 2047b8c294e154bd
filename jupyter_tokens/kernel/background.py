"""Collects background failures for the user, and reports to the Jupyter server which tokens a session holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import TokenError

if TYPE_CHECKING:
    from ..sources.cache import Key

__all__ = ["Failures", "Reporter"]

_REPORT_PAUSE_SECONDS = 0.2
"""Pause between two reports, so that a loop that fetches many tokens causes few reports."""
_log = logging.getLogger(__name__)


class Failures:
    """The last error of each token that failed, and the notices that the user has not seen yet.

    Thread-safe without a lock, because each change of a dict is atomic.
    """

    def __init__(self) -> None:
        self._errors: dict[Key, TokenError] = {}
        self._notices: dict[Key, str] = {}

    def get(self, key: Key) -> TokenError | None:
        """Return the last error of a key's token, or None."""
        return self._errors.get(key)

    def keys(self) -> list[Key]:
        """Return the keys whose tokens have failed."""
        return list(self._errors)

    def add(self, key: Key, error: TokenError) -> None:
        """Record a failure. Add a notice for the user unless the key's last failure was of the same kind."""
        before = self._errors.get(key)
        self._errors[key] = error.copy()
        # Reason and code identify the kind of failure; the request id differs each time.
        if before is None or (before.reason, before.code) != (error.reason, error.code):
            copy = error.copy()
            copy.profile = None
            self._notices[key] = f"{key} could not be kept fresh: {copy}"

    def discard(self, key: Key) -> None:
        """Drop a key's error and notice, because the token works again or is no longer wanted."""
        self._errors.pop(key, None)
        self._notices.pop(key, None)

    def pop_notices(self) -> list[str]:
        """Return the new notices, each only once. A failure of the same kind as before gives no new notice."""
        return [notice for key in list(self._notices) if (notice := self._notices.pop(key, None)) is not None]


class Reporter:
    """Reports to the Jupyter server which tokens a session holds, from a daemon thread, after each change.

    Parameters
    ----------
    send : callable
        Called with the report that was sent last, or None. Sends the current report if it differs, and returns the
        report that the server now has. May raise `TokenError`.
    """

    def __init__(self, send: Callable[[object], object]) -> None:
        self._send = send
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def notify(self) -> None:
        """Make the thread report soon. Returns immediately."""
        self._changed.set()
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                thread = threading.Thread(target=self._run, name="jupyter_tokens reports", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    # The process has too many threads, or is ending: the next change tries again.
                    _log.debug("The tokens of this kernel are not reported to the server yet: %s", error)
                else:
                    self._thread = thread

    def stop(self) -> None:
        """Stop after a last report. Returns immediately."""
        self._stopped.set()
        self._changed.set()

    def _run(self) -> None:
        last: object = None
        is_last = False
        while not is_last:
            self._changed.wait()
            self._changed.clear()
            is_last = self._stopped.is_set()
            try:
                last = self._send(last)
            except TokenError as error:
                # For example, the server cannot be reached or has another version. What it knows is then uncertain, so
                # the next change is reported in any case.
                last = None
                _log.debug("The tokens of this kernel could not be reported to the server: %s", error.reason)
            self._stopped.wait(_REPORT_PAUSE_SECONDS)
