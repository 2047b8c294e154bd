"""Who a user's server is to the service of its hub: it shows the token that the hub has made for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .proof import Caller, Trust

__all__ = ["SERVICE_VARIABLE", "TOKEN_VARIABLE", "HubServer"]

SERVICE_VARIABLE = "JUPYTER_TOKENS_SERVICE_URL"
"""Where the service answers; set by the hub's spawner, no secret."""
TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"  # noqa: S105 (a name)
"""The token that the hub gives each server."""


@dataclass(frozen=True, slots=True)
class HubServer(Caller):
    """A user's server under a hub. url : of the service, `http+unix://` for a unix socket."""

    kind = "server"
    header = "Authorization"
    url: str
    token: str = field(repr=False)
    shows_cert: bool = False

    @property
    def peer(self) -> str:
        """See `Caller`."""
        return "the hub's token service"

    @property
    def route(self) -> str:
        """See `Caller`."""
        return "v1"

    @property
    def trust(self) -> Trust | None:
        """See `Caller`."""
        return None

    def prove(self, action: str, body: bytes, *, time: int, nonce: str) -> str:
        """See `Caller`; the hub's token is the whole proof."""
        return f"token {self.token}"
