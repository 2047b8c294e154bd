"""Gets one token from one vendor: resolves the profile's secrets and drives its flow; caches nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from .broker import Key
from .clock import Clock, SystemClock
from .errors import TokenError
from .profiles import Profile, Profiles
from .providers.answers import plain
from .providers.base import Call, Flow, Reference
from .providers.params import ParamValue
from .secretref import tell_seen
from .token import Secret, Token

if TYPE_CHECKING:
    from .transport import Transport

__all__ = ["Upstream"]

_SHORTEST = 6
"""Characters of a secret that a vendor's message is searched for: a shorter one is a word like any other."""


class Upstream:
    """The vendors, behind the names of profiles. Thread-safe; every method blocks.

    profiles : returns the present profiles, so that a changed configuration is seen.
    """

    def __init__(
        self, profiles: Callable[[], Profiles], transport: Transport | None = None, clock: Clock | None = None
    ) -> None:
        self._profiles = profiles
        self._clock = clock or SystemClock()
        self._transport = transport
        self._lock = threading.Lock()

    def fetch(self, key: Key) -> Token:
        """A token from the vendor. Raises `TokenError`, with the profile's name in it and no secret."""
        profile = self._profiles()[key.profile]
        return self._run(profile, profile.provider.retrieve, dict(key.params), idempotent=True)

    def create(self, name: str, params: Mapping[str, object]) -> Token:
        """A new token, where the vendor has a call for that. Never retried once it may have been made."""
        profile = self._profiles()[name]
        return self._run(profile, profile.provider.create, profile.create_params(params), idempotent=False)

    def close(self) -> None:
        """Closes the connections."""
        if self._transport is not None:
            self._transport.close()

    def _run(
        self, profile: Profile, flow: Callable[[Call], Flow], params: Mapping[str, ParamValue], *, idempotent: bool
    ) -> Token:
        transport = self._open()
        secrets: dict[str, Secret] = {}
        credential: object = None
        try:
            secrets = profile.secrets()
            credential = profile.provider.credential(secrets)
            call = Call(profile.name, params, credential, self._clock)
            token = transport.run(
                lambda: flow(call), timeout=profile.timeout, verify=profile.verify, idempotent=idempotent
            )
            tell_seen(profile.name, [token])
            return token
        except TokenError as error:
            error.profile, error.provider = profile.name, profile.provider.id
            confidential = [*secrets.values(), *_secrets_in(credential)]
            for name in ("message", "code", "request_id"):
                setattr(error, name, _without(getattr(error, name), confidential))
            error.args = (error.message,)
            raise
        finally:
            # With what the flow has put into the credential by now: an IAM login's tokens.
            tell_seen(profile.name, _secrets_of(profile, secrets, credential))

    def _open(self) -> Transport:
        with self._lock:
            if self._transport is None:
                from .transport import Transport  # noqa: PLC0415 (imports httpx)

                self._transport = Transport(clock=self._clock)
            return self._transport


def _secrets_of(profile: Profile, resolved: Mapping[str, Secret], credential: object) -> Iterator[Secret]:
    """What a profile authenticates with; not the ids and user names among its references, which are no secrets."""
    known = profile.provider.settings()
    for key, secret in resolved.items():
        setting = known[key]
        if isinstance(setting, Reference) and setting.secret:
            yield secret
    yield from _secrets_in(credential)


def _secrets_in(credential: object) -> Iterator[Secret]:
    """What a credential has beyond the profile's own secrets: a chain's keys, an IAM login's tokens."""
    if isinstance(credential, Secret):
        yield credential
    elif isinstance(credential, Mapping):
        for value in tuple(credential.values()):
            yield from _secrets_in(value)
    elif is_dataclass(credential):
        for part in fields(credential):
            yield from _secrets_in(getattr(credential, part.name))


def _without(text: str | None, secrets: Iterable[Secret]) -> str | None:
    """A vendor's text without our own secrets: some echo what they were sent."""
    values = [secret.reveal() for secret in secrets]
    # `plain` has made one line of what the vendor says.
    for value in dict.fromkeys([*values, *(plain(value, len(value)) for value in values)]):
        if not text or len(value) < _SHORTEST:
            continue
        text = text.replace(value, "…")
        # A long message is cut off, and with it a secret that it echoes; an error may hold two vendor messages.
        for length in range(len(value) - 1, _SHORTEST - 1, -1) if value[:_SHORTEST] in text else ():
            text = re.sub(re.escape(value[:length]) + r"(?=[.,) ]|$)", "…", text)
    return text
