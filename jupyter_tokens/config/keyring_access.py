"""Calls the keyring, one call at a time and with a time limit: the keyring may wait for the user to unlock it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

try:
    import termios
except ImportError:  # pragma: no cover (Windows)
    termios = None  # type: ignore[assignment]

__all__ = ["KEYRING_SECONDS", "Backend", "KeyringTimeout", "backend", "call_keyring"]

KEYRING_SECONDS = 30.0
"""Default time limit in seconds."""

_PLAIN = ("Plaintext", "Uncrypted")
"""Prefixes of the names of keyrings.alt's backends that do not encrypt."""
_T = TypeVar("_T")


class Backend(NamedTuple):
    """The keyring backend of this machine.

    Attributes
    ----------
    name : str
        Module and class, or a text that says why no backend can be loaded.
    usable : bool
        Whether the backend can store secrets.
    encrypts : bool
        False if the backend is known to store plain text, or cannot be loaded.
    """

    name: str
    usable: bool
    encrypts: bool


def backend() -> Backend:
    """Return the backend that keyring has chosen. No secret is read or stored."""
    import keyring  # noqa: PLC0415 (loads all backends, some of which ask the desktop)
    from keyring.backends import fail, null  # noqa: PLC0415 (as above)

    try:
        chosen = keyring.get_keyring()
    except Exception as error:
        # The environment or keyring's own configuration names a backend that cannot be loaded.
        return Backend(f"none that can be loaded ({type(error).__name__})", usable=False, encrypts=False)
    name = f"{type(chosen).__module__}.{type(chosen).__name__}"
    usable = not isinstance(chosen, fail.Keyring | null.Keyring)
    return Backend(name, usable, not type(chosen).__name__.startswith(_PLAIN))


class KeyringTimeout(Exception):
    """The keyring has not answered in time."""


@dataclass(frozen=True)
class _Call:
    share_key: Hashable
    started: float = field(default_factory=time.monotonic)
    result: Future[Any] = field(default_factory=Future)


_lock = threading.Lock()
_current: _Call | None = None


def call_keyring(call: Callable[[Any], _T], *, seconds: float, share_key: Hashable = None) -> _T:
    """Run `call` with the module `keyring`, on a new thread.

    Parameters
    ----------
    call : callable
        The call. It may block for any time.
    seconds : float
        Time limit for this call, and for an earlier call that has to end first. Each is measured from the start of the
        call itself. So while a dialog stays unanswered, later callers do not wait for the whole limit again.
    share_key : hashable, optional
        Callers with an equal value share the result of a running call. None if the result must not be shared.

    Raises
    ------
    KeyringTimeout
        The keyring has not answered in time. The running call goes on, and no other call is made before it ends. So a
        keyring that hangs blocks one thread, not one thread for each call.
    BaseException
        Whatever the keyring raises, even SystemExit.
    """
    while True:
        running, is_shared = _start_or_join(call, share_key)
        with _restore_echo():
            done, _ = wait([running.result], max(0.0, running.started + seconds - time.monotonic()))
            if not done:
                raise KeyringTimeout
        if is_shared:
            result: _T = running.result.result()
            return result


def _start_or_join(call: Callable[[Any], object], share_key: Hashable) -> tuple[_Call, bool]:
    """Start the call, or find the running call. Also return whether the call's result is for this caller."""
    global _current  # noqa: PLW0603 (there is one keyring for the process)
    with _lock:
        if _current is not None:
            return _current, share_key is not None and _current.share_key == share_key
        running = _Call(share_key)
        threading.Thread(target=_run, args=(call, running), name="jupyter_tokens keyring", daemon=True).start()
        _current = running
    return running, True


def _run(call: Callable[[Any], object], running: _Call) -> None:
    global _current  # noqa: PLW0603 (as above)
    try:
        import keyring  # noqa: PLC0415 (see `backend`)

        set_result = partial(running.result.set_result, call(keyring))
    except BaseException as error:
        set_result = partial(running.result.set_exception, error)
    # Before the result is set, because the caller that waits for it may make the next call at once.
    with _lock:
        _current = None
    set_result()


def _forget_after_fork() -> None:
    # The child does not have the thread of the running call, and another thread of the parent may hold the lock.
    global _current, _lock
    _current, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):  # pragma: no branch (Windows has none)
    os.register_at_fork(after_in_child=_forget_after_fork)


@contextmanager
def _restore_echo() -> Iterator[None]:
    """Restore the terminal's echo when the caller gives up: some backends read a password with the echo off."""
    before = termios.tcgetattr(0) if termios is not None and os.isatty(0) else None
    try:
        yield
    except BaseException:
        # If another program controls the terminal now, a change of the terminal's settings would stop this process.
        if before is not None and os.tcgetpgrp(0) == os.getpgrp():
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        raise
