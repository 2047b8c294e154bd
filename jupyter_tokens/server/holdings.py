"""Which kernels were handed which tokens, as far as this server knows; holds no token."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from .base import INJECT, TokensHandler

__all__ = ["ROUTE", "Holding", "Holdings", "HoldingsHandler", "holdings_of", "process_of"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A token that a kernel was handed last for a profile.

    env : variable that the server set, or None if the kernel fetched the token itself.
    process : what is another one after a restart; None if that was not known yet.
    """

    kernel_id: str
    profile: str
    env: str | None
    expires_at: datetime | None
    process: object = None

    def told(self) -> dict[str, Any]:
        """What a client may know."""
        return {
            "kernel_id": self.kernel_id,
            "profile": self.profile,
            "env": self.env,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


class Holdings:
    """The last token of each profile and variable in each kernel."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str | None], Holding] = {}

    def note(self, holding: Holding, kernels: Any = None) -> None:
        """A kernel has been handed a token. kernels : the manager that runs it, unless it is yet to be started."""
        if kernels is not None and holding.kernel_id in kernels:
            holding = replace(holding, process=process_of(kernels.get_kernel(holding.kernel_id)))
        self._known[holding.kernel_id, holding.profile, holding.env] = holding

    def of(self, kernels: Any) -> Iterable[Holding]:
        """Those of the kernels that a manager still runs; what has ended or was restarted is forgotten."""
        self._known = {key: holding for key, holding in self._known.items() if _lives(holding, kernels)}
        return tuple(self._known.values())


def _lives(holding: Holding, kernels: Any) -> bool:
    if holding.kernel_id not in kernels:
        return False
    return holding.process is None or holding.process == process_of(kernels.get_kernel(holding.kernel_id))


def process_of(kernel: Any) -> object:
    """What is another one after a restart, where the provisioner tells."""
    return getattr(getattr(kernel, "provisioner", None), "pid", None)


def holdings_of(settings: dict[str, Any]) -> Holdings:
    """Those of a server, by its settings."""
    known: Holdings = settings.setdefault("jupyter_tokens_holdings", Holdings())
    return known


class HoldingsHandler(TokensHandler):
    """`jupyter-tokens/holdings`."""

    auth_resource = INJECT

    @web.authenticated
    @authorized(action="read", resource=INJECT)
    async def get(self) -> None:
        """Lists them."""
        known = holdings_of(self.settings).of(self.kernel_manager)
        self.finish(json.dumps({"holdings": [holding.told() for holding in known]}))


ROUTE: tuple[str, type[TokensHandler]] = (r"jupyter-tokens/holdings", HoldingsHandler)
"""Below the server's base URL."""
