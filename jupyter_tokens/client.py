"""`get_token`, `aget_token`, `create_token` and `Client`: tokens by profile name in any Python process."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .errors import ConfigurationError

if TYPE_CHECKING:
    from .clock import Clock
    from .config.profiles import Profiles
    from .sources.base import TokenSource
    from .sources.cache import Key
    from .token import Token
    from .transport import Transport

__all__ = ["Client", "aget_token", "create_token", "get_token", "shared_client"]

_NONE: Mapping[str, Any] = {}
_log = logging.getLogger(__name__)


class Client:
    """Fetches and caches tokens by profile and parameters. Safe for threads and asyncio tasks.

    Tokens come from the Jupyter server that started this kernel. Without such a server, this process fetches them by
    its own profiles.

    Parameters
    ----------
    profiles : Profiles, optional
        Use these profiles instead of Jupyter's configuration.
    clock, transport : optional
        For tests.
    """

    def __init__(
        self, profiles: Profiles | None = None, *, clock: Clock | None = None, transport: Transport | None = None
    ) -> None:
        self._open: Callable[[], TokenSource] = partial(_open_source, profiles, clock, transport)
        self._source: TokenSource | None = None
        self._lock = threading.Lock()
        _clients.add(self)

    @property
    def source(self) -> TokenSource:
        """The source of the tokens. It is opened at first use, because that imports the providers and httpx."""
        if self._source is None:
            with self._lock:
                if self._source is None:
                    self._source = self._open()
        return self._source

    @property
    def opened(self) -> TokenSource | None:
        """The source if it has been used already, else None."""
        return self._source

    def get(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """Return a token from the cache, or fetch it: `get_token` with this client. Blocks."""
        source = self.source
        return source.get(source.key(profile, params), refresh=refresh)

    async def aget(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """Return a token from the cache, or fetch it: `aget_token` with this client."""
        source = self.source
        return await source.aget(source.key(profile, params), refresh=refresh)

    def forget(self, key: Key) -> None:
        """Remove the token of a key from the cache."""
        self.source.forget(key)

    def keys(self) -> list[Key]:
        """The keys that have a token (even an expired one) or whose last fetch failed."""
        return self.source.keys()

    def after_fork(self) -> None:
        """Start afresh in a forked child: threads, connections and locks belong to the parent."""
        self._source = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections. Tokens already returned stay valid."""
        if self._source is not None:
            self._source.close()


def _open_source(profiles: Profiles | None, clock: Clock | None, transport: Transport | None) -> TokenSource:
    from .config.files import load_mode  # noqa: PLC0415 (configuration, cache and providers load at first use)
    from .protocol.proof import identity, missing_identity  # noqa: PLC0415
    from .sources.local import LocalSource  # noqa: PLC0415

    mode = "direct" if profiles is not None else load_mode()
    local = LocalSource(profiles, clock=clock, transport=transport)
    if mode == "direct":
        if profiles is None:
            local.mode = "direct (TokenProfiles.mode)"
        _log.debug("source: %s", local.mode)
        return local
    kernel = identity()
    if kernel is not None:
        from .sources.remote import RemoteSource  # noqa: PLC0415

        _log.debug("source: the Jupyter server, %s", "or direct without it" if mode == "auto" else "alone")
        return RemoteSource(kernel, fallback=local if mode == "auto" else None, clock=clock)
    if mode == "server":
        raise ConfigurationError(
            "TokenProfiles.mode is 'server', but no Jupyter server that runs jupyter_tokens has started this process.",
            hint="Set it to 'auto' or 'direct'.",
        )
    local.mode = f"direct ({missing_identity()})"
    _log.debug("source: %s", local.mode)
    return local


_shared: Client | None = None
_clients: WeakSet[Client] = WeakSet()
_lock = threading.Lock()


def shared_client() -> Client:
    """The client of this process, which reads Jupyter's configuration."""
    global _shared  # noqa: PLW0603 (one per process is the point)
    if _shared is None:
        with _lock:
            _shared = _shared or Client()
    return _shared


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 (another thread may have held it when the process forked)
    _lock = threading.Lock()
    for client in tuple(_clients):
        client.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch (not on Windows)
    os.register_at_fork(after_in_child=_after_fork)


def get_token(
    profile: str, /, *, refresh: bool = False, params: Mapping[str, Any] = _NONE, **named_params: Any
) -> Token:
    """Return a token for a profile, from the cache if it is fresh. Blocks only while a token is fetched.

    Parameters
    ----------
    profile : str
        Name of a profile in `jupyter_tokens_config`.
    refresh : bool, default False
        Fetch a new token even if the cached one is fresh.
    params : mapping, optional
        Parameters of the API by the vendor's names. Use it for names that are not valid Python keywords.
    **named_params
        Parameters of the API as keywords. Both add to, or override, the profile's `params`.

    Returns
    -------
    Token
        An opaque object: `reveal()`, `headers()` and `auth` give access to its value.

    Raises
    ------
    TokenError
        If the token cannot be fetched. It holds the vendor's code and request id if there are any.
    """
    return shared_client().get(profile, {**params, **named_params}, refresh=refresh)


async def aget_token(
    profile: str, /, *, refresh: bool = False, params: Mapping[str, Any] = _NONE, **named_params: Any
) -> Token:
    """`get_token` for coroutines. Cancelling one call does not affect other callers that wait for the same token."""
    return await shared_client().aget(profile, {**params, **named_params}, refresh=refresh)


def create_token(profile: str, /, *, params: Mapping[str, Any] = _NONE, **named_params: Any) -> Token:
    """Create a new token, if the API has a call for that (Astra Control: `name=…`).

    The token is neither cached nor kept fresh. It is valid until you revoke it.

    Parameters
    ----------
    profile : str
        Name of a profile in `jupyter_tokens_config`.
    params, **named_params
        Parameters of the API, as in `get_token`.

    Returns
    -------
    Token
        The new token, with its value.

    Raises
    ------
    TokenError
        If the API has no such call, or the call fails.
    """
    return shared_client().source.create(profile, {**params, **named_params})
