"""Identifies a user's server to the hub's token service, by the API token that the hub gave the server."""

from __future__ import annotations

from dataclasses import dataclass, field

from .proof import Caller

__all__ = ["SERVICE_VARIABLE", "TOKEN_VARIABLE", "HubServer"]

SERVICE_VARIABLE = "JUPYTER_TOKENS_SERVICE_URL"
"""The environment variable with the service's URL. The hub's spawner sets it. It is not secret."""
TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"  # noqa: S105 (a name)
"""The environment variable with the API token that the hub gives to each server."""


@dataclass(frozen=True, slots=True)
class HubServer(Caller):
    """A user's server under a hub. `url` is the URL of the token service; for a Unix socket it begins with `http+unix://`."""

    kind = "server"
    header = "Authorization"
    peer = "the hub's token service"
    route = "v1"
    trust = None
    url: str
    token: str = field(repr=False)
    shows_cert: bool = False

    def prove(self, action: str, body: bytes, *, time: int, nonce: str) -> str:
        """Return the value of the header `Authorization`. The hub's API token is the proof."""
        return f"token {self.token}"
