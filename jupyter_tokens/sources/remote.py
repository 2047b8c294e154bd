"""Tokens from the Jupyter server that started this kernel; proves who the kernel is, and holds no secret.

The same broker as in direct mode stands in front: what differs is where it fetches from.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ..clock import Clock, SystemClock, utc
from ..config.secrets import tell_seen
from ..errors import (
    REASONS,
    ParameterError,
    ResponseError,
    ServerGone,
    ServerUntrusted,
    TimedOut,
    TokenError,
    UnknownProfile,
)
from ..token import Token
from .cache import Ask, Broker, Held, Key
from .connection import Wire
from .local import About, ProfileEntry, Renewal

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..protocol.identity import Identity

__all__ = ["Fallback", "ServerSource", "error_of"]

_SECONDS = 60.0
"""Longer than the server waits for a vendor, so that its answer, which says more, comes first."""
_LOOK_SECONDS = 2.0
"""For what the server answers at once, for it needs no vendor."""
_MOST_HOLDINGS = 300
"""In one report, which must fit into what the server takes."""
# The server does not run the extension any more, or it is another server than the one that started this kernel.
_STRANGER = {"unknown_kernel", "http"}
_FAULT = http.client.INTERNAL_SERVER_ERROR


class Fallback(Protocol):
    """What serves when no server does."""

    def get_direct(self, profile: str, params: Mapping[str, Any], ask: Ask) -> Token:
        """A token by the profiles of this process."""

    def about(self, profile: str) -> About:
        """What a card tells of a profile."""

    def entries(self) -> list[ProfileEntry]:
        """The profiles of this process."""


class ServerSource:
    """See `jupyter_tokens.sources.local.Source`, whose methods it has.

    fallback : serves what the server cannot, and says so in `mode`; None if the configuration forbids that.
    gone : why the server did not answer when it was last asked (a `TimedOut`: it hangs); None if it did.
    """

    def __init__(self, identity: Identity, *, fallback: Fallback | None = None, clock: Clock | None = None) -> None:
        self.mode = "server"
        self.gone: TokenError | None = None
        self._fallback = fallback
        self._clock = clock or SystemClock()
        self._wire = Wire(identity, self._clock)
        self._answered_at = -inf
        self._about: dict[str, About] = {}
        self._watchers: list[tuple[Callable[[Key, Token], None], Callable[[], None] | None]] = []
        self._broker = Broker(self._fetch, clock=self._clock, arrived=self._arrived)

    def key(self, profile: str, params: Mapping[str, Any] | None = None) -> Key:
        """What a call is filed under. The server checks profile and parameters; only their types are checked here."""
        for name, value in (params or {}).items():
            if not isinstance(value, str | int | float | bool | None):
                raise ParameterError(f"Parameter {name} must be text, a number or a truth value.", unsent=True)
        # A magic has text for a number, which is the same to the server.
        written = {name: str(value) if type(value) is int else value for name, value in (params or {}).items()}
        return Key(profile, tuple(sorted(written.items())))

    def about(self, profile: str) -> About:
        """What a card tells of a profile: known once a token of it has come."""
        return self._about.get(profile) or About(profile, None, sandbox=False)

    def get(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """See `Broker.get`."""
        return self._broker.get(key, refresh=refresh, newer_than=newer_than)

    async def aget(self, key: Key, *, refresh: bool = False, newer_than: datetime | None = None) -> Token:
        """See `Broker.aget`."""
        return await self._broker.aget(key, refresh=refresh, newer_than=newer_than)

    def entries(self) -> list[ProfileEntry]:
        """The profiles that the server lets this kernel use. Without a server the fallback's, if it has any.

        Waits for a server that hangs no longer than a person would.
        """
        try:
            return self._entries(self._call("profiles", {}, seconds=_LOOK_SECONDS))
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
        return self._token(answer, None)

    def report(self, held: Sequence[Mapping[str, Any]]) -> None:
        """Reports to the server all that this kernel holds, and where. Raises `TokenError`."""
        self._call("holdings", {"holdings": list(held[:_MOST_HOLDINGS])}, seconds=_LOOK_SECONDS)

    def held(self, key: Key) -> Held | None:
        """See `Broker.held`."""
        return self._broker.held(key)

    def begin(self, key: Key) -> Future[Token]:
        """See `Broker.begin`."""
        return self._broker.begin(key)

    def forget(self, key: Key) -> None:
        """See `Broker.forget`. The server keeps its own for the other kernels."""
        self._broker.forget(key)
        for _, lost in tuple(self._watchers):
            if lost is not None:
                lost()

    def watch(
        self, arrived: Callable[[Key, Token], None], lost: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """See `Source.watch`."""
        watcher = arrived, lost
        self._watchers.append(watcher)
        return partial(self._watchers.remove, watcher)

    def close(self) -> None:
        """Closes the connections."""
        self._wire.close()

    def _arrived(self, key: Key, token: Token) -> None:
        for arrived, _ in tuple(self._watchers):
            arrived(key, token)

    def _fetch(self, key: Key, ask: Ask) -> Token:
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
                token = self._fallback.get_direct(key.profile, dict(key.params), ask)
            except UnknownProfile:
                # It is the server's profile: what is wrong is that the server is gone.
                raise gone from None
            self._about[key.profile] = self._fallback.about(key.profile)
            self.mode = f"direct ({gone.message.rstrip('.')})"
            return token.renewed_by(Renewal(self._broker, key))
        self.mode = "server"
        return self._token(answer, Renewal(self._broker, key))

    def _token(self, answer: Mapping[str, Any], renew: Callable[[Token | None], Token] | None) -> Token:
        try:
            left, obtained = answer["expires_in"], datetime.fromisoformat(answer["obtained_at"])
            # By the time that is left, not by the server's clock, which may be another machine's.
            ends = None if left is None else utc(self._clock.now()) + timedelta(seconds=left)
            self._about[answer["profile"]] = About(answer["title"], answer["env"], sandbox=answer["sandbox"])
            token = Token(
                answer["value"],
                profile=answer["profile"],
                provider=answer["provider"],
                obtained_at=obtained,
                expires_at=ends,
                scheme=answer["scheme"],
                metadata=answer["metadata"],
                renew=renew,
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise _misshapen() from None
        # At once: what keeps nothing is not told by the broker, and another may replace this one soon.
        tell_seen(token.profile, [token])
        return token

    @staticmethod
    def _entries(answer: Mapping[str, Any]) -> list[ProfileEntry]:
        try:
            schemas, may_reveal = answer["params"], answer["may_reveal"]
            return [
                ProfileEntry(
                    profile["name"],
                    title=profile["title"] or "",
                    provider=profile["provider"],
                    env=profile["env"],
                    sandbox=profile["sandbox"],
                    params=profile["params"],
                    schema=schemas.get(profile["provider"], {}),
                    # With a provider it is a failed fetch of the server's, which says nothing of this kernel's token.
                    error=None if profile["provider"] else error_of(profile["error"], profile["name"]),
                    may_reveal=may_reveal,
                )
                for profile in answer["profiles"]
            ]
        except (KeyError, TypeError, AttributeError):
            raise _misshapen() from None

    def _call(self, action: str, body: Mapping[str, Any], *, seconds: float, fresh: bool = False) -> dict[str, Any]:
        """One call to the server. fresh : see `Wire.send`."""
        status, answer = self._ask(action, body, seconds=seconds, fresh=fresh)
        if status < http.client.BAD_REQUEST:
            return answer
        raise error_of(answer, status=status)

    def _ask(
        self, action: str, body: Mapping[str, Any], *, seconds: float, fresh: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer, whatever it says; raises `ServerGone` or `TimedOut` if there is none."""
        meanwhile = self._look if seconds > _LOOK_SECONDS else None
        try:
            text = json.dumps(body).encode()
            status, raw = self._wire.send(action, text, seconds=seconds, meanwhile=meanwhile, fresh=fresh)
            try:
                answer = json.loads(raw)
            except (ValueError, RecursionError):
                answer = None
            if not isinstance(answer, dict):
                raise ServerGone("what answers at the Jupyter server's address is not jupyter_tokens.", status=status)
            if http.client.BAD_REQUEST <= status < _FAULT and answer.get("reason") in _STRANGER:
                raise ServerGone(f"the Jupyter server does not serve this kernel (HTTP {status}).", status=status)
        except (ServerGone, TimedOut) as gone:
            self.gone = gone.copy()
            raise
        self.gone, self._answered_at = None, self._clock.elapsed()
        return status, answer

    def _look(self) -> None:
        """A vendor may be slow, but meanwhile the server answers what needs none: raises if it does not."""
        if self._clock.elapsed() > self._answered_at + _LOOK_SECONDS:
            self._ask("profiles", {}, seconds=_LOOK_SECONDS)


def _misshapen() -> ResponseError:
    return ResponseError(
        "The Jupyter server's answer has not the form that this version expects.",
        hint="Install the same version of jupyter_tokens for the server and the kernel.",
    )


def error_of(facts: Mapping[str, Any], profile: str | None = None, *, status: int | None = None) -> TokenError:
    """The error that the server tells of. status : of the server's answer."""
    kind = REASONS.get(str(facts.get("reason")), TokenError)
    hint, vendors = _text(facts, "hint") or "", facts.get("status")
    return kind(
        str(facts.get("message") or f"HTTP {status}").removesuffix(hint).rstrip(),
        hint=hint,
        status=vendors if isinstance(vendors, int) else None,
        code=_text(facts, "code"),
        request_id=_text(facts, "request_id"),
        retryable=bool(facts.get("retryable")),
        provider=_text(facts, "provider"),
        profile=_text(facts, "profile") or profile,
    )


def _text(facts: Mapping[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None
