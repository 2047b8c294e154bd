"""How a kernel identifies itself to a server: a proof made with the key in the kernel's connection file.

The key itself is never sent. The proof is an HMAC over kernel id, action, time, nonce and body, made with a key that is
derived from the connection key. `ProofVerifier` checks proofs, and accepts each proof only once. The holder of a handle
uses the same kind of proof, with the handle's key (`protocol/handles.py`).

In ipykernel, id and key come from ipykernel's application object; ipykernel is never imported for this. In other
kernels (xeus-python), they come from the connection file that the kernel's command line names.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from ..clock import Clock

__all__ = [
    "CERT_VARIABLE",
    "CLIENT_CERT_VARIABLE",
    "FILLED_VARIABLE",
    "HEADER",
    "MAX_NONCES",
    "START_VARIABLE",
    "URL_VARIABLE",
    "WINDOW_SECONDS",
    "Caller",
    "Identity",
    "Nonces",
    "Proof",
    "ProofRefused",
    "ProofVerifier",
    "Trust",
    "identity",
    "missing_identity",
    "prove",
]

URL_VARIABLE = "JUPYTER_TOKENS_URL"
"""The environment variable with the URL of the server's extension. The server sets it for its kernels. Not secret."""
CERT_VARIABLE = "JUPYTER_TOKENS_CERT"
"""The variable with the path of the server's certificate, if it has one. Kernels then trust only this certificate."""
CLIENT_CERT_VARIABLE = "JUPYTER_TOKENS_CLIENT_CERT"
"""The variable that a server sets to "required" if it requires client certificates."""
START_VARIABLE = "JUPYTER_TOKENS_START"
"""The variable with the result, or the error, of each profile that the server injects at a kernel's start."""
FILLED_VARIABLE = "JUPYTER_TOKENS_FILLED"
"""The variable that lists the variables that the server has filled: `{"VARIABLE": {"profile": …, "params": {…}}}`. For
a token with several values, each entry also has `env`, a mapping of field to variable."""
HEADER = "X-Jupyter-Tokens-Proof"
WINDOW_SECONDS = 60.0
"""The largest difference between the time of a proof and the server's clock, in seconds."""
MAX_NONCES = 2**18
"""Maximum number of nonces remembered for one caller: enough for 2,000 calls per second while a proof is valid."""

_LABEL = b"jupyter_tokens kernel proof v1"
_FORM = re.compile(r"v1 time=([0-9]{1,15}), nonce=([0-9a-f]{32}), mac=([0-9a-f]{64})")
_CONNECTION_FILE = re.compile(r"kernel-([0-9A-Za-z-]+)\.json")


class Trust(NamedTuple):
    """A trusted certificate, as a file or as PEM text. The fields are named as in `ssl.create_default_context`."""

    cafile: str | None = None
    cadata: str | None = None


class Caller(ABC):
    """The identity of a process that gets tokens from another process.

    Attributes
    ----------
    url : str
        URL of the other process.
    shows_cert : bool
        Whether the caller has to show a client certificate.
    """

    kind: ClassVar[str]
    """The caller's name in errors."""
    header: ClassVar[str] = HEADER
    """The header of the proof."""
    url: str
    shows_cert: bool

    @property
    @abstractmethod
    def peer(self) -> str:
        """The other process's name in errors."""

    @property
    @abstractmethod
    def route(self) -> str:
        """The part of the URL that identifies the caller. The action comes after this part."""

    @property
    @abstractmethod
    def trust(self) -> Trust | None:
        """The only certificate to trust; None for the system's certificates."""

    @abstractmethod
    def prove(self, action: str, body: bytes, *, time: int, nonce: str) -> str:
        """Return the value of the proof's header; see the function `prove`."""


@dataclass(frozen=True, slots=True)
class Identity(Caller):
    """A kernel of a Jupyter server. `cert` is the path of the server's certificate, or None if it has none."""

    kind = "kernel"
    peer = "the Jupyter server"
    url: str
    cert: str | None
    kernel_id: str
    connection_key: bytes = field(repr=False)
    shows_cert: bool = False

    @property
    def route(self) -> str:
        return f"kernels/{self.kernel_id}"

    @property
    def trust(self) -> Trust | None:
        return None if self.cert is None else Trust(cafile=self.cert)

    def prove(self, action: str, body: bytes, *, time: int, nonce: str) -> str:
        return prove(self.connection_key, self.kernel_id, action, body, time=time, nonce=nonce)


def identity() -> Identity | None:
    """Return the identity of this process if it is a server's kernel; None for scripts, plain IPython and nbclient."""
    found = _find_identity()
    return found if isinstance(found, Identity) else None


def missing_identity() -> str:
    """Return why `identity` returns None, as one of a few fixed texts for cards; "" if there is an identity."""
    found = _find_identity()
    return found if isinstance(found, str) else ""


def _find_identity() -> Identity | str:
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return "no Jupyter server with jupyter_tokens started this process"
    found = _from_ipykernel() or _from_command_line()
    if found is None:
        return "this process is not itself a kernel of the Jupyter server"
    name = _CONNECTION_FILE.fullmatch(found[0].name)
    if name is None:
        return "a program other than the Jupyter server started this kernel, for example papermill"
    if not found[1]:
        return "this kernel has no key for its connections"
    return Identity(url, os.environ.get(CERT_VARIABLE), name[1], found[1], CLIENT_CERT_VARIABLE in os.environ)


def _from_ipykernel() -> tuple[Path, bytes] | None:
    module = sys.modules.get("ipykernel.kernelapp")
    if module is None or not module.IPKernelApp.initialized():
        return None
    app = module.IPKernelApp.instance()
    return Path(app.connection_file), app.session.key


def _from_command_line() -> tuple[Path, bytes] | None:
    """Return the connection file in the kernel's own command line (`-f FILE`), and its key.

    The kernel's child processes do not have this command line.
    """
    argv = sys.orig_argv
    if "-f" not in argv[:-1]:
        return None
    file = Path(argv[argv.index("-f") + 1])
    if _CONNECTION_FILE.fullmatch(file.name) is None:
        return None
    try:
        key = json.loads(file.read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (file, key.encode()) if isinstance(key, str) else None


@dataclass(frozen=True, slots=True)
class Proof:
    """A received proof; `time` is in seconds since the epoch."""

    time: int
    nonce: str
    mac: str

    @classmethod
    def parse(cls, header: str) -> Proof:
        """Parse a proof's header. Raises ValueError, which does not quote the header."""
        match = _FORM.fullmatch(header)
        if match is None:
            raise ValueError("not of the form: v1 time=…, nonce=…, mac=…")
        return cls(int(match[1]), match[2], match[3])

    def matches(self, key: bytes, name: str, action: str, body: bytes, *, label: bytes = _LABEL) -> bool:
        """Whether the proof was made with this key, for this name, action and body. See `prove` for the arguments."""
        mac = _mac(label, key, name, action, str(self.time), self.nonce, body=body)
        return hmac.compare_digest(self.mac, mac)


def prove(key: bytes, name: str, action: str, body: bytes, *, time: int, nonce: str, label: bytes = _LABEL) -> str:
    """Return the value of the proof's header.

    Parameters
    ----------
    key : bytes
        The kernel's connection key, or a handle's key.
    name : str
        The id of the kernel or the handle.
    action : str
        The part of the URL after the caller's route, for example "token". The proof is not valid for other actions.
    body : bytes
        The request's body.
    time : int
        Seconds since the epoch.
    nonce : str
        32 hexadecimal digits, never used twice.
    label : bytes
        Different for kernels and handles, so that a proof is only valid for one of the two.
    """
    mac = _mac(label, key, name, action, str(time), nonce, body=body)
    return f"v1 time={time}, nonce={nonce}, mac={mac}"


def _mac(label: bytes, key: bytes, *fields: str, body: bytes) -> str:
    derived = hmac.digest(key, label, "sha256")
    text = "\n".join((*fields, sha256(body).hexdigest()))
    return hmac.digest(derived, text.encode(), "sha256").hex()


class ProofRefused(Exception):
    """A proof was refused.

    Attributes
    ----------
    reason : str
        "unknown" (no such caller), "proof" (invalid, or not made by this caller), "expired" (its time differs too much
        from now), "replayed" (already used) or "too_many" (too many proofs of this caller).
    """

    def __init__(self, reason: Literal["unknown", "proof", "expired", "replayed", "too_many"]) -> None:
        super().__init__(reason)
        self.reason = reason


class Nonces:
    """Remembers the nonces of proofs for as long as the proofs are valid. `ProofVerifier` calls `spend`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._nonces: dict[str, dict[bytes, int]] = {}  # for each caller, the times of the proofs by their nonces
        self._pruned_at = -inf

    def spend(self, name: str, proof: Proof) -> None:
        """Record the nonce of a valid proof of `name`.

        Raises `ProofRefused` if the nonce was used before, or if `name` has used too many nonces.
        """
        self._prune(self._clock.now())
        nonces = self._nonces.setdefault(name, {})
        nonce = bytes.fromhex(proof.nonce)
        if nonce in nonces:
            raise ProofRefused("replayed")
        if len(nonces) >= MAX_NONCES:
            raise ProofRefused("too_many")
        nonces[nonce] = proof.time

    def _prune(self, now: float) -> None:
        """Drop nonces of proofs that are too old; at most once a second, because it iterates over all callers."""
        if abs(now - self._pruned_at) < 1:
            return
        self._pruned_at = now
        for name, nonces in list(self._nonces.items()):
            self._nonces[name] = remaining = {
                nonce: time for nonce, time in nonces.items() if now - time <= WINDOW_SECONDS
            }
            if not remaining:
                del self._nonces[name]


class ProofVerifier:
    """Accepts each valid proof once.

    Parameters
    ----------
    clock : Clock
        The clock that a proof's time is compared with.
    label : bytes, optional
        See `prove`.
    spend : callable, optional
        Records nonces, as `Nonces.spend` does. By default, nonces are kept in memory.
    """

    def __init__(self, clock: Clock, label: bytes = _LABEL, spend: Callable[[str, Proof], None] | None = None) -> None:
        self._clock = clock
        self._label = label
        self._spend = spend or Nonces(clock).spend
        # Stands for the key of an unknown caller, so that the check takes as long as for a known caller.
        self._dummy_key = secrets.token_bytes(32)

    def check(self, key: bytes | None, name: str, action: str, header: str, body: bytes) -> None:
        """Raise `ProofRefused` unless the caller `name` made this proof recently, for this action and body.

        A proof that was used before is refused too. `key` is the caller's key, or None for an unknown caller. Time and
        nonce are only checked if the key matches.
        """
        try:
            proof = Proof.parse(header)
        except ValueError:
            raise ProofRefused("proof") from None
        genuine = proof.matches(key or self._dummy_key, name, action, body, label=self._label)
        if key is None:
            raise ProofRefused("unknown")
        if not genuine:
            raise ProofRefused("proof")
        if abs(self._clock.now() - proof.time) > WINDOW_SECONDS:
            raise ProofRefused("expired")
        self._spend(name, proof)
