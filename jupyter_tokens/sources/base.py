"""`TokenSource`: the base class of all sources of tokens. It caches the tokens; subclasses fetch them."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ..errors import ConfigurationError, ParameterError, TokenError
from .cache import Ask, Key, Standing, TokenCache

if TYPE_CHECKING:
    from datetime import datetime

    from ..clock import Clock
    from ..protocol.handles import Handle
    from ..protocol.messages import About, ProfileEntry
    from ..providers.base import Listed
    from ..token import Secret, Token

__all__ = ["Endpoint", "TokenSource"]

_NONE: Mapping[str, Any] = {}
_log = logging.getLogger(__name__)


class Endpoint(NamedTuple):
    """Where SDKs get a token: they send `secret` to `url`. In `url`, {tool} stands for the SDK's name."""

    url: str
    secret: Secret


@dataclass(slots=True, eq=False)
class _Renewal:
    """Gets a newer token for `Token.renewed_by`. A function would take several times the memory for each token."""

    source: TokenSource
    key: Key

    def __call__(self, refused: Token | None) -> Token:
        return self.source.get(self.key, newer_than=None if refused is None else refused.obtained_at)


class TokenSource(TokenCache, ABC):
    """Hands out cached tokens by profile and parameters. Safe for threads and asyncio tasks.

    Parameters
    ----------
    clock : Clock, optional
        For tests.

    Attributes
    ----------
    mode : str
        How this process gets its tokens, as cards show it: "server", "direct", "direct (reason)" or "handle".
    connection_error : TokenError or None
        Only in `RemoteSource`: why the other process did not answer the last request. Otherwise None.
    """

    is_remote: ClassVar[bool] = False
    """Whether this process reports the tokens that it holds to the process that fetches them."""
    mode: str
    connection_error: TokenError | None = None

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(self._fetch_renewable, clock=clock, on_token=self._notify)
        self._watchers: list[tuple[Callable[[Key, Token], None], Callable[[], None] | None]] = []

    # What each source implements

    @abstractmethod
    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """Return the cache key of a call. Raises `TokenError` for an unknown profile or an invalid parameter."""

    @abstractmethod
    def fetch(self, key: Key, ask: Ask) -> Token:
        """Fetch one token without looking into this source's cache. Blocks. Raises `TokenError`."""

    @abstractmethod
    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Create a new token, if the API has a call for that. Blocks; nothing is cached. Raises `TokenError`."""

    def list_values(self, profile: str, param: str, given: Mapping[str, Any]) -> list[Listed]:
        """List the values that a parameter can have, by a call to the API. Blocks.

        Parameters
        ----------
        profile, param : str
            Names of the profile and of the parameter.
        given : mapping
            Parameters that the API needs for the list, in addition to the profile's own.

        Raises
        ------
        TokenError
            The API has no such call, refuses it, or cannot be reached.
        """
        raise ConfigurationError(
            f"The values of parameter {param[:80]!r} cannot be listed in this process.",
            hint="Look the value up in the vendor's console, and pass it yourself.",
            profile=profile,
        )

    def login(self, profile: str, login_id: str | None = None) -> dict[str, Any]:
        """Start a person's login on any device with a browser, or return the state of a running login. Blocks.

        Parameters
        ----------
        profile : str
            Name of the profile.
        login_id : str, optional
            The `id` of a running login; None to start one.

        Returns
        -------
        dict
            Among others `id`, `state` ("waiting", "done" or "failed"), `verification_uri` and `user_code` for the
            person, `interval` (seconds between two calls), `who` (the person who has logged in, or None), and `error`
            (as in `TokenError.to_dict`, or None).

        Raises
        ------
        TokenError
            The profile does not use a login, the login `login_id` is unknown, or a server cannot be reached.
        """
        raise self._no_logins(profile)

    def log_in(self, profile: str, show: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
        """Log a person in on any device with a browser, and wait until the login has ended. Blocks.

        Parameters
        ----------
        profile : str
            Name of the profile.
        show : callable
            Called once with the new login, to show its URL and code to the person.

        Returns
        -------
        dict
            The finished login, see `login`.

        Raises
        ------
        TokenError
            The login cannot be started, or has failed.
        """
        login = self.login(profile)
        show(login)
        pause = threading.Event()
        while login["state"] == "waiting":
            pause.wait(login["interval"])
            login = self.login(profile, login["id"])
        if login["error"] is not None:
            raise TokenError.from_dict(login["error"])
        return login

    def logout(self, profile: str) -> bool | None:
        """Log the person out. Blocks. Raises `TokenError`.

        Returns whether the authorization server has revoked the login; None if nobody was logged in.
        """
        raise self._no_logins(profile)

    def _no_logins(self, profile: str) -> TokenError:
        return ConfigurationError(
            "You cannot log in or out in this process, because it gets tokens with handles.",
            hint="Log in or out where the handle was issued.",
            profile=profile,
        )

    @abstractmethod
    def entries(self) -> list[ProfileEntry]:
        """Return the profiles that this source serves. Raises `TokenError`."""

    @abstractmethod
    def about(self, profile: str) -> About:
        """Return what a card shows about a profile. Raises `TokenError` for an unknown or invalid profile."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections. Tokens already returned stay valid."""

    def endpoint(self, key: Key) -> Endpoint:
        """Return where unmodified SDKs get the token of a key. Blocks. Raises `TokenError` if SDKs cannot get it."""
        raise ConfigurationError(
            "SDKs can only get tokens from a Jupyter server with jupyter_tokens, and this process does not use such a "
            "server.",
            hint="If the SDK can run a program that returns a token, configure it as this command prints: "
            f"jupyter tokens sdk TOOL {key.profile}.",
            profile=key.profile,
        )

    def expire_config(self) -> None:
        """Make the next call check whether the configuration has changed."""

    def report(self, held: Sequence[Mapping[str, Any]]) -> None:
        """Report the tokens that this process holds to the process that fetches them. Raises `TokenError`."""

    def issue(self, handle: Handle, lease: float) -> Handle:
        """Issue a handle, and return it with the issuer's URL. Raises `TokenError`.

        `lease` is in seconds. If no other process fetches the tokens, there is no issuer, and the URL stays empty:
        workers then use their own configuration.
        """
        return handle

    def renew(self, handle: Handle) -> None:
        """Renew the lease of a handle. Raises `TokenError`."""

    def revoke(self, handle: Handle) -> None:
        """Revoke a handle. Raises `TokenError`."""

    # What all sources share

    async def serve(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> tuple[Token, bool]:
        """Return the token as `aget` does, and whether this token was already cached before the call."""
        before = self.held(key)
        token = await self.aget(key, refresh=refresh, newer_than=newer_than)
        return token, before is not None and before.token is token

    def count_valid(self) -> int:
        """Return how many valid tokens are cached."""
        return sum(1 for key in self.keys() if self.standing(key).state in {"fresh", "aging"})

    def profile_standing(self, profile: str) -> tuple[Standing, Key | None]:
        """Return the standing of a profile, and the cache key of this standing.

        A profile has a key for each set of parameters. The key of the call without parameters is used if it has a token
        or an error, otherwise the profile's last key in `keys`. If the profile has no key in `keys`, the state is
        "none". If there is no error under the chosen key, but the refresh of another token of the profile has failed,
        the error and the key of the other token are returned.

        Raises `TokenError` for an unknown or invalid profile.
        """
        keys = [key for key in self.keys() if key.profile == profile]
        shown: Key | None = keys[-1] if keys else None
        with suppress(ParameterError):  # Many profiles need parameters in the call.
            default = self.key(profile)
            shown = default if default in keys else shown or default
        if shown is None:
            return Standing("none", None, None), None
        standing = self.standing(shown)
        if standing.error is None:
            for key in reversed(keys):
                other = self.standing(key)
                if other.token is not None and other.error is not None:
                    return standing._replace(error=other.error), key
        return standing, shown

    def forget(self, key: Key) -> None:
        """Remove what is cached under a key."""
        super().forget(key)
        self._notify_loss()

    def forget_profiles(self, names: Container[str]) -> None:
        """Remove what is cached for these profiles, with any parameters."""
        super().forget_profiles(names)
        self._notify_loss()

    def forget_profile(self, profile: str) -> None:
        """Remove what is cached for a profile, with any parameters."""
        self.forget_profiles({profile})

    def watch(
        self, on_token: Callable[[Key, Token], None], on_loss: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Call `on_token` for each new token; returns an unsubscribe function.

        Parameters
        ----------
        on_token : callable
            Called with key and token, on the thread that fetched the token.
        on_loss : callable, optional
            Called without arguments after tokens were forgotten, for example because their profile has changed.
        """
        watcher = on_token, on_loss
        self._watchers.append(watcher)
        return partial(self._watchers.remove, watcher)

    def _fetch_renewable(self, key: Key, ask: Ask) -> Token:
        _log.debug("%s: fetching (refresh=%s)", key.profile, ask.refresh)
        return self.fetch(key, ask).renewed_by(_Renewal(self, key), key.params)

    def _notify(self, key: Key, token: Token) -> None:
        for on_token, _ in tuple(self._watchers):
            on_token(key, token)

    def _notify_loss(self) -> None:
        for _, on_loss in tuple(self._watchers):
            if on_loss is not None:
                on_loss()
