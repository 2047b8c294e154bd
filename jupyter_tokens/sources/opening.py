"""Opens this process's source of tokens: handles, the Jupyter server, or the process's own configuration."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from ..config.files import load_mode
from ..errors import ConfigurationError
from ..protocol.handles import Handle
from ..protocol.proof import identity, missing_identity
from .handles import HandleSource
from .local import LocalSource
from .remote import RemoteSource

if TYPE_CHECKING:
    from ..clock import Clock
    from ..config.profiles import Profiles
    from ..transport import Transport
    from .base import TokenSource

__all__ = ["HANDLE_VARIABLE", "add_handle", "open_source", "remove_handle"]

HANDLE_VARIABLE = "JUPYTER_TOKENS_HANDLE"
"""The variable with the path of a handle's file for this process (`jupyter tokens handle NAME --file PATH`)."""
_log = logging.getLogger(__name__)


def open_source(
    profiles: Profiles | None, clock: Clock | None, transport: Transport | None, handles: Iterable[Handle]
) -> TokenSource:
    """Open the source of this process. Raises `ConfigurationError`.

    Parameters
    ----------
    profiles : Profiles or None
        Use these profiles instead of Jupyter's configuration.
    clock, transport : optional
        For tests.
    handles : iterable of Handle
        The handles that were installed in this process, the latest handle last.
    """
    open_local = partial(_open_local, profiles, clock, transport)
    installed = list(handles)
    if profiles is None and HANDLE_VARIABLE in os.environ:
        _log.debug("source: the handle in the file that %s names", HANDLE_VARIABLE)
        installed.insert(0, Handle.read(os.environ[HANDLE_VARIABLE]))
    return HandleSource(open_local, installed, clock=clock) if installed else open_local()


def add_handle(source: TokenSource, handle: Handle) -> HandleSource:
    """Return a source that also uses this handle. It is `source` itself if `source` is a `HandleSource` already."""
    if isinstance(source, HandleSource):
        source.add(handle)
        return source
    return HandleSource(lambda: source, [handle])


def remove_handle(source: TokenSource, handle: Handle) -> None:
    """Stop using a handle."""
    if isinstance(source, HandleSource):
        source.remove(handle)


def _open_local(profiles: Profiles | None, clock: Clock | None, transport: Transport | None) -> TokenSource:
    mode = "direct" if profiles is not None else load_mode()
    local = LocalSource(profiles, clock=clock, transport=transport)
    if mode == "direct":
        if profiles is None:
            local.mode = "direct (TokenProfiles.mode)"
        _log.debug("source: %s", local.mode)
        return local
    kernel = identity()
    if kernel is not None:
        _log.debug("source: the Jupyter server, %s", "with a fallback" if mode == "auto" else "without a fallback")
        return RemoteSource(kernel, fallback=local if mode == "auto" else None, clock=clock)
    if mode == "server":
        raise ConfigurationError(
            f"TokenProfiles.mode is 'server', but {missing_identity()}.",
            hint="Set TokenProfiles.mode to 'auto' or 'direct'.",
        )
    local.mode = f"direct ({missing_identity()})"
    _log.debug("source: %s", local.mode)
    return local
