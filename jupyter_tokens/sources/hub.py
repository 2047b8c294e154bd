"""`HubSource`: gets tokens for a server's own profiles, and for profiles that the hub's service grants to its user."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from ..config.profiles import Profile, Profiles
from ..errors import ConfigurationError, NotGranted, TokenError
from ..protocol.messages import unexpected_response
from ..providers.base import Provider
from ..providers.catalogue import provider_class
from .cache import Ask, Key
from .local import LocalSource
from .remote import RemoteSource

if TYPE_CHECKING:
    from ..clock import Clock
    from ..protocol.handles import Handle
    from ..protocol.hub import HubServer
    from ..providers.base import Listed
    from ..token import Token

__all__ = ["HubSource"]

REFRESH_SECONDS = 10.0
"""Age at which the list of granted profiles is requested again, in seconds."""
_ANSWER_SECONDS = 1.5
"""Time limit for the list of granted profiles, in seconds. It is shorter than the time that a kernel waits for this
server's list of profiles: if the service hangs, kernels must not conclude that this server hangs."""
_log = logging.getLogger(__name__)


class HubSource(LocalSource):
    """Fetches tokens of this server's own profiles, and gets tokens of granted profiles from the hub's service.

    Parameters
    ----------
    server : HubServer
        The identity of this server and the URL of the service.
    clock : Clock, optional
        For tests.
    """

    def __init__(self, server: HubServer, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self._service = _Service(server, clock=clock)
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._granted: dict[str, Profile | TokenError] = {}
        self._merged: tuple[Profiles, object, Profiles] | None = None
        self._refresh_at = -inf
        self._refresh_lock = threading.Lock()
        self._listed = False

    @property
    def refresh_due(self) -> bool:
        """Whether `refresh_profiles` would send a request to the service, or wait for the first list."""
        return self.clock.elapsed() >= self._refresh_at or (not self._listed and self._refresh_lock.locked())

    def refresh_profiles(self) -> None:
        """Update the list of granted profiles if it is old. Blocks for a few seconds at most, and never raises.

        One caller at a time sends the request. The others use the previous list, or wait if there is no list yet.
        """
        if self._refresh_lock.acquire(blocking=not self._listed):
            try:
                if self.clock.elapsed() >= self._refresh_at:
                    # Set before the request: if the service refuses a token meanwhile, the list is due again.
                    self._refresh_at = self.clock.elapsed() + REFRESH_SECONDS
                    self._read_profiles()
            finally:
                self._refresh_lock.release()

    def _read_profiles(self) -> None:
        try:
            facts = self._service.granted()
            changed = {name for name in facts.keys() | self._facts.keys() if facts.get(name) != self._facts.get(name)}
            granted = {name: _granted_profile(entry) for name, entry in facts.items()} if changed else self._granted
        except TokenError as problem:
            _log.debug("the hub's token service does not list the granted profiles: %s", problem)
            # The previous list is kept, because the service may only be restarting.
            self.problem = problem.copy()
            return
        self.problem = None
        if changed:
            self._facts, self._granted = facts, granted
            self._keys.clear()
            self.forget_profiles(changed - set(super().profiles()))
        self._listed = True

    def profiles(self) -> Profiles:
        """Return this server's own profiles and the granted profiles, without a request to the service."""
        local, granted = super().profiles(), self._granted
        if self._merged is None or self._merged[0] is not local or self._merged[1] is not granted:
            self._merged = local, granted, local.combined_with(granted)
        return self._merged[2]

    def fetch(self, key: Key, ask: Ask = Ask()) -> Token:  # noqa: B008 (a tuple)
        """Fetch one token, through the hub's service if the profile is granted. Blocks. Raises `TokenError`."""
        if self._is_local(key.profile):
            return super().fetch(key, ask)
        try:
            return self._service.fetch(key, self._since_forgotten(key, ask))
        except NotGranted:
            self._refresh_at = -inf
            raise

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Create a new token. Only possible for this server's own profiles. Raises `TokenError`."""
        if not self._is_local(profile):
            raise ConfigurationError(
                "The hub's token service does not create tokens.",
                hint="Create the token with a profile of your own.",
                profile=profile,
            )
        return super().create(profile, params)

    def list_profile_values(self, profile: Profile, param: str, given: Mapping[str, Any]) -> list[Listed]:
        """List the values that a parameter can have. Not possible for granted profiles. Raises `TokenError`."""
        if profile.origin:
            raise ConfigurationError(
                f"The values of parameter {param[:80]!r} cannot be listed: {profile.origin} does not support this.",
                hint="Look the value up in the vendor's console, and pass it yourself.",
                profile=profile.name,
            )
        return super().list_profile_values(profile, param, given)

    def issuer_url(self, profile: str) -> str:
        """Return the URL of the service's routes for a granted profile, else "". See `LocalSource`."""
        return "" if self._is_local(profile) else self._service.routes_url

    def issue(self, handle: Handle, lease: float) -> Handle:
        """Issue a handle for a granted profile through the service. Raises `TokenError`."""
        return self._service.issue(handle, lease)

    def renew(self, handle: Handle) -> None:
        self._service.renew(handle)

    def revoke(self, handle: Handle) -> None:
        self._service.revoke(handle)

    def close(self) -> None:
        self._service.close()
        super().close()

    def _is_local(self, profile: str) -> bool:
        return profile in super().profiles()


class _Service(RemoteSource):
    # Shorter than in `RemoteSource`: behind a proxy, the service may never answer although `_check_alive` succeeds.
    token_seconds = 60.0

    def granted(self) -> dict[str, Mapping[str, Any]]:
        """Return the service's facts about each granted profile, by name. Raises `TokenError`."""
        answer = self._call("profiles", {}, seconds=_ANSWER_SECONDS)
        try:
            may_reveal = answer["may_reveal"]
            return {entry["name"]: {**entry, "may_reveal": may_reveal} for entry in answer["profiles"]}
        except (KeyError, TypeError):
            raise unexpected_response() from None


def _granted_profile(entry: Mapping[str, Any]) -> Profile | TokenError:
    """Build a granted profile, or its error, from the service's facts. Raises `TokenError` for invalid facts."""
    try:
        if entry["error"] is not None:
            return TokenError.from_dict(entry["error"])
        params: Mapping[str, Any] = {}
        with suppress(Exception):
            # If the provider comes from a package that is not installed here, calls cannot have parameters.
            params = provider_class(entry["provider"]).params
        facts = {name: entry[name] for name in ("title", "sandbox", "scheme", "header")}
        # Only describes the profile: the service calls the API.
        kind = type("Granted", (Provider,), {"id": entry["provider"], "params": params, **facts})
        kernels, notebooks = entry["kernels"], entry["notebooks"]
        return Profile(
            name=entry["name"],
            provider=kind(),
            params={name: value for name, value in entry["params"].items() if name in params},
            env=entry["env"],
            timeout=0.0,
            verify=True,
            references={},
            kernels=None if kernels is None else tuple(kernels),
            notebooks=None if notebooks is None else tuple(notebooks),
            fixed_params=frozenset(entry["params"]),
            origin="the hub's token service",
            may_reveal=entry["may_reveal"],
        )
    except (KeyError, TypeError, AttributeError):
        raise unexpected_response() from None
