"""Reports to the Jupyter server what a session holds, from one daemon thread, after each change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..errors import TokenError

__all__ = ["Reports"]

PAUSE_SECONDS = 0.2
"""Between two reports: a loop that fetches many tokens is one change."""
_log = logging.getLogger(__name__)


class Reports:
    """send : sends what is held if that is not what it was last given, which it returns. May raise `TokenError`."""

    def __init__(self, send: Callable[[object], object]) -> None:
        self._send = send
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def changed(self) -> None:
        """Something may be different. Returns at once."""
        self._changed.set()
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                thread = threading.Thread(target=self._run, name="jupyter_tokens reports", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    # The process has too many threads, or is ending: the next change tries again.
                    _log.debug("The server is not told what is held: %s", error)
                else:
                    self._thread = thread

    def stop(self) -> None:
        """Sends the last change, and ends."""
        self._stopped.set()
        self._changed.set()

    def _run(self) -> None:
        last: object = None
        while not self._stopped.is_set():
            self._changed.wait()
            self._changed.clear()
            try:
                last = self._send(last)
            except TokenError as error:
                # The server is away, or is of another version; the next change is reported again.
                last = None
                _log.debug("The server was not told what is held: %s", error.reason)
            self._stopped.wait(PAUSE_SECONDS)
