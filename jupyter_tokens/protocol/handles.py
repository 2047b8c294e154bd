"""Handles, which workers get instead of tokens, and the issuer's table of handles.

A handle consists of a profile's name, the parameters of calls, and a separate key. The driver (the process that starts
the workers) creates the key and sends it to the issuer. With each request, a worker proves that it has the key, without
sending the key (`protocol/proof.py`). The issuer, a Jupyter server or the hub's service, keeps a lease for each
handle. The driver renews the lease as long as it runs, so a handle ends soon after its driver.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from .._util.loopback import is_loopback
from ..clock import Clock, utc
from ..errors import ConfigurationError, HandleRefused, ParameterError, Throttled
from .proof import WINDOW_SECONDS, Caller, ProofRefused, ProofVerifier, Trust, prove
from .records import MemoryRecords, Record, Records

__all__ = [
    "ID",
    "LEASE_SECONDS",
    "MAX_HANDLES",
    "MAX_LEASE_SECONDS",
    "MAX_STORED_HANDLES",
    "Handle",
    "Handles",
    "IssuedHandle",
    "check_url",
    "normalise_params",
]

LEASE_SECONDS = 900.0
MAX_LEASE_SECONDS = 24 * 3600.0
MAX_HANDLES = 1000
"""Maximum number of active handles of one owner."""
MAX_STORED_HANDLES = 5 * MAX_HANDLES
"""Maximum number of handles of one owner that are kept, including handles that have ended."""
ID = r"[0-9a-f]{32}"
"""Regular expression for a handle's id, for routes."""

_LABEL = b"jupyter_tokens handle proof v1"
_KIND = "handle"
_KEY = re.compile(r"[0-9a-f]{64}")
_RETENTION_SECONDS = 3600.0
"""Seconds for which an ended handle is kept, so that its holder learns why the handle is refused."""

Params = tuple[tuple[str, Any], ...]


def normalise_params(params: Mapping[str, Any]) -> Params:
    """Normalise parameters for comparison: sorted, lists as tuples, and integers as strings, so that 1 equals "1"."""
    return tuple(sorted((name, _normalise(value)) for name, value in params.items()))


def _normalise(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_normalise, value))
    return str(value) if type(value) is int else value


def check_url(url: str, *, allow_plain: bool) -> None:
    """Raise `ConfigurationError` for an issuer's URL with an unknown scheme.

    Plain HTTP to another machine is refused too, unless `allow_plain` is true.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http+unix", "http"}:
        raise ConfigurationError(
            "The URL of a handle's issuer must begin with https://, http+unix:// or http://.",
            hint='Pass, for example, url="https://my.host:8888/jupyter-tokens".',
        )
    if parts.scheme == "http" and not allow_plain and not is_loopback(url):
        raise ConfigurationError(
            f"Workers would fetch tokens over plain HTTP from {parts.hostname}, where others can read the tokens.",
            hint="Serve Jupyter over HTTPS (--certfile, --keyfile), or, on a private network, pass allow_plain=True.",
        )


def _is_subset(params: Params, limit: Params) -> bool:
    # Not by sets, because values from JSON may not be hashable.
    return all(pair in limit for pair in params)


@dataclass(frozen=True, slots=True)
class Handle(Caller):
    """A worker's access to the tokens of one profile. It can be pickled and sent to workers.

    It contains a separate key, but no token and none of the profile's secrets.

    Attributes
    ----------
    profile : str
        The only profile that the handle is valid for.
    params : tuple of (name, value)
        The parameters of the calls, in addition to the profile's own.
    id : str
        The id by which the issuer finds the handle.
    key : bytes
        32 bytes. Anyone who has the key can fetch the profile's tokens until the lease ends.
    url : str
        URL of the issuer; "" if there is no issuer. Without an issuer, workers use their own configuration.
    certificate : str or None
        The issuer's certificate (PEM), if only this certificate is trusted; None for the system's certificates.
    """

    profile: str
    params: Params
    id: str
    key: bytes = field(repr=False)
    url: str = ""
    certificate: str | None = field(default=None, repr=False)

    @classmethod
    def new(cls, profile: str, params: Mapping[str, Any]) -> Self:
        """Create a handle with a new key. No issuer knows the handle yet."""
        return cls(profile, normalise_params(params), secrets.token_hex(16), secrets.token_bytes(32))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a handle from the output of `to_json`. Raises `ConfigurationError`, which does not quote the text."""
        try:
            facts = json.loads(text)
            key, params = bytes.fromhex(facts["key"]), normalise_params(facts["params"])
            return cls(facts["profile"], params, facts["id"], key, facts["url"], facts["certificate"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ConfigurationError(
                "The handle's file does not contain a handle.",
                hint="Write it with `jupyter tokens handle NAME --file PATH`.",
            ) from None

    @classmethod
    def read(cls, path: str) -> Self:
        """Read a handle from a file. Raises `ConfigurationError`."""
        try:
            return cls.from_json(Path(path).read_bytes())
        except OSError as error:
            raise ConfigurationError(f"The handle's file {path} cannot be read ({error.strerror}).") from None

    def to_json(self) -> str:
        """Return the handle as JSON, with its key."""
        facts = {"profile": self.profile, "params": dict(self.params), "id": self.id, "key": self.key.hex()}
        return json.dumps({**facts, "url": self.url, "certificate": self.certificate})

    def covers(self, params: Params) -> bool:
        """Whether the handle is valid for a call with these parameters, normalised by `normalise_params`."""
        return _is_subset(params, self.params)

    kind = "handle"
    shows_cert = False

    @property
    def peer(self) -> str:
        return f"the issuer of the handle, {self.url},"

    @property
    def route(self) -> str:
        return f"handles/{self.id}"

    @property
    def trust(self) -> Trust | None:
        return None if self.certificate is None else Trust(cadata=self.certificate)

    def prove(self, action: str, body: bytes, *, time: int, nonce: str) -> str:
        return prove(self.key, self.id, action, body, time=time, nonce=nonce, label=_LABEL)


@dataclass(frozen=True, slots=True)
class IssuedHandle:
    """A handle in its issuer's records.

    Attributes
    ----------
    owner : str
        The kernel or user that may renew and revoke the handle: "kernel ID"; at a hub's service "user NAME"; at a
        Jupyter server "user", for all its users together.
    lease : float
        Seconds from a renewal until the handle ends, unless the handle is renewed again.
    ends_at : float
        When the lease ends, in seconds since the epoch.
    uses : int
        Number of accepted requests.
    used_at : datetime or None
        When the last request was accepted.
    """

    id: str
    key: bytes = field(repr=False)
    owner: str
    profile: str
    params: Params
    lease: float
    ends_at: float
    revoked: bool = field(default=False, compare=False)
    uses: int = field(default=0, compare=False)
    used_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Build a handle from the facts and marks of its record."""
        facts, marks = record
        used_at = marks.get("used_at")
        return cls(
            **{**facts, "key": bytes.fromhex(facts["key"]), "params": normalise_params(facts["params"])},
            revoked=bool(marks.get("revoked")),
            uses=int(marks.get("uses", 0)),
            used_at=None if used_at is None else utc(used_at),
        )

    @property
    def facts(self) -> dict[str, Any]:
        """The facts to store in the handle's record."""
        names = ("id", "owner", "profile", "lease", "ends_at")
        return {**{name: getattr(self, name) for name in names}, "key": self.key.hex(), "params": dict(self.params)}

    def call_params(self, profile: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the handle's parameters for a call. Raises `HandleRefused` if the handle is not valid for the call."""
        if profile != self.profile:
            raise _refusal(
                f"This handle is only for the profile {self.profile!r}, not for {profile[:80]!r}.", self.profile
            )
        if not _is_subset(normalise_params(params), self.params):
            raise _refusal("This handle is not for calls with these parameters.", profile)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.params}


class Handles:
    """The handles of one issuer, which may have replicas. Thread-safe. The methods may block if `blocks` is true.

    Methods that need the records raise `Busy` if the records cannot be reached. Then no request is accepted.

    Parameters
    ----------
    clock : Clock
        Leases and proofs use its `now`.
    records : Records, optional
        Where handles and nonces are kept; by default in memory.
    """

    def __init__(self, clock: Clock, records: Records | None = None) -> None:
        self._clock = clock
        self._records = records or MemoryRecords(clock)
        self._gate = ProofVerifier(clock, _LABEL, self._records.spend)
        self.blocks = self._records.blocks

    def issue(
        self,
        owner: str,
        *,
        handle_id: str,
        key: str,
        profile: str,
        params: Mapping[str, Any],
        lease: float = LEASE_SECONDS,
    ) -> IssuedHandle:
        """Record a new handle, or the same handle again, for example after this issuer was restarted.

        The caller must have checked that the owner may have the profile's tokens.

        Parameters
        ----------
        owner : str
            The kernel or user that may renew and revoke the handle.
        handle_id, key : str
            32 and 64 lower-case hexadecimal digits, created by the driver.
        profile : str
            The profile that the handle is valid for.
        params : mapping
            The parameters of the calls.
        lease : float
            Length of the lease in seconds, at most `MAX_LEASE_SECONDS`.

        Raises
        ------
        ParameterError
            The id, the key or the lease is invalid.
        HandleRefused
            The id belongs to a handle with another owner, key, profile or parameters, or the handle was revoked.
        Throttled
            The owner has too many handles.
        """
        if re.fullmatch(ID, handle_id) is None or _KEY.fullmatch(key) is None:
            raise ParameterError("A handle needs an id of 32 and a key of 64 lower-case hexadecimal digits.")
        if not 0 < lease <= MAX_LEASE_SECONDS:
            raise ParameterError(f"A lease must be more than 0 and at most {MAX_LEASE_SECONDS:g} seconds.")
        new = self._start_lease(
            IssuedHandle(handle_id, bytes.fromhex(key), owner, profile, normalise_params(params), lease, ends_at=0.0)
        )
        known = self.get(handle_id)
        if known is None:
            owned = self._all(owner)
            if len(self._active(owned)) >= MAX_HANDLES:
                raise Throttled(
                    f"This kernel or user already has {MAX_HANDLES} active handles, which is the maximum.",
                    hint="Revoke handles that are no longer needed.",
                    unsent=True,
                )
            if len(owned) >= MAX_STORED_HANDLES:
                problem = f"This kernel or user has issued {MAX_STORED_HANDLES} handles in a short time."
                raise Throttled(
                    problem,
                    hint="Use one handle for many workers, or wait: the issuer forgets a handle an hour after its "
                    "lease ends.",
                    unsent=True,
                )
            if self._records.add(_KIND, handle_id, new.facts, seconds=lease + _RETENTION_SECONDS):
                return new
            # Another replica has added this handle at the same moment.
            known = self.get(handle_id)
        if known is None or known.revoked or replace(known, lease=lease, ends_at=new.ends_at) != new:
            raise _refusal("The id of this handle belongs to another handle, or the handle has been revoked.", profile)
        return self._save(new)

    def renew(self, handle_id: str) -> IssuedHandle:
        """Renew a handle's lease, even if the lease has ended.

        The caller must have checked that the owner asks for this. Raises `HandleRefused` if the handle is unknown or
        revoked.
        """
        known = self.get(handle_id)
        if known is None:
            raise _refusal("The issuer does not know this handle.")
        if known.revoked:
            raise _refusal("This handle has been revoked.", known.profile)
        return self._save(self._start_lease(known))

    def revoke(self, handle_id: str) -> None:
        """Revoke a handle; an unknown handle is ignored. The caller must have checked that this is allowed."""
        # Stored as a mark, so that a renewal at another replica cannot undo the revocation.
        self._records.mark(_KIND, handle_id, {"revoked": 1})

    def get(self, handle_id: str) -> IssuedHandle | None:
        """Return a handle, even if it has ended; None if the handle is not in the records."""
        record = self._records.get(_KIND, handle_id)
        return None if record is None else IssuedHandle.from_record(record)

    def in_use(self, owner: str | None = None) -> list[IssuedHandle]:
        """Return the active handles of one owner, by default of all owners."""
        return self._active(self._all(owner))

    def to_dict(self, issued: IssuedHandle) -> dict[str, Any]:
        """Return a handle as JSON for clients, without its key."""
        return {
            "id": issued.id,
            "profile": issued.profile,
            "params": dict(issued.params),
            "owner": issued.owner,
            "lease": issued.lease,
            "lease_ends_at": utc(issued.ends_at).isoformat(),
            "uses": issued.uses,
            "used_at": issued.used_at.isoformat() if issued.used_at is not None else None,
        }

    def check(self, handle_id: str, action: str, header: str, body: bytes) -> IssuedHandle:
        """Check a request's proof, and return the handle with which the proof was made.

        Parameters
        ----------
        handle_id, action : str
            From the route.
        header : str
            The proof; "" if there is none.
        body : bytes
            The request's body.

        Raises
        ------
        HandleRefused
            The handle is unknown or revoked, its lease has ended, or the proof is invalid, too old or already used.
        Throttled
            The handle's holder sends too many requests.
        """
        known = self.get(handle_id)
        try:
            self._gate.check(None if known is None else known.key, handle_id, action, header, body)
        except ProofRefused as refused:
            if refused.reason == "too_many":
                raise Throttled(
                    "Too many requests were made with this handle. Try again in a minute.",
                    retry_after=WINDOW_SECONDS,
                    unsent=True,
                ) from None
            raise _refusal(_MESSAGES[refused.reason]) from None
        assert known is not None
        if known.revoked:
            raise _refusal("This handle has been revoked.", known.profile)
        now = self._clock.now()
        if now >= known.ends_at:
            raise _refusal("The lease of this handle has ended: its driver did not renew it.", known.profile)
        self._records.mark(_KIND, handle_id, {"used_at": now}, counts="uses")
        return replace(known, uses=known.uses + 1, used_at=utc(now))

    def _all(self, owner: str | None) -> list[IssuedHandle]:
        return [
            handle
            for handle in map(IssuedHandle.from_record, self._records.all(_KIND))
            if owner in {None, handle.owner}
        ]

    def _active(self, handles: list[IssuedHandle]) -> list[IssuedHandle]:
        now = self._clock.now()
        return [handle for handle in handles if handle.ends_at > now and not handle.revoked]

    def _start_lease(self, issued: IssuedHandle) -> IssuedHandle:
        return replace(issued, ends_at=self._clock.now() + issued.lease)

    def _save(self, issued: IssuedHandle) -> IssuedHandle:
        self._records.put(_KIND, issued.id, issued.facts, seconds=issued.lease + _RETENTION_SECONDS)
        return issued


_MESSAGES: Mapping[str, str] = {
    "unknown": "The issuer does not know this handle: it has ended, or the issuer was restarted.",
    "proof": "The request does not prove that its sender has the key of this handle.",
    "expired": "The request is too old, or the clocks of the worker and the issuer differ by more than a minute.",
    "replayed": "The proof in the request was used already: each request needs a new proof.",
}


def _refusal(message: str, profile: str | None = None) -> HandleRefused:
    return HandleRefused(
        message, hint="In the driver, issue another handle and install it in the workers.", profile=profile, unsent=True
    )
