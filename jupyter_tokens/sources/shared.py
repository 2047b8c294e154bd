"""Shares tokens between processes, so that one API call in each token's lifetime is usually enough.

A process reads the store. If there is no token, it takes a lock, reads again, calls the API, and writes the token.

An entry's name and encryption key are derived from the installation's key and from the provider's credential. So a
process that could not fetch a token cannot find or read it in the store.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clock import Clock, utc
from ..errors import ApiError, TimedOut, TokenError, Unauthorized
from ..providers.base import Reference
from ..token import Secret, Token
from .cache import Ask, Key, windows
from .stores import SlotContent, Store, StoreUnavailable, TokenStore

if TYPE_CHECKING:
    from .upstream import Wanted

__all__ = ["SharedTokens"]

_VERSION = 2
"""Version of the encrypted content. Each version has separate slots."""
_REFUSAL_SECONDS = 10.0
"""How long an API's error is shared, in seconds. Meanwhile a refused credential is only sent again on `refresh`."""
_UNKNOWN_LIFE_SECONDS = 300.0
"""How long a token is shared if its API reports no expiry, in seconds."""
_STEP = timedelta(seconds=1)
"""Times of two processes that differ by at most this much count as equal."""
_WARNING_SECONDS = 600.0
_MAX_LAST_USED = 1024
_log = logging.getLogger(__name__)


class _Found(NamedTuple):
    token: Token
    left: float
    fence: int
    seal: _Seal


class _LastUsed(NamedTuple):
    """The token that this process last used for a key."""

    name: str
    obtained_at: datetime
    fence: int


class SharedTokens:
    """The tokens in a store. Thread-safe.

    If the store cannot be used, this process fetches tokens for itself.

    Parameters
    ----------
    settings : TokenStore
        Provides the installation's keys.
    store : Store
    clock : Clock
    """

    def __init__(self, settings: TokenStore, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._last_used: dict[Key, _LastUsed] = {}
        self._warned: dict[str, float] = {}

    def get(self, key: Key, ask: Ask, wanted: Wanted, call: Callable[[], Token]) -> Token:
        """Return a token from the store, or the result of `call`. Raises `TokenError`.

        If the token can be shared, only one process at a time runs `call`; the processes that wait for it also raise
        its error. `ask` limits which stored token is accepted.
        """
        seals = self._seals(wanted)
        if not seals:
            return call()
        with ExitStack() as stack:
            try:
                found, refusal = self._read(seals, wanted), self._refusal(seals[0])
                if found is not None and found.seal is seals[0] and self._satisfies(key, found, ask, fence_before=None):
                    return self._accept(key, found)
                if refusal is not None and isinstance(refusal[0], Unauthorized) and not ask.refresh:
                    _log.debug("%s: the API refused this credential a moment ago; not calling it again", key.profile)
                    raise refusal[0]
                fence_before = found.fence if found is not None else 0
                refused = refusal[1] if refusal is not None else 0
                fence = stack.enter_context(self._store.lock(seals[0].name, seconds=wanted.profile.timeout))
                found, refusal = self._read(seals, wanted), self._refusal(seals[0])
            except StoreUnavailable as problem:
                self._warn(str(problem))
                return call()
            if found is not None and self._satisfies(key, found, ask, fence_before):
                if found.seal is not seals[0]:
                    found = self._reseal(seals[0], found, fence)
                return self._accept(key, found)
            if refusal is not None and (
                refusal[1] > refused or (isinstance(refusal[0], Unauthorized) and not ask.refresh)
            ):
                _log.debug("%s: another process was refused a moment ago", key.profile)
                raise refusal[0]
            return self._call(key, seals[0], fence, call)

    def forget(self, matches: Callable[[Key], bool]) -> None:
        """Empty the slots that this process has used for these keys."""
        for key in filter(matches, tuple(self._last_used)):
            last_used = self._last_used.pop(key, None)
            if last_used is not None:
                self._drop(last_used.name)

    def close(self) -> None:
        """Close the store's connections."""
        self._store.close()

    def _seals(self, wanted: Wanted) -> list[_Seal]:
        """Return the token's slot under each installation key, the encrypting key first; [] if it cannot be shared."""
        identity = _identity(wanted)
        if identity is None:
            _log.debug("%s: not shared, because processes cannot compare its credential", wanted.profile.name)
            return []
        try:
            return [_Seal(secret, identity) for secret in self._settings.sealing_keys()]
        except (TokenError, StoreUnavailable) as problem:
            self._warn(str(problem))
        except OSError as problem:
            self._warn(f"its key file cannot be created or read: {problem.strerror}")
        return []

    def _call(self, key: Key, seal: _Seal, fence: int, call: Callable[[], Token]) -> Token:
        try:
            token = call()
        except (ApiError, TimedOut) as error:
            self._put(seal.refusal_name, seal.close(fence, {"error": error.to_dict()}), _REFUSAL_SECONDS, fence)
            raise
        self._put_token(seal, token, fence)
        self._drop(seal.refusal_name)
        self._remember(key, seal.name, token, fence)
        return token

    def _reseal(self, seal: _Seal, found: _Found, fence: int) -> _Found:
        """Move an entry of an older key to the slot of the current key."""
        self._put_token(seal, found.token, fence)
        self._drop(found.seal.name)
        return found._replace(fence=fence, seal=seal)

    def _put_token(self, seal: _Seal, token: Token, fence: int) -> None:
        facts = _facts(token)
        ends = token.expires_at
        life = _UNKNOWN_LIFE_SECONDS if ends is None else ends.timestamp() - self._clock.now()
        if facts is not None and life > 0:
            self._put(seal.name, seal.close(fence, facts), life, fence)

    def _put(self, name: str, sealed: bytes, life: float, fence: int) -> None:
        try:
            self._store.put(name, sealed, life=life, fence=fence)
        except StoreUnavailable as problem:
            self._warn(str(problem))

    def _drop(self, name: str) -> None:
        try:
            self._store.drop(name)
        except StoreUnavailable as problem:
            self._warn(str(problem))

    def _read(self, seals: list[_Seal], wanted: Wanted) -> _Found | None:
        for seal in seals:
            content = self._store.get(seal.name)
            if content is not None and (facts := seal.open(content)) is not None:
                # Fences count the holders of the lock of the first key's slot. Slots of other keys count as oldest.
                fence = content.fence if seal is seals[0] else 0
                return _Found(_token(facts, content.left, wanted, self._clock), content.left, fence, seal)
        return None

    def _refusal(self, seal: _Seal) -> tuple[TokenError, int] | None:
        content = self._store.get(seal.refusal_name)
        if content is None or (facts := seal.open(content)) is None:
            return None
        return TokenError.from_dict(facts["error"]), content.fence

    def _satisfies(self, key: Key, found: _Found, ask: Ask, fence_before: int | None) -> bool:
        """Whether a stored token satisfies the request.

        `fence_before` is the fence of the token found before the lock was taken (0: no token); None before
        the lock is taken.
        """
        token = found.token
        life = inf if token.expires_at is None else (token.expires_at - token.obtained_at).total_seconds()
        # With a token in its mandatory refresh window, callers would immediately have to wait for a refresh.
        if found.left <= windows(life)[1]:
            return False
        if fence_before is not None and found.fence > fence_before:
            return True
        if ask.refresh:
            return False
        if ask.newer_than is None:
            return True
        last_used = self._last_used.get(key)
        if last_used is not None and last_used.name == found.seal.name and ask.newer_than >= last_used.obtained_at:
            # The fences are compared, not the times, because clocks of machines differ.
            return found.fence > last_used.fence
        return token.obtained_at > ask.newer_than + _STEP

    def _accept(self, key: Key, found: _Found) -> Token:
        _log.debug("%s: from the store", key.profile)
        self._remember(key, found.seal.name, found.token, found.fence)
        return found.token

    def _remember(self, key: Key, name: str, token: Token, fence: int) -> None:
        if len(self._last_used) >= _MAX_LAST_USED:
            self._last_used.clear()
        self._last_used[key] = _LastUsed(name, token.obtained_at, fence)

    def _warn(self, problem: str) -> None:
        now = self._clock.elapsed()
        if now >= self._warned.get(problem, -inf):
            self._warned[problem] = now + _WARNING_SECONDS
            _log.warning(
                "The token store is not used: %s. This process fetches tokens without it.", problem.rstrip(".")
            )


class _Seal:
    """The name and the encryption key of a slot, derived from one of the installation's keys."""

    def __init__(self, key: bytes, identity: bytes) -> None:
        from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415 (40 ms, and not needed for a cached token)

        def derived(purpose: bytes) -> bytes:
            return hmac.digest(key, purpose + b"\0" + identity, hashlib.sha256)

        self.name = derived(b"name").hex()[:40]
        self.refusal_name = derived(b"refusal").hex()[:40]
        self._fernet = Fernet(base64.urlsafe_b64encode(derived(b"seal")))
        self._damage = InvalidToken

    def close(self, fence: int, facts: Mapping[str, Any]) -> bytes:
        """Encrypt facts with slot and fence, so that nobody can move them to another slot or make them look newer."""
        name = self.refusal_name if "error" in facts else self.name
        return self._fernet.encrypt(json.dumps({"slot": name, "fence": fence, **facts}).encode())

    def open(self, content: SlotContent) -> dict[str, Any] | None:
        """Decrypt an entry; None if it is damaged or was not encrypted for this slot and fence."""
        try:
            facts: dict[str, Any] = json.loads(self._fernet.decrypt(content.sealed))
        except self._damage:
            _log.debug("a damaged entry of the token store is ignored")
            return None
        name = self.refusal_name if "error" in facts else self.name
        return facts if (facts["slot"], facts["fence"]) == (name, content.fence) else None


def _identity(wanted: Wanted) -> bytes | None:
    """Return the facts that must be equal for two processes to share a token; None if the token cannot be shared."""
    profile, provider = wanted.profile, wanted.profile.provider
    settings = {
        name: getattr(provider, name)
        for name, trait in provider.settings().items()
        # The secrets themselves must be equal, not the references to them.
        if not isinstance(trait, Reference)
    }
    try:
        who = _canonical(wanted.identity)
        if who is None:
            return None
        parts = [_VERSION, provider.id, settings, profile.verify, wanted.params, who]
        return json.dumps(_canonical(parts), sort_keys=True).encode()
    except TypeError:
        return None


def _canonical(value: Any) -> Any:
    """Convert a value to unambiguous JSON. Raises `TypeError` for other types."""
    if isinstance(value, Secret):
        return {"secret": value.reveal()}
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Mapping):
        return {"mapping": [[str(name), _canonical(value[name])] for name in sorted(value)]}
    if isinstance(value, list | tuple):
        return [_canonical(part) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        parts = [[part.name, _canonical(getattr(value, part.name))] for part in fields(value) if part.compare]
        return {type(value).__name__: parts}
    raise TypeError(type(value).__name__)


def _facts(token: Token) -> dict[str, Any] | None:
    """Convert a token to JSON; None if the token has no value, or has facts that JSON cannot represent."""
    if not token.has_value:
        return None
    life = None if token.expires_at is None else (token.expires_at - token.obtained_at).total_seconds()
    hidden = {name: value.reveal() for name, value in token.metadata.items() if isinstance(value, Secret)}
    metadata = {name: value for name, value in token.metadata.items() if name not in hidden}
    facts = {"values": token.values(), "life": life, "metadata": metadata, "hidden": hidden}
    try:
        return facts if json.loads(json.dumps(facts)) == facts else None
    except (TypeError, ValueError):
        return None


def _token(facts: Mapping[str, Any], left: float, wanted: Wanted, clock: Clock) -> Token:
    """Build the token of a stored entry. Its expiry is computed from the `left` seconds, because clocks may differ."""
    life = facts["life"]
    ends = clock.now() + left
    obtained_at = utc(ends - (_UNKNOWN_LIFE_SECONDS if life is None else life))
    provider = wanted.profile.provider
    return Token(
        facts["values"],
        profile=wanted.profile.name,
        provider=provider.id,
        obtained_at=obtained_at,
        expires_at=None if life is None else utc(ends),
        scheme=provider.scheme,
        header=provider.header,
        metadata={**facts["metadata"], **{name: Secret(value) for name, value in facts["hidden"].items()}},
        base_url=provider.api_url(),
    )
