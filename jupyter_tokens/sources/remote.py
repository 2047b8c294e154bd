"""`RemoteSource`: gets tokens from another process, usually the Jupyter server that started this kernel."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from .._util.loopback import is_loopback
from ..clock import Clock
from ..config.secrets import notify_watchers
from ..errors import (
    ConfigurationError,
    KernelUnknown,
    ParameterError,
    ServerGone,
    ServerUntrusted,
    TimedOut,
    TokenError,
    UnknownProfile,
)
from ..protocol.handles import normalise_params
from ..protocol.messages import About, entries_from_dict, token_from_dict, unexpected_response
from ..protocol.proof import Identity
from ..providers.base import Listed
from ..token import Secret
from .base import Endpoint, TokenSource
from .cache import Ask, Key
from .connection import Connection

if TYPE_CHECKING:
    from ..protocol.handles import Handle
    from ..protocol.messages import ProfileEntry
    from ..protocol.proof import Caller
    from ..token import Token

__all__ = ["RemoteSource", "remote_key"]

_log = logging.getLogger(__name__)
_NONE: Mapping[str, Any] = {}
_QUICK_SECONDS = 2.0
"""Time limit for calls that the server answers without a vendor's API, in seconds."""
_MAX_HOLDINGS = 300
"""Maximum number of tokens in one report, so that the server accepts the size of the report."""
# These reasons mean that another server started this kernel, or that the server has no such route.
_UNKNOWN_CALLER = {"unknown_kernel", "http"}
_FAULT = http.client.INTERNAL_SERVER_ERROR


class RemoteSource(TokenSource):
    """Gets tokens from another process, which holds the secrets. Each call proves the identity of this process.

    Parameters
    ----------
    caller : Caller
        The identity of this process and the URL of the other process, such as a kernel and its Jupyter server.
    fallback : TokenSource, optional
        Used if the server cannot be reached or does not know this process; `mode` then shows the reason. Not used if
        the server hangs, or if a certificate is not accepted. None for no fallback.
    clock : Clock, optional
        For tests.

    Notes
    -----
    `connection_error` is why the server did not answer the last request (`TimedOut`: the server hangs), or None.
    """

    is_remote = True

    token_seconds: ClassVar[float] = 660.0
    """Time limit for fetching a token, in seconds. The `timeout` of every profile is shorter, so that the server's own
    error, which says more, comes first. If the server hangs, `_check_alive` notices this long before the limit."""

    def __init__(self, caller: Caller, *, fallback: TokenSource | None = None, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.mode = "server"
        self._caller = caller
        self._fallback = fallback
        self._connection = Connection(caller, self.clock)
        self._answered_at = -inf
        self._about: dict[str, About] = {}

    def key(self, profile: str, params: Mapping[str, Any] = _NONE) -> Key:
        """Return the cache key of a call. Only the types of parameters are checked here; the server checks the rest."""
        return remote_key(profile, params)

    def about(self, profile: str) -> About:
        """Return what a card shows about a profile. Before the first token of the profile, only its name is known."""
        return self._about.get(profile) or About(profile, None, sandbox=False)

    def entries(self) -> list[ProfileEntry]:
        """Return the profiles that the server lets this process use, or the fallback's if the server is gone.

        The time limit is short, because a person is waiting for the list. Raises `TokenError`.
        """
        try:
            return entries_from_dict(self._call("profiles", {}, seconds=_QUICK_SECONDS))
        except ServerGone as gone:
            entries = self._fallback_for(gone).entries()
            if not entries:
                raise
            return entries

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        """Create a new token through the server. The call is never sent twice. Raises `TokenError`."""
        body = {"profile": profile, "params": dict(params), "create": True}
        answer = self._call("token", body, seconds=self.token_seconds, fresh=True)
        return self._token(answer)

    def list_values(self, profile: str, param: str, given: Mapping[str, Any]) -> list[Listed]:
        body = {"profile": profile, "param": param, "params": dict(given)}
        try:
            answer = self._call("values", body, seconds=self.token_seconds, fresh=True)
        except ServerGone as gone:
            return self._fallback_for(gone).list_values(profile, param, given)
        try:
            return [Listed(one["id"], one["label"]) for one in answer["values"]]
        except (KeyError, TypeError):
            raise unexpected_response() from None

    def login(self, profile: str, login_id: str | None = None) -> dict[str, Any]:
        body = {"profile": profile} if login_id is None else {"profile": profile, "id": login_id}
        answer = self._call("login", body, seconds=self.token_seconds, fresh=True)
        if answer.get("state") == "done":
            # Otherwise the refusal of the old login would keep this process from requesting a token of the new login.
            self.forget_profile(profile)
        return answer

    def logout(self, profile: str) -> bool | None:
        answer = self._call("login", {"profile": profile, "logout": True}, seconds=self.token_seconds, fresh=True)
        self.forget_profile(profile)
        return bool(answer.get("revoked")) if answer.get("was_logged_in") else None

    def endpoint(self, key: Key) -> Endpoint:
        """Return the server's endpoint at which unmodified SDKs get the token of a key. Raises `TokenError`."""
        caller = self._caller
        if not isinstance(caller, Identity):
            return super().endpoint(key)
        if not caller.url.startswith("http://") or not is_loopback(caller.url):
            raise ConfigurationError(
                "SDKs can only get tokens from a Jupyter server with an http:// URL on a loopback address: they do not "
                "trust a server's own certificate, and other machines could read plain HTTP.",
                hint="Put the token into a variable or a file, or let the SDK run `jupyter tokens get`.",
                profile=key.profile,
            )
        answer = self._call("sdk", {"profile": key.profile, "params": dict(key.params)}, seconds=_QUICK_SECONDS)
        secret = Secret(str(answer.get("secret", "")))
        notify_watchers(key.profile, [secret])
        return Endpoint(f"{self.routes_url}/sdk/{{tool}}/{quote(key.profile, safe='')}", secret)

    def report(self, held: Sequence[Mapping[str, Any]]) -> None:
        """Report to the server which tokens this kernel holds, at most 300 of them. Raises `TokenError`."""
        self._call("holdings", {"holdings": list(held[:_MAX_HOLDINGS])}, seconds=_QUICK_SECONDS)

    def issue(self, handle: Handle, lease: float) -> Handle:
        """Issue a handle through the server, or issue the same handle again. Raises `TokenError`.

        If the server cannot be reached, the fallback returns the handle without an issuer's URL.
        """
        body = {"id": handle.id, "key": handle.key.hex(), "profile": handle.profile, "params": dict(handle.params)}
        try:
            answer = self._call("handles", {**body, "lease": lease}, seconds=_QUICK_SECONDS)
        except ServerGone as gone:
            return self._fallback_for(gone).issue(handle, lease)
        try:
            # The hub's service does not know the URL by which this process reaches it.
            return replace(handle, url=str(answer["url"] or self.routes_url), certificate=answer["certificate"])
        except KeyError:
            raise unexpected_response() from None

    def renew(self, handle: Handle) -> None:
        self._call(f"handles/{handle.id}/renew", {}, seconds=_QUICK_SECONDS)

    def revoke(self, handle: Handle) -> None:
        self._call(f"handles/{handle.id}/revoke", {}, seconds=_QUICK_SECONDS)

    @property
    def routes_url(self) -> str:
        """The URL of this process's routes at the other process."""
        return f"{self._caller.url.rstrip('/')}/{self._caller.route}"

    def close(self) -> None:
        self._connection.close()

    def fetch(self, key: Key, ask: Ask) -> Token:
        """Fetch one token from the server, or from the fallback. Blocks. Raises `TokenError`."""
        body = {
            "profile": key.profile,
            "params": dict(key.params),
            "refresh": ask.refresh,
            "newer_than": ask.newer_than.isoformat() if ask.newer_than else None,
        }
        try:
            answer = self._call("token", body, seconds=self.token_seconds)
        except ServerGone as gone:
            fallback = self._fallback_for(gone)
            try:
                local = fallback.key(key.profile, dict(key.params))
                token = fallback.get(local, refresh=ask.refresh, newer_than=ask.newer_than)
            except UnknownProfile:
                # Only the server has this profile, so the useful error is that the server is gone.
                raise gone from None
            self._about[key.profile] = fallback.about(key.profile)
            self.mode = f"direct ({gone.message.rstrip('.')})"
            return token
        self.mode = "server"
        return self._token(answer)

    def _fallback_for(self, gone: ServerGone) -> TokenSource:
        """Return the source to use if the server does not answer, or raise the error if there is none."""
        # If only a certificate is not accepted, the server is running, so this process must not read secrets.
        if self._fallback is None or isinstance(gone, ServerUntrusted):
            raise gone
        _log.debug("no answer from %s (%s); falling back", self._caller.peer, gone.reason)
        return self._fallback

    def _token(self, answer: Mapping[str, Any]) -> Token:
        token, about = token_from_dict(answer, now=self.clock.now())
        self._about[token.profile] = about
        # Done here, because watchers of new tokens are not called for an expired token.
        notify_watchers(token.profile, [token])
        return token

    def _call(self, action: str, body: Mapping[str, Any], *, seconds: float, fresh: bool = False) -> dict[str, Any]:
        """Make one call to the server, on a new connection if `fresh`, and return the JSON of a successful response."""
        status, answer = self._exchange(action, body, seconds=seconds, fresh=fresh)
        if status < http.client.BAD_REQUEST:
            return answer
        raise TokenError.from_dict({"message": f"HTTP {status}: {self._caller.peer} gives no reason.", **answer})

    def _exchange(
        self, action: str, body: Mapping[str, Any], *, seconds: float, fresh: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Return the response's status and JSON. Raise `ServerGone` or `TimedOut` if jupyter_tokens does not answer."""
        on_wait = self._check_alive if seconds > _QUICK_SECONDS else None
        try:
            text = json.dumps(body).encode()
            status, raw = self._connection.send(action, text, seconds=seconds, on_wait=on_wait, fresh=fresh)
            try:
                answer = json.loads(raw)
            except (ValueError, RecursionError):
                answer = None
            if not isinstance(answer, dict):
                raise ServerGone(
                    f"something other than jupyter_tokens answers at the address of {self._caller.peer}.", status=status
                )
            if http.client.BAD_REQUEST <= status < _FAULT and answer.get("reason") in _UNKNOWN_CALLER:
                raise KernelUnknown(
                    f"{self._caller.peer} does not know this {self._caller.kind} (HTTP {status}).",
                    status=status,
                )
        except (ServerGone, TimedOut) as gone:
            self.connection_error = gone.copy()
            raise
        self.connection_error, self._answered_at = None, self.clock.elapsed()
        return status, answer

    def _check_alive(self) -> None:
        """Raise if the server does not even answer a call that needs no vendor: then the server itself hangs."""
        if self.clock.elapsed() > self._answered_at + _QUICK_SECONDS:
            self._exchange("profiles", {}, seconds=_QUICK_SECONDS)


def remote_key(profile: str, params: Mapping[str, Any]) -> Key:
    """Return the cache key of a call. Raises `ParameterError` for a wrong type; another process checks the values."""
    for name, value in params.items():
        is_string_list = isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
        if not is_string_list and not isinstance(value, str | int | float | bool | None):
            raise ParameterError(f"Parameter {name} must be a string, a list of strings, a number, true or false.")
    # A magic passes numbers as strings; the server accepts both.
    return Key(profile, normalise_params(params))
