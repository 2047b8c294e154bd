"""Tokens from another process, which holds the secrets: here the Jupyter server that started this kernel."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..config.secrets import tell_seen
from ..errors import (
    KernelUnknown,
    ParameterError,
    ServerGone,
    ServerUntrusted,
    TimedOut,
    TokenError,
    UnknownProfile,
)
from ..protocol.messages import About, entries_from_dict, token_from_dict
from .base import TokenSource
from .cache import Ask, Key
from .connection import Connection

if TYPE_CHECKING:
    from ..protocol.identity import Identity
    from ..protocol.messages import ProfileEntry
    from ..token import Token

__all__ = ["RemoteSource"]

_NONE: Mapping[str, Any] = {}
_SECONDS = 60.0
"""Longer than the server waits for a vendor, so that its answer, which says more, comes first."""
_LOOK_SECONDS = 2.0
"""For what the server answers at once, for it needs no vendor."""
_MOST_HOLDINGS = 300
"""In one report, which must fit into what the server takes."""
# The server does not run the extension any more, or it is another server than the one that started this kernel.
_STRANGER = {"unknown_kernel", "http"}
_FAULT = http.client.INTERNAL_SERVER_ERROR


class RemoteSource(TokenSource):
    """Tokens from the Jupyter server that started this kernel. The kernel proves who it is, and holds no secret.

    Parameters
    ----------
    identity : Identity
        Which kernel this is, and where its server answers.
    fallback : TokenSource, optional
        Serves when no server answers; `mode` then says so. None if the configuration forbids that.
    clock : Clock, optional
        For tests.

    Notes
    -----
    `gone` says why the server did not answer the last time (a `TimedOut`: it hangs); None if it did.
    """

    is_remote = True

    def __init__(self, identity: Identity, *, fallback: TokenSource | None = None, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.mode = "server"
        self._fallback = fallback
        self._connection = Connection(identity, self.clock)
        self._answered_at = -inf
        self._about: dict[str, About] = {}

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """What a call is filed under. The server checks profile and parameters; only their types are checked here."""
        written: dict[str, Any] = {}
        for name, value in params.items():
            texts = isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
            if not texts and not isinstance(value, str | int | float | bool | None):
                raise ParameterError(f"Parameter {name} must be text, a list of texts, a number or a truth value.")
            # A magic has text for a number, which is the same to the server.
            written[name] = tuple(value) if texts else str(value) if type(value) is int else value
        return Key(profile, tuple(sorted(written.items())))

    def about(self, profile: str) -> About:
        """What a card shows of a profile: known once a token of it has come."""
        return self._about.get(profile) or About(profile, None, sandbox=False)

    def entries(self) -> list[ProfileEntry]:
        """The profiles that the server lets this kernel use. Without a server the fallback's, if it has any.

        Waits for a server that hangs no longer than a person would.
        """
        try:
            return entries_from_dict(self._call("profiles", {}, seconds=_LOOK_SECONDS))
        except ServerUntrusted:
            raise
        except ServerGone:
            entries = self._fallback.entries() if self._fallback is not None else []
            if not entries:
                raise
            return entries

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Creates a new token at the vendor, through the server; never sent twice."""
        body = {"profile": profile, "params": dict(params), "create": True}
        answer = self._call("token", body, seconds=_SECONDS, fresh=True)
        return self._token(answer)

    def report(self, held: Sequence[Mapping[str, Any]]) -> None:
        """Report to the server all that this kernel holds, and where. Raises `TokenError`."""
        self._call("holdings", {"holdings": list(held[:_MOST_HOLDINGS])}, seconds=_LOOK_SECONDS)

    def close(self) -> None:
        """Close the connections. Tokens that were handed out stay valid."""
        self._connection.close()

    def fetch(self, key: Key, ask: Ask) -> Token:
        """Get one token from the server, or from the fallback. Blocks. Raises `TokenError`."""
        body = {
            "profile": key.profile,
            "params": dict(key.params),
            "refresh": ask.refresh,
            "newer_than": ask.newer_than.isoformat() if ask.newer_than else None,
        }
        try:
            answer = self._call("token", body, seconds=_SECONDS)
        except ServerGone as gone:
            if self._fallback is None or isinstance(gone, ServerUntrusted):
                # The server is there: it is no reason to bring the secret into this process.
                raise
            try:
                local = self._fallback.key(key.profile, dict(key.params))
                token = self._fallback.get(local, refresh=ask.refresh, newer_than=ask.newer_than)
            except UnknownProfile:
                # It is the server's profile: what is wrong is that the server is gone.
                raise gone from None
            self._about[key.profile] = self._fallback.about(key.profile)
            self.mode = f"direct ({gone.message.rstrip('.')})"
            return token
        self.mode = "server"
        return self._token(answer)

    def _token(self, answer: Mapping[str, Any]) -> Token:
        token, about = token_from_dict(answer, now=self.clock.now())
        self._about[token.profile] = about
        # At once: a token without a life is not cached, so no watcher hears of it.
        tell_seen(token.profile, [token])
        return token

    def _call(self, action: str, body: Mapping[str, Any], *, seconds: float, fresh: bool = False) -> dict[str, Any]:
        """One call to the server. fresh : see `Connection.send`."""
        status, answer = self._ask(action, body, seconds=seconds, fresh=fresh)
        if status < http.client.BAD_REQUEST:
            return answer
        raise TokenError.from_dict({"message": f"HTTP {status}", **answer})

    def _ask(
        self, action: str, body: Mapping[str, Any], *, seconds: float, fresh: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer, whatever it says; raises `ServerGone` or `TimedOut` if there is none."""
        meanwhile = self._look if seconds > _LOOK_SECONDS else None
        try:
            text = json.dumps(body).encode()
            status, raw = self._connection.send(action, text, seconds=seconds, meanwhile=meanwhile, fresh=fresh)
            try:
                answer = json.loads(raw)
            except (ValueError, RecursionError):
                answer = None
            if not isinstance(answer, dict):
                raise ServerGone("what answers at the Jupyter server's address is not jupyter_tokens.", status=status)
            if http.client.BAD_REQUEST <= status < _FAULT and answer.get("reason") in _STRANGER:
                raise KernelUnknown(f"the Jupyter server does not serve this kernel (HTTP {status}).", status=status)
        except (ServerGone, TimedOut) as gone:
            self.gone = gone.copy()
            raise
        self.gone, self._answered_at = None, self.clock.elapsed()
        return status, answer

    def _look(self) -> None:
        """A vendor may be slow, but meanwhile the server answers what needs none: raises if it does not."""
        if self.clock.elapsed() > self._answered_at + _LOOK_SECONDS:
            self._ask("profiles", {}, seconds=_LOOK_SECONDS)
