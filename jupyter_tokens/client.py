"""The Python interface: `get_token`, `issue_handle`, `Client` and related functions."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .errors import ConfigurationError
from .protocol.handles import Handle, check_url
from .sources.leases import Leases

if TYPE_CHECKING:
    from .clock import Clock
    from .config.profiles import Profiles
    from .sources.base import TokenSource
    from .token import Token
    from .transport import Transport

__all__ = [
    "Client",
    "aget_token",
    "create_token",
    "get_token",
    "issue_handle",
    "revoke_handle",
    "shared_client",
]

_NONE: Mapping[str, Any] = {}
_clients: WeakSet[Client] = WeakSet()
_log = logging.getLogger(__name__)


class Client:
    """Fetches and caches tokens by profile and parameters. Safe for threads and asyncio tasks.

    By default, the tokens come from the Jupyter server that started this kernel. Without such a server, or if it cannot
    be reached, this process fetches the tokens with its own profiles. `TokenProfiles.mode` changes this default. If a
    handle for a profile is installed (see `issue_handle`), its issuer provides the profile's tokens instead.

    Parameters
    ----------
    profiles : Profiles, optional
        Use these profiles instead of Jupyter's configuration. Tokens are then fetched in this process.
    clock, transport : optional
        Replace the clock and the network in tests.
    """

    def __init__(
        self, profiles: Profiles | None = None, *, clock: Clock | None = None, transport: Transport | None = None
    ) -> None:
        self._options = profiles, clock, transport
        self._source: TokenSource | None = None
        self._handles: dict[str, Handle] = {}
        self.leases = Leases()
        """The leases of the handles that this process has requested with `issue_handle`."""
        self._lock = threading.Lock()
        _clients.add(self)

    @property
    def source(self) -> TokenSource:
        """The source of the tokens. Raises `TokenError` if it cannot be opened.

        The source is opened when it is first used, because opening it imports the providers and httpx.
        """
        # Without the lock if it is open: `install` and `uninstall` hold the lock while a session, which reads this
        # property, reacts to the tokens that they remove.
        if self._source is None:
            with self._lock:
                if self._source is None:
                    from .sources.opening import open_source  # noqa: PLC0415 (see the docstring)

                    self._source = open_source(*self._options, self._handles.values())
        return self._source

    @property
    def opened(self) -> TokenSource | None:
        """The source if it is already open, else None. Unlike `source`, this property does not open the source."""
        return self._source

    def get(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """Return a token from the cache, or fetch it. Blocks. See `get_token`."""
        source = self.source
        return source.get(source.key(profile, params), refresh=refresh)

    async def aget(self, profile: str, params: Mapping[str, Any] = _NONE, *, refresh: bool = False) -> Token:
        """Return a token from the cache, or fetch it, without blocking the event loop. See `aget_token`."""
        source = self.source
        return await source.aget(source.key(profile, params), refresh=refresh)

    def install(self, handle: Handle) -> None:
        """Use a handle for its profile from now on. Does nothing if this process itself has requested the handle."""
        if self.leases.has(handle):
            return
        with self._lock:
            self._handles[handle.id] = handle
            if self._source is not None:
                from .sources.opening import add_handle  # noqa: PLC0415 (as in `source`)

                self._source = add_handle(self._source, handle)

    def uninstall(self, handle: Handle) -> None:
        """Stop using a handle."""
        with self._lock:
            self._handles.pop(handle.id, None)
            if self._source is not None:
                from .sources.opening import remove_handle  # noqa: PLC0415 (as in `source`)

                remove_handle(self._source, handle)

    def after_fork(self) -> None:
        """Reset the client in a forked child, because threads, connections and locks belong to the parent."""
        self._source = None
        self._lock = threading.Lock()
        self.leases.after_fork()

    def close(self) -> None:
        """Revoke the handles that this process has requested, and close the connections. Tokens stay valid."""
        self.leases.close()
        if self._source is not None:
            self._source.close()


_shared = Client()


def shared_client() -> Client:
    """Return the shared client of this process. It uses Jupyter's configuration."""
    return _shared


def _after_fork() -> None:
    for client in tuple(_clients):
        client.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch (not on Windows)
    os.register_at_fork(after_in_child=_after_fork)


def get_token(
    profile: str, /, *, refresh: bool = False, params: Mapping[str, Any] = _NONE, **named_params: Any
) -> Token:
    """Return a token for a profile, from the cache or newly fetched. Blocks only while a token is fetched.

    Parameters
    ----------
    profile : str
        Name of a profile in `jupyter_tokens_config`.
    refresh : bool, default False
        Fetch a new token even if the cached token is fresh.
    params : mapping, optional
        Parameters of the API by the vendor's names. Needed for names that cannot be Python keyword arguments.
    **named_params
        Parameters of the API as keyword arguments. A keyword argument overrides the same name in `params`. Both add to,
        or override, the profile's parameters.

    Returns
    -------
    Token
        An opaque object: `reveal()`, `headers()` and `auth` give access to its value.

    Raises
    ------
    TokenError
        If the configuration or a parameter is wrong, or if the token cannot be fetched. The error contains the vendor's
        code and request id if the API returned them.
    """
    return shared_client().get(profile, {**params, **named_params}, refresh=refresh)


async def aget_token(
    profile: str, /, *, refresh: bool = False, params: Mapping[str, Any] = _NONE, **named_params: Any
) -> Token:
    """Return a token as `get_token` does, without blocking the event loop.

    If a call is cancelled, other callers that wait for the same token are not affected.
    """
    return await shared_client().aget(profile, {**params, **named_params}, refresh=refresh)


def create_token(profile: str, /, *, params: Mapping[str, Any] = _NONE, **named_params: Any) -> Token:
    """Create a new token, if the API has a call that creates tokens (Astra Control: `name=…`). Blocks.

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
        If the API has no such call, the profile does not allow it (`allow_create`), or the call fails.
    """
    return shared_client().source.create(profile, {**params, **named_params})


def issue_handle(
    profile: str,
    /,
    *,
    lease: float = 900.0,
    url: str | None = None,
    allow_plain: bool = False,
    params: Mapping[str, Any] = _NONE,
    **named_params: Any,
) -> Handle:
    """Return a new handle, with which workers fetch the tokens of one profile. Blocks.

    A handle contains a key, but no token and none of the profile's secrets.

    The issuer is the Jupyter server that started this kernel, or the hub's token service for profiles that this service
    grants. This process renews the handle's lease as long as the process runs, and revokes the handle when the process
    ends. Without a Jupyter server, or if it cannot be reached, there is no issuer: then workers use their own
    configuration, and only take profile and parameters from the handle.

    Parameters
    ----------
    profile : str
        Name of a profile in `jupyter_tokens_config`.
    lease : float, default 900
        Length of the lease in seconds. If this process is killed, nothing renews the lease, and the handle ends with
        the lease.
    url : str, optional
        The issuer's URL for workers, if it differs from the URL that this kernel uses. For example
        "https://my.host:8888/jupyter-tokens".
    allow_plain : bool, default False
        Whether workers on other machines may use plain HTTP.
    params, **named_params
        Parameters of the API, as in `get_token`. If there is an issuer, workers cannot use other parameters.

    Returns
    -------
    Handle
        Pass it to `workers.processes.install` in each worker. Its key gives access to the profile's tokens until the
        lease ends: only send the handle over connections that others cannot read.

    Raises
    ------
    TokenError
        If the profile or a parameter is wrong, or the server does not issue the handle.
    ConfigurationError
        If the issuer's URL has an unknown scheme, or if workers would fetch tokens from another machine over plain HTTP
        and `allow_plain` is False, or if this process itself gets its tokens with handles.
    """
    client = shared_client()
    call_params = {**params, **named_params}
    client.source.key(profile, call_params)
    handle = client.source.issue(Handle.new(profile, call_params), lease)
    if not handle.url:
        _log.debug("%s: the handle has no issuer: workers use their own configuration", profile)
        return handle
    client.leases.add(handle, client.source, lease)
    try:
        for_workers = handle if url is None else replace(handle, url=url)
        check_url(for_workers.url, allow_plain=allow_plain)
    except ConfigurationError:
        revoke_handle(handle)
        raise
    return for_workers


def revoke_handle(handle: Handle) -> None:
    """Revoke a handle from `issue_handle`, so that workers get no further tokens with the handle.

    Tokens that workers already have stay valid until they expire. A handle that this process has already revoked, or
    that was issued for another process, is ignored.

    Raises
    ------
    TokenError
        If the issuer cannot be reached. The handle then ends with its lease.
    """
    shared_client().leases.revoke(handle)
