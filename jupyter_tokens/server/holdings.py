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
    """A token that a kernel holds, as far as this server knows.

    env : the variable that holds it, or None if it is in no environment variable.
    kept_by : who renews it there: "kernel", "server", or None for nobody.
    process : what is another one after a restart; None if that was not known yet.
    """

    kernel_id: str
    profile: str
    env: str | None
    expires_at: datetime | None
    kept_by: str | None = None
    process: object = None

    def told(self) -> dict[str, Any]:
        """What a client may know."""
        return {
            "kernel_id": self.kernel_id,
            "profile": self.profile,
            "env": self.env,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "kept_by": self.kept_by,
        }


class Holdings:
    """The last token of each profile and variable in each kernel."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str | None], Holding] = {}

    def note(self, holding: Holding, kernels: Any = None) -> None:
        """A kernel has been handed a token. kernels : the manager that runs it, unless it is yet to be started."""
        self._keep(_in_its_process(holding, kernels))

    def report(self, kernel_id: str, held: Iterable[Holding], kernels: Any) -> None:
        """A kernel reports all that it holds: what it does not name is gone, but for what the server itself renews."""
        for key, known in list(self._known.items()):
            if known.kernel_id == kernel_id and known.kept_by != "server":
                del self._known[key]
        for holding in held:
            self._keep(_in_its_process(holding, kernels))

    def renewed_by_nobody(self, kernel_id: str, env: str) -> None:
        """The server has stopped renewing what it put into a kernel's variable."""
        for key, known in self._known.items():
            if (known.kernel_id, known.env, known.kept_by) == (kernel_id, env, "server"):
                self._known[key] = replace(known, kept_by=None)

    def _keep(self, holding: Holding) -> None:
        mine = holding.kernel_id, holding.profile, holding.env
        if holding.env is not None:
            # A variable holds one token: the last one.
            for key, known in list(self._known.items()):
                if key != mine and (known.kernel_id, known.env) == (holding.kernel_id, holding.env):
                    del self._known[key]
        self._known[mine] = holding

    def of(self, kernels: Any) -> Iterable[Holding]:
        """Those of the kernels that a manager still runs; what has ended or was restarted is forgotten."""
        self._known = {key: holding for key, holding in self._known.items() if _lives(holding, kernels)}
        return tuple(self._known.values())


def _in_its_process(holding: Holding, kernels: Any) -> Holding:
    if kernels is not None and holding.kernel_id in kernels:
        return replace(holding, process=process_of(kernels.get_kernel(holding.kernel_id)))
    return holding


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
