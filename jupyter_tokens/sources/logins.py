"""Logs people in and out, for the panel, the magics and the command line.

A running login has an id in the process that started it, and belongs to a session. The browser returns with the
login's `state`. The login fails if the browser returns in another session or too late. A state is accepted only once.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..clock import utc
from ..errors import ConfigurationError, LoginNeeded, TokenError, detached_errors
from ..providers.login import login_needed
from ..providers.oauth2 import DEVICE_CODE, OAuth2
from ..providers.oauth2_login import (
    Authorization,
    DeviceCode,
    authorization_url,
    poll_device,
    redeem,
    revoke,
    start_device,
)
from ..token import Secret

if TYPE_CHECKING:
    from ..clock import Clock
    from ..config.profiles import Profile, Profiles
    from ..providers.login import Login
    from .upstream import Upstream

__all__ = ["LOGIN_SECONDS", "Attempt", "Logins", "attempt_to_dict"]

LOGIN_SECONDS = 600.0
"""Time limit for a login in a browser, in seconds. For a login on another device, the server sets the limit."""
_MAX_ATTEMPTS = 100
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Attempt:
    """A running or finished login.

    Attributes
    ----------
    id : str
        The login's id, for `Logins.poll`.
    profile : str
        The profile's name.
    state : str
        "waiting", "done" or "failed".
    seconds : float
        Time limit, in seconds from the start.
    url : Secret or None
        The URL for the person's browser; None for a login on another device, and after the browser has returned.
    device : DeviceCode or None
        For a login on another device: the code to type there, and the URL of the page that asks for the code.
    who : str
        The person who has logged in, if the server names them.
    error : TokenError or None
        Why the login has failed; None in other states.
    """

    id: str
    profile: str
    session: Secret = field(repr=False)
    started_with: Profile = field(repr=False)
    seconds: float
    ends_at: float
    state: Literal["waiting", "done", "failed"] = "waiting"
    authorization: Authorization | None = field(default=None, repr=False)
    url: Secret | None = field(default=None, repr=False)
    device: DeviceCode | None = field(default=None, repr=False)
    poll_at: float = 0.0
    polling: threading.Lock = field(default_factory=threading.Lock, repr=False)
    who: str = ""
    error: TokenError | None = None
    on_login: Callable[[], object] = field(default=lambda: None, repr=False)

    def belongs_to(self, session: str) -> bool:
        """Whether this session started the login."""
        return hmac.compare_digest(self.session.reveal().encode(), session.encode())


def attempt_to_dict(
    attempt: Attempt, clock: Clock, error_body: Callable[[TokenError], dict[str, Any]]
) -> dict[str, Any]:
    """Convert a login to JSON for a client. `error_body` converts the login's error."""
    device = attempt.device
    return {
        "id": attempt.id,
        "profile": attempt.profile,
        "flow": "authorization_code" if device is None else "device_code",
        "state": attempt.state,
        "url": attempt.url.reveal() if attempt.url is not None else None,
        "user_code": device.user_code if device is not None else None,
        "verification_uri": device.verification_uri if device is not None else None,
        "verification_uri_complete": (device.verification_uri_complete or None) if device is not None else None,
        "interval": device.interval if device is not None else 1.0,
        "expires_at": utc(clock.now() + attempt.ends_at - clock.elapsed()).isoformat(timespec="seconds"),
        "who": attempt.who or None,
        "error": None if attempt.error is None else error_body(attempt.error),
    }


class Logins:
    """Logs people in and out. Thread-safe; the methods block and raise `TokenError`.

    Parameters
    ----------
    upstream : Upstream
        Makes the calls.
    profiles : callable
        Returns the current profiles.
    on_change : callable
        Called with the profile's name after a login or logout, so that its tokens are fetched again.
    clock : Clock
    """

    def __init__(
        self, upstream: Upstream, profiles: Callable[[], Profiles], on_change: Callable[[str], None], clock: Clock
    ) -> None:
        self._upstream = upstream
        self._store = upstream.logins
        self._profiles = profiles
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: dict[str, Attempt] = {}

    def start(
        self,
        name: str,
        *,
        session: str,
        redirect_uri: str | None = None,
        device: bool = False,
        on_login: Callable[[], object] = lambda: None,
    ) -> Attempt:
        """Start a login.

        Parameters
        ----------
        name : str
            The profile.
        session : str
            The session that the login belongs to: only this session can finish the login or get its state.
        redirect_uri : str, optional
            The URL to which the browser returns. Without it, or if the profile's grant is the device flow, the person
            uses another device.
        device : bool
            True if the person uses another device, even with a `redirect_uri`.
        on_login : callable
            Called once the person has logged in, on the thread that notices the login.
        """
        profile, provider = self._login_profile(name)
        attempt = Attempt(
            id=secrets.token_hex(16),
            profile=name,
            session=Secret(session),
            started_with=profile,
            seconds=LOGIN_SECONDS,
            ends_at=self._clock.elapsed() + LOGIN_SECONDS,
            on_login=on_login,
        )
        with detached_errors():
            if device or redirect_uri is None or provider.grant == DEVICE_CODE:
                code = self._upstream.drive(profile, lambda call: start_device(provider, call))
                attempt.device, attempt.seconds = code, code.expires_in
                attempt.ends_at = self._clock.elapsed() + code.expires_in
                attempt.poll_at = self._clock.elapsed() + code.interval
            else:
                authorization = attempt.authorization = Authorization(redirect_uri)
                url = self._upstream.drive(profile, lambda call: authorization_url(provider, call, authorization))
                attempt.url = Secret(url)
        self._add(attempt)
        _log.debug("%s: a login %s has begun", name, "on another device" if attempt.device else "in a browser")
        return attempt

    def finish(self, answer: Mapping[str, Sequence[str]], *, session: str) -> Attempt:
        """Finish a login with the browser's response; `answer` has the values of each query parameter.

        Raises `LoginNeeded` for a response that matches no login of this session, or the error of a failed login.
        """
        single = {name: values[0] for name, values in answer.items() if len(values) == 1}
        attempt = self._claim_state(single.get("state", ""))
        # A state can only be used once, even in a wrong session.
        if attempt is None or len(single) != len(answer) or not attempt.belongs_to(session):
            raise _unknown(attempt)
        profile, provider = self._login_profile(attempt.profile)
        if profile is not attempt.started_with:
            raise _unknown(attempt)
        authorization = attempt.authorization
        assert authorization is not None
        self._conclude(
            attempt,
            lambda: self._upstream.drive(
                profile,
                lambda call: redeem(provider, call, authorization, single),
                authorization,
                Secret(single.get("code", "")),
            ),
        )
        if attempt.error is not None:
            raise attempt.error.copy()
        return attempt

    def poll(self, login_id: str, *, session: str) -> Attempt | None:
        """Return a login, or None if this session has no such login. Asks the server first if a poll is due."""
        with self._lock:
            attempt = self._attempts.get(login_id)
        if attempt is None or not attempt.belongs_to(session):
            return None
        # Only one caller at a time polls the server.
        if attempt.state == "waiting" and attempt.polling.acquire(blocking=False):
            try:
                self._poll(attempt)
            finally:
                attempt.polling.release()
        return attempt

    def logout(self, name: str) -> bool | None:
        """Log the person out. Returns whether the server has revoked the login; None if nobody was logged in."""
        profile, provider = self._login_profile(name)
        with self._lock:
            for attempt in [attempt for attempt in self._attempts.values() if attempt.profile == name]:
                del self._attempts[attempt.id]
        login = self._store.pop(profile)
        self._on_change(name)
        if login is None:
            return None
        try:
            return self._upstream.drive(profile, lambda call: revoke(provider, call, login))
        except TokenError as error:
            # The stored login has been removed in any case.
            _log.warning("%s: the login is forgotten, but was not revoked: %s", name, error)
            return False

    def uses_device_flow(self, name: str) -> bool:
        """Whether the profile's grant is the device flow."""
        return self._login_profile(name)[1].grant == DEVICE_CODE

    def get(self, name: str) -> Login | None:
        """Return the login of a profile, or None."""
        return self._store.read(self._login_profile(name)[0])

    def peek(self, name: str) -> Login | None:
        """Return the login of a profile, or None, without waiting for a person.

        The login in a keyring is returned as this process has last read or written it, because a keyring may ask the
        person to unlock it.
        """
        profile, provider = self._login_profile(name)
        if provider.login_store == "keyring":
            return self._store.last_read(profile)
        try:
            return self._store.read(profile)
        except TokenError as error:
            _log.debug("%s: the login cannot be read: %s", name, error)
            return None

    def _login_profile(self, name: str) -> tuple[Profile, OAuth2]:
        profile = self._profiles()[name]
        if not profile.provider.logs_in or not isinstance(profile.provider, OAuth2):
            raise ConfigurationError(
                f"The profile {name!r} does not use a login.",
                hint="Choose a profile of provider oauth2 with grant authorization_code or device_code.",
                profile=name,
            )
        return profile, profile.provider

    def _add(self, attempt: Attempt) -> None:
        with self._lock:
            now = self._clock.elapsed()
            for old in [old for old in self._attempts.values() if old.ends_at + LOGIN_SECONDS <= now]:
                del self._attempts[old.id]
            while len(self._attempts) >= _MAX_ATTEMPTS:
                del self._attempts[next(iter(self._attempts))]
            self._attempts[attempt.id] = attempt

    def _claim_state(self, state: str) -> Attempt | None:
        """Return the attempt with this state, and mark the state as used. None for an unknown, used or old state."""
        with self._lock:
            for attempt in self._attempts.values():
                authorization = attempt.authorization
                if authorization is not None and hmac.compare_digest(
                    authorization.state.reveal().encode(), state.encode()
                ):
                    if attempt.state != "waiting" or attempt.url is None:
                        return None
                    attempt.url = None
                    return attempt if self._clock.elapsed() < attempt.ends_at else None
        return None

    def _poll(self, attempt: Attempt) -> None:
        now = self._clock.elapsed()
        device = attempt.device
        if now >= attempt.ends_at:
            attempt.state, attempt.error = "failed", login_needed(attempt.profile, "The login took too long.")
        elif device is not None and now >= attempt.poll_at:
            profile, provider = self._login_profile(attempt.profile)
            if profile is not attempt.started_with:
                attempt.state, attempt.error = "failed", _unknown(attempt)
                return
            self._conclude(
                attempt,
                lambda: self._upstream.drive(profile, lambda call: poll_device(provider, call, device), device.code),
            )
            attempt.poll_at = self._clock.elapsed() + device.interval

    def _conclude(self, attempt: Attempt, get: Callable[[], Login | None]) -> None:
        """Store the login that `get` returns. If `get` returns None, the attempt goes on waiting."""
        login = None
        try:
            login = get()
            if login is None:
                return
            self._store.put(attempt.started_with, login, lambda: self._check_running(attempt))
        except TokenError as error:
            if attempt.device is not None and login is None and error.retryable:
                # A network problem, or a busy server: the next poll may succeed.
                return
            attempt.state, attempt.error = "failed", error.copy()
            return
        attempt.state, attempt.who = "done", login.who
        self._on_change(attempt.profile)
        attempt.on_login()
        _log.debug("%s: somebody has logged in", attempt.profile)

    def _check_running(self, attempt: Attempt) -> None:
        # A logout may have ended the attempt in the meantime.
        with self._lock:
            if attempt.id not in self._attempts:
                raise _unknown(attempt)


def _unknown(attempt: Attempt | None) -> LoginNeeded:
    error = LoginNeeded(
        "This login cannot be finished: it is not known here, was finished already, belongs to another session, took "
        "too long, or ended because the profile was changed or somebody logged out.",
        hint="Start the login again.",
    )
    if attempt is not None:
        attempt.state, attempt.error = "failed", error
        error.profile = attempt.profile
    return error.copy()
