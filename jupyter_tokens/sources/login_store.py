"""Stores logins: one secret for each profile. Only one process at a time uses and renews a login."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_core.paths import jupyter_config_dir

from ..config import secret_store
from ..config.secrets import SecretRef
from ..errors import ConfigurationError, TimedOut
from ..providers.login import Login, LoginInUse, login_needed
from ..providers.oauth2 import OAuth2
from .stores import LockTaken, StoreUnavailable
from .stores.file import can_lock, locked

if TYPE_CHECKING:
    from ..clock import Clock
    from ..config.profiles import Profile

__all__ = ["LoginStore"]


class LoginStore:
    """The logins of this user, in the user's configuration folder or keyring. Thread-safe.

    All methods except `last_read` block.

    If the server replaces the refresh token at each use, and two processes use the same refresh token, the login is
    lost. So a login is read, used and replaced under one lock, which the system releases if the process dies. On
    Windows there is no lock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_read: dict[str, Login | None] = {}

    def read(self, profile: Profile) -> Login | None:
        """Return the login of a profile; None if there is none, or if it cannot be parsed. Raises `SecretError`."""
        reference = SecretRef.parse(
            _reference(profile),
            origin=f"the login of profile {profile.name!r}",
            base=_folder(),
            seconds=0.9 * profile.timeout,
        )
        text = reference.find()
        login = self._last_read[profile.name] = None if text is None else Login.from_json(text)
        return login

    def last_read(self, profile: Profile) -> Login | None:
        """Return the login of a profile as this process has last read or written it, or None. Does not block."""
        return self._last_read.get(profile.name)

    @contextmanager
    def using(self, profile: Profile) -> Iterator[LoginInUse]:
        """Use the login of a profile exclusively during a `with` block.

        Raises `LoginNeeded` if nobody is logged in, or another `TokenError`.
        """
        with self._locked(profile):
            login = self.read(profile)
            if login is None:
                raise login_needed(profile.name)
            yield LoginInUse(login, lambda changed: self._write(profile, changed))

    def put(self, profile: Profile, login: Login, check: Callable[[], object]) -> None:
        """Call `check`, then store a new login in place of the old one. Raises `TokenError`, also if `check` does."""
        with self._locked(profile):
            check()
            self._write(profile, login)

    def pop(self, profile: Profile) -> Login | None:
        """Remove the login of a profile, and return it; None if there is none. Raises `TokenError`."""
        with self._locked(profile):
            login = self.read(profile)
            if login is not None:
                self._write(profile, None)
            return login

    def _write(self, profile: Profile, login: Login | None) -> None:
        if login is None:
            secret_store.erase(_reference(profile), _folder())
        else:
            secret_store.store([(_reference(profile), login.to_json())], _folder())
        self._last_read[profile.name] = login

    @contextmanager
    def _locked(self, profile: Profile) -> Iterator[None]:
        folder = _folder() / secret_store.FOLDER
        with ExitStack() as stack:
            try:
                if can_lock:  # pragma: no branch (not on Windows)
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    lock = folder / f".{profile.name}.login.lock"
                    stack.enter_context(locked(lock, seconds=profile.timeout, clock=self._clock))
            except OSError as error:
                problem = f"The folder for logins, {folder}, cannot be created: {error.strerror}."
                raise ConfigurationError(problem) from None
            except LockTaken as problem:
                raise TimedOut(
                    f"The stored login is in use: {problem}.", hint="Try again later.", unsent=True
                ) from None
            except StoreUnavailable as problem:
                raise ConfigurationError(f"The stored login cannot be used: {problem}.") from None
            yield


def _folder() -> Path:
    # Even for a profile from the system's configuration: each user logs in separately.
    return Path(jupyter_config_dir())


def _reference(profile: Profile) -> str:
    assert isinstance(profile.provider, OAuth2)
    return secret_store.login_reference(profile.provider.login_store, profile.name)
