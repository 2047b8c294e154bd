"""Tokens on the workers of a Dask cluster: a plugin for all workers, including those that join later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from distributed import WorkerPlugin

from .._util.loopback import is_loopback
from ..client import issue_handle, revoke_handle
from ..errors import ConfigurationError, TokenError
from . import processes

if TYPE_CHECKING:
    from distributed import Client, Worker

    from ..protocol.handles import Handle

__all__ = ["tokens"]

_NONE: Mapping[str, Any] = {}
_ENCRYPTED_OR_LOCAL = {"tls", "wss", "inproc"}
"""Schemes of Dask addresses whose connections others cannot read. All other schemes are plain, such as tcp and ucx."""
_log = logging.getLogger(__name__)


@contextmanager
def tokens(
    client: Client,
    profile: str,
    /,
    *,
    inject: str | bool = False,
    file: str | None = None,
    lease: float = 900.0,
    url: str | None = None,
    allow_plain: bool = False,
    params: Mapping[str, Any] = _NONE,
    **named_params: Any,
) -> Iterator[Handle]:
    """Let the workers of a cluster fetch a profile's tokens while the `with` block runs.

    Each worker gets the same handle. With it, a `token.auth` that is passed to a task, and `get_token` in a task, get
    tokens from the issuer. Each worker requests a token once in the token's lifetime. Workers that join later get the
    handle too. The handle is revoked at the end of the block.

    Parameters
    ----------
    client : distributed.Client
        The client of the cluster.
    profile : str
        Name of a profile.
    inject, file : optional
        On each worker, keep the token fresh in this environment variable or file: see `workers.processes.install`.
    lease, url, params, **named_params
        See `issue_handle`.
    allow_plain : bool, default False
        Whether the handle may go to other machines over unencrypted connections, and tokens over plain HTTP.

    Raises
    ------
    TokenError
        If the handle cannot be issued.
    ConfigurationError
        If the client is asynchronous; or if the handle or tokens would go to other machines unencrypted, and
        `allow_plain` is False.
    """
    if client.asynchronous:
        raise ConfigurationError("The Dask client is asynchronous.", hint="Use a synchronous client: Client(cluster).")
    if not allow_plain:
        _check_encryption(client)
    handle = issue_handle(profile, lease=lease, url=url, allow_plain=allow_plain, params={**params, **named_params})
    plugin = _Tokens(handle, inject, file)
    try:
        client.register_plugin(plugin)
        yield handle
    finally:
        try:
            revoke_handle(handle)
        except TokenError as error:
            _log.debug("%s: the handle ends with its lease: %s", profile, error.message)
        with suppress(OSError):
            # The cluster may have been closed in the `with` block.
            client.unregister_worker_plugin(plugin.name)


class _Tokens(WorkerPlugin):
    """Installs a handle. The scheduler keeps and logs this object in pickled form."""

    def __init__(self, handle: Handle, inject: str | bool, file: str | None) -> None:
        self.name = f"jupyter_tokens {handle.profile} {handle.id}"
        self._handle = handle
        self._inject = inject
        self._file = file

    async def setup(self, worker: Worker) -> None:
        """Install the handle on a worker. Uses a thread, because a fetch must not block the worker's event loop."""
        await asyncio.to_thread(processes.install, self._handle, inject=self._inject, file=self._file)

    async def teardown(self, worker: Worker) -> None:
        await asyncio.to_thread(processes.uninstall, self._handle)


def _check_encryption(client: Client) -> None:
    info = client.scheduler_info(n_workers=-1)
    for address in (info["address"], *info["workers"]):
        parts = urlsplit(address)
        if parts.scheme not in _ENCRYPTED_OR_LOCAL and not is_loopback(address):
            raise ConfigurationError(
                f"The handle would go over an unencrypted connection ({address}), where others can read it.",
                hint="Use a cluster with TLS (distributed.comm.require-encryption), or, on a private network, pass "
                "allow_plain=True.",
            )
