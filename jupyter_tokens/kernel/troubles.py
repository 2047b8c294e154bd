"""What is wrong with tokens, and what of that the user has not been told yet; knows nothing of how they are fetched."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..broker import Key
    from ..errors import TokenError

__all__ = ["Troubles"]

_MOST = 1024


class Troubles:
    """The last error of each token that failed. Thread-safe."""

    def __init__(self) -> None:
        self._errors: dict[Key, TokenError] = {}
        self._notices: dict[Key, str] = {}
        self._lock = threading.Lock()

    def of(self, key: Key) -> TokenError | None:
        """What is wrong with a key's token."""
        return self._errors.get(key)

    def keys(self) -> list[Key]:
        """Whose tokens have failed."""
        with self._lock:
            return list(self._errors)

    def told(self, key: Key, error: TokenError) -> None:
        """Something failed that the user has asked for, and is told by the exception."""
        with self._lock:
            if len(self._errors) >= _MOST:
                self._errors.clear()
            self._errors[key] = error.copy()

    def note(self, key: Key, error: TokenError) -> None:
        """Something failed in the background."""
        with self._lock:
            before = self._errors.get(key)
            self._errors[key] = error.copy()
            # By its kind: the request id is another each time.
            if before is None or (before.reason, before.code) != (error.reason, error.code):
                self._notices[key] = _notice(key, error)

    def over(self, key: Key) -> None:
        """All is well again with a key's token, or nobody wants it any more."""
        with self._lock:
            self._errors.pop(key, None)
            self._notices.pop(key, None)

    def take_notices(self) -> list[str]:
        """What failed in the background since this was last asked; each failure once until it is over."""
        with self._lock:
            notices = list(self._notices.values())
            self._notices.clear()
        return notices

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()


def _notice(key: Key, error: TokenError) -> str:
    told = error.copy()
    told.profile = None
    params = "".join(f" {name}={value}" for name, value in key.params)
    return f"{key.profile}{params} could not be kept fresh: {told}"
