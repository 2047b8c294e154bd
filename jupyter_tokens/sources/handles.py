"""`HandleSource`: gets tokens in a worker, with handles from the process that started the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import ConfigurationError, HandleRefused, UnknownProfile
from ..protocol.handles import normalise_params
from .base import TokenSource
from .remote import RemoteSource, remote_key

if TYPE_CHECKING:
    from ..clock import Clock
    from ..protocol.handles import Handle
    from ..protocol.messages import About, ProfileEntry
    from ..token import Token
    from .cache import Ask, Key

__all__ = ["HandleSource"]

_NONE: Mapping[str, Any] = {}


class HandleSource(TokenSource):
    """Gets a profile's tokens from the issuer of the profile's handle; without one, from this process's own source.

    Parameters
    ----------
    open_local : callable
        Opens this process's own source, for profiles without a handle and for handles without an issuer.
    handles : iterable of Handle
        The handles to start with; see also `add` and `remove`.
    clock : Clock, optional
        For tests.
    """

    mode = "handle"

    def __init__(
        self, open_local: Callable[[], TokenSource], handles: Iterable[Handle] = (), *, clock: Clock | None = None
    ) -> None:
        super().__init__(clock=clock)
        self._open_local = open_local
        # The latest handle comes first, because it may replace a handle that has ended.
        self._remotes: dict[str, tuple[Handle, RemoteSource]] = {}
        self._about: dict[str, About] = {}
        for handle in handles:
            self.add(handle)

    def add(self, handle: Handle) -> None:
        """Use a handle from now on."""
        if handle.id not in self._remotes:
            self._remotes = {handle.id: (handle, _Issuer(handle, self._about, self.clock)), **self._remotes}

    def remove(self, handle: Handle) -> None:
        """Stop using a handle, and forget its profile's tokens."""
        remaining = dict(self._remotes)
        _, remote = remaining.pop(handle.id, (None, None))
        if remote is not None:
            self._remotes = remaining
            remote.close()
            self.forget_profile(handle.profile)

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """Return the cache key of a call. Only the types of parameters are checked here; `fetch` checks the rest."""
        return remote_key(profile, params)

    def fetch(self, key: Key, ask: Ask) -> Token:
        """Fetch one token from a handle's issuer, or from this process's own source. Blocks. Raises `TokenError`."""
        matching = [(handle, remote) for handle, remote in self._remotes.values() if handle.profile == key.profile]
        if not matching:
            return self._fetch_locally(key, ask)
        params = normalise_params(dict(key.params))
        refused: HandleRefused | None = None
        for handle, remote in matching:
            if handle.covers(params):
                try:
                    return remote.fetch(key, ask) if handle.url else self._fetch_locally(key, ask, handle)
                except HandleRefused as error:
                    # An earlier handle may still be valid.
                    refused = refused or error
        if refused is not None:
            raise refused
        if not all(handle.url for handle, _ in matching):
            # A handle without an issuer does not limit the parameters. An `auth` from the driver also contains the
            # profile's own parameters, so its call may have more parameters than the handle.
            return self._fetch_locally(key, ask)
        raise HandleRefused(
            "This process has a handle for the profile, but not for calls with these parameters.",
            hint="In the process that starts the workers, issue a handle for these parameters: "
            "issue_handle(profile, name=value).",
            profile=key.profile,
            unsent=True,
        )

    def create(self, profile: str, params: Mapping[str, Any]) -> NoReturn:
        """Raise `HandleRefused`: a handle only allows fetching."""
        raise HandleRefused(
            "A worker cannot create tokens.",
            hint="Create the token in the process that starts the workers.",
            profile=profile,
        )

    def entries(self) -> list[ProfileEntry]:
        """Return the profiles of this process's own configuration. Profiles of handles are not listed."""
        return self._local.entries()

    def about(self, profile: str) -> About:
        """Return what a card shows about a profile.

        Before the first token of a profile whose handle has an issuer, only the profile's name is known.
        """
        for handle, remote in self._remotes.values():
            if handle.profile == profile and handle.url:
                return remote.about(profile)
        return self._local.about(profile)

    def issue(self, handle: Handle, lease: float) -> NoReturn:
        """Raise `ConfigurationError`: only the process that starts the workers issues handles."""
        raise ConfigurationError(
            "A worker cannot issue handles.", hint="Issue handles in the process that starts the workers."
        )

    def close(self) -> None:
        """Close the connections to issuers. Tokens already returned stay valid."""
        for _, remote in self._remotes.values():
            remote.close()

    @cached_property
    def _local(self) -> TokenSource:
        return self._open_local()

    def _fetch_locally(self, key: Key, ask: Ask, handle: Handle | None = None) -> Token:
        try:
            local_key = self._local.key(key.profile, {**dict(handle.params if handle else ()), **dict(key.params)})
            return self._local.get(local_key, refresh=ask.refresh, newer_than=ask.newer_than)
        except UnknownProfile as unknown:
            if handle is None:
                raise
            raise UnknownProfile(
                unknown.message,
                hint="The handle has no issuer, so add the profile to the configuration of each worker. Or start the "
                "workers from a kernel of a Jupyter server with jupyter_tokens, which then issues the handle.",
                profile=key.profile,
            ) from None


class _Issuer(RemoteSource):
    token_seconds = 60.0  # Shorter than in `RemoteSource`, because `_check_alive` cannot notice an issuer that hangs.

    def __init__(self, handle: Handle, about: dict[str, About], clock: Clock) -> None:
        super().__init__(handle, clock=clock)
        # Shared by all issuers, because a cached token may have come from the issuer of another handle.
        self._about = about

    def _check_alive(self) -> None:
        """Do nothing: a worker has no other route to call in order to check whether the issuer hangs."""
