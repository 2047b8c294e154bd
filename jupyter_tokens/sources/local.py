"""`LocalSource`: fetches tokens in this process, from its configuration, secrets and providers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property, partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.text_file import stamp
from ..clock import utc
from ..config.editing import remove
from ..config.files import config_files, load_profiles
from ..errors import ConfigurationError, LoginNeeded, TokenError, detached_errors
from ..protocol.messages import About, ProfileEntry
from .base import TokenSource
from .cache import Ask, Key
from .logins import Logins, attempt_to_dict
from .shared import SharedTokens
from .stores import TokenStore
from .upstream import Upstream

if TYPE_CHECKING:
    from datetime import datetime

    from ..clock import Clock
    from ..config.profiles import Profile, Profiles
    from ..providers.base import Listed
    from ..providers.params import ParamValue
    from ..token import Token
    from ..transport import Transport
    from .upstream import Answer, Wanted

__all__ = ["Fetched", "LocalSource"]

_NONE: Mapping[str, Any] = {}
_MAX_KEYS = 4096
_log = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """The outcome of one fetch from an API, for logs and metrics.

    Attributes
    ----------
    key : Key
        Profile and parameters.
    provider : str
        The provider's id.
    seconds : float
        How long the fetch took.
    error : TokenError or None
        None if the fetch succeeded.
    """

    key: Key
    provider: str
    seconds: float
    error: TokenError | None


_SESSION = "a login of its own"
"""The session of the logins that `LocalSource.login` starts."""


class LocalSource(TokenSource):
    """Fetches tokens for this process's own profiles. When a profile changes, its cached tokens are removed.

    Parameters
    ----------
    profiles : Profiles, optional
        Use these profiles instead of Jupyter's configuration.
    clock, transport : optional
        For tests.
    check_seconds : float
        Shortest time, in seconds, between two checks whether the configuration files have changed.
    """

    mode = "direct"

    def __init__(
        self,
        profiles: Profiles | None = None,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        check_seconds: float = 1.0,
    ) -> None:
        super().__init__(clock=clock)
        self._check_seconds = check_seconds
        self._check_at = -inf
        self._fixed = profiles is not None
        self._profiles = profiles
        self._fingerprint: object = None
        self._keys: dict[Hashable, Key] = {}
        self._forgotten: dict[Key, datetime] = {}  # when tokens were last forgotten, by profile and user
        self._opening = threading.Lock()
        self._observers: list[Callable[[Fetched], None]] = []
        self._upstream = Upstream(
            self._current_profiles, transport, self.clock, subject=lambda name: self.get(self.key(name))
        )
        self._shared: SharedTokens | None = None
        self._shared_fingerprint: object = (
            self  # the fingerprint for which `_shared` was opened; `self` before the first time
        )

    @cached_property
    def logins(self) -> Logins:
        """The object that logs people in and out."""
        return Logins(self._upstream, self.profiles, self.forget_profile, self.clock)

    def login(self, profile: str, login_id: str | None = None) -> dict[str, Any]:
        if login_id is None:
            attempt = self.logins.start(profile, session=_SESSION, device=True)
        elif (known := self.logins.poll(login_id, session=_SESSION)) is not None:
            attempt = known
        else:
            raise LoginNeeded(
                "This login is no longer known: it ended long ago, somebody logged out, or this process was restarted.",
                hint="Start the login again.",
                profile=profile,
            )
        return attempt_to_dict(attempt, self.clock, TokenError.to_dict)

    def logout(self, profile: str) -> bool | None:
        return self.logins.logout(profile)

    def remove_profile(self, profile: str) -> bool | None:
        """Log the person out, and remove the profile and its stored secrets from the user's configuration.

        Returns what `logout` returns, or None if the profile does not use a login. Blocks. Raises `TokenError`, and
        changes nothing, if the profile is not in the user's configuration.
        """
        revoked: bool | None = None

        def log_out() -> None:
            nonlocal revoked
            try:
                logs_in = self.profiles()[profile].provider.logs_in
            except ConfigurationError:
                # An invalid profile can be removed too. Its login is not revoked, and only removed if it is in a file.
                return
            if logs_in:
                revoked = self.logins.logout(profile)

        remove(profile, self.profiles(), log_out)
        self.forget_profile(profile)
        self.expire_config()
        return revoked

    def profiles(self) -> Profiles:
        """Return the configured profiles. Reads the configuration files again if they have changed."""
        if self._profiles is not None and (self._fixed or self.clock.elapsed() < self._check_at):
            return self._profiles
        files = config_files()
        fingerprint = stamp(files)
        with self._opening:
            self._check_at = self.clock.elapsed() + self._check_seconds
            if self._profiles is None or self._fingerprint != fingerprint:
                if self._profiles is not None:
                    _log.debug("the configuration files changed")
                before, self._profiles, self._fingerprint = self._profiles, load_profiles(files), fingerprint
                self._keys.clear()
                changed = self._profiles.changed_from(before) if before is not None else set()
                if changed:
                    _log.debug("changed profiles, whose tokens are forgotten: %s", ", ".join(sorted(changed)))
                    self.forget_profiles(changed)
            return self._profiles

    def profile(self, name: str) -> Profile:
        """Return a profile by its name, even if it was added a moment ago. Raises `ConfigurationError`."""
        if name not in self.profiles():
            self.expire_config()
        return self.profiles()[name]

    problem: TokenError | None = None
    """Why the last `refresh_profiles` of a `HubSource` failed; None if it succeeded. Always None in other sources."""

    @property
    def refresh_due(self) -> bool:
        """Whether `refresh_profiles` would send a request: only in `HubSource`."""
        return False

    def refresh_profiles(self) -> None:
        """Do nothing. In `HubSource`, this updates the list of granted profiles."""

    def expire_config(self) -> None:
        """Make the next call check whether the configuration files have changed."""
        self._check_at = -inf

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        self.profiles()  # clears `_keys` if the configuration has changed
        params = {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}
        # Contains the types, because as a dict key True equals 1, but an API may treat them differently.
        raw_key = (profile, *((name, type(value), value) for name, value in params.items()))
        try:
            key = self._keys.get(raw_key)
        except TypeError:
            key = None  # A value is not hashable: below, call_params raises an error that names the parameter.
        if key is None:
            key = Key(profile, tuple(self.profile(profile).call_params(params).items()))
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            self._keys[raw_key] = key
        return key

    def about(self, profile: str) -> About:
        found = self.profiles()[profile]
        return About(found.provider.title, found.env, sandbox=found.provider.sandbox, sdk=found.sdk)

    def entries(self) -> list[ProfileEntry]:
        """Return the configured profiles; an invalid profile has an `error`.

        Raises `ConfigurationError` if there are no profiles and a configuration file cannot be read.
        """
        profiles = self.profiles()
        profiles.check_readable()
        return [_entry(profiles, name) for name in profiles]

    def fetch(self, key: Key, ask: Ask = Ask()) -> Token:  # noqa: B008 (a tuple)
        """Get one token from the store or the API. Blocks.

        Raises `TokenError`. The error names the profile and contains no secret.
        """
        started_at = self.clock.elapsed()
        stored = False  # whether the result came from the store, without a call to the API

        def share(wanted: Wanted, call: Callable[[], Token]) -> Token:
            def call_api() -> Token:
                nonlocal stored
                stored = False
                return call()

            nonlocal stored
            shared = self._open_shared()
            if shared is None:
                return call()
            stored = True
            return shared.get(key, self._since_forgotten(key, ask), wanted, call_api)

        try:
            token = self._upstream.fetch(key, share)
        except TokenError as error:
            if not stored:
                self.notify_observers(Fetched(key, error.provider or "", self.clock.elapsed() - started_at, error))
            raise
        if not stored:
            self.notify_observers(Fetched(key, token.provider, self.clock.elapsed() - started_at, None))
        return token

    def forget(self, key: Key) -> None:
        """Remove what is cached under a key. The next fetch takes no older token from the store."""
        self._mark_forgotten(Key(key.profile, user=key.user), key.__eq__)
        super().forget(key)

    def forget_profile(self, profile: str) -> None:
        """Remove what is cached for a profile. The next fetch takes no older token from the store."""
        self._mark_forgotten(Key(profile), lambda key: key.profile == profile)
        super().forget_profile(profile)

    def issuer_url(self, profile: str) -> str:
        """Return the URL of the process that issues a profile's handles; "" if that is this process."""
        return ""

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Create a new token, if the API has a call for that. Blocks. Raises `TokenError`.

        The call is not retried if the API may already have received it.
        """
        self.profiles()
        with detached_errors():
            return self._upstream.create(profile, params)

    def list_values(self, profile: str, param: str, given: Mapping[str, Any]) -> list[Listed]:
        return self.list_profile_values(self.profiles()[profile], param, given)

    def list_profile_values(self, profile: Profile, param: str, given: Mapping[str, Any]) -> list[Listed]:
        """Do the same as `list_values`, for a profile that need not be in the configuration."""
        with detached_errors():
            return self._upstream.list_values(profile, param, given)

    def exchange(self, profile: Profile, params: Mapping[str, ParamValue], path: str = "") -> Answer:
        """Make one call without the cache, and return the API's own response. Blocks. See `Upstream.exchange`."""
        with detached_errors():
            return self._upstream.exchange(profile, params, path)

    def observe(self, on_fetch: Callable[[Fetched], None]) -> Callable[[], None]:
        """Call `on_fetch` after each fetch from an API, on the thread of the fetch. Returns an unsubscribe function."""
        self._observers.append(on_fetch)
        return partial(self._observers.remove, on_fetch)

    def notify_observers(self, fetched: Fetched) -> None:
        """Inform the observers of a fetch from an API. `fetch` does this itself; callers of `exchange` call this."""
        for on_fetch in tuple(self._observers):
            try:
                on_fetch(fetched)
            except Exception as error:
                # A failing observer must not keep the token from the caller.
                _log.warning("An observer of a fetch failed: %s", type(error).__name__)

    def close(self) -> None:
        self._upstream.close()
        if self._shared is not None:
            self._shared.close()

    def _mark_forgotten(self, scope: Key, matches: Callable[[Key], bool]) -> None:
        # The current time is not enough: a cached token may come from another machine, whose clock may be ahead.
        held = [self.held(key) for key in self.keys() if (key.profile, key.user) == (scope.profile, scope.user)]
        self._forgotten[scope] = max(
            [utc(self.clock.now()), *(one.token.obtained_at for one in held if one is not None)]
        )
        if self._shared is not None:
            self._shared.forget(matches)

    def _since_forgotten(self, key: Key, ask: Ask) -> Ask:
        """Return `ask` with the condition that the token is newer than the last `forget` of its profile.

        The store can still have an older token: `SharedTokens.forget` only empties slots that this process has used.
        """
        forgotten = self._forgotten.get(Key(key.profile, user=key.user))
        if forgotten is None:
            return ask
        return ask._replace(newer_than=forgotten if ask.newer_than is None else max(ask.newer_than, forgotten))

    def _open_shared(self) -> SharedTokens | None:
        """Return the tokens in the store, or None if there is no store. Raises `ConfigurationError`."""
        with self._opening:
            if self._shared_fingerprint != self._fingerprint:
                settings = TokenStore.configured()
                store = settings.open(self.clock)
                self._shared = None if store is None else SharedTokens(settings, store, self.clock)
                self._shared_fingerprint = self._fingerprint
            return self._shared

    def _current_profiles(self) -> Profiles:
        # The files were checked just before, by `key` or `profiles`.
        return self._profiles if self._profiles is not None else self.profiles()


def _entry(profiles: Profiles, name: str) -> ProfileEntry:
    try:
        profile = profiles[name]
    except ConfigurationError as error:
        return ProfileEntry(name, error=error.copy())
    provider = profile.provider
    return ProfileEntry(
        name,
        title=provider.title,
        provider=provider.id,
        env=profile.env,
        sandbox=provider.sandbox,
        params=dict(profile.params),
        schema=provider.schema()["params"],
        may_reveal=profile.may_reveal,
        origin=profile.origin,
    )
