"""Checks a kernel's proof against the connection key that the server holds; knows nothing of tokens."""

from __future__ import annotations

import secrets
from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..protocol.proof import WINDOW_SECONDS, Proof
from .base import Refused

if TYPE_CHECKING:
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

__all__ = ["MOST_NONCES", "Gate", "connection_key", "id_here"]

MOST_NONCES = 2**18
"""The most nonces of one kernel that are remembered: 2,000 calls a second for as long as a proof is good."""


def id_here(kernels: AsyncMappingKernelManager, kernel_id: str) -> str:
    """How this server calls a kernel that calls itself by its connection file's name.

    It is the same id for a kernel that this server has started. One that it has adopted (`allow_external_kernels`) has
    another one with each server. The id of a kernel that nobody knows stays as it is.
    """
    # The first versions of jupyter_client 8 adopt none.
    if kernel_id in kernels or getattr(kernels, "external_connection_dir", None) is None:
        return kernel_id
    # The server adopts a kernel when somebody lists its kernels: a server that has just started may know of none.
    kernels.list_kernel_ids()
    name = f"kernel-{kernel_id}.json"
    return next((here for here, file in kernels.kernel_id_to_connection_file.items() if file.name == name), kernel_id)


def connection_key(kernels: AsyncMappingKernelManager, kernel_id: str) -> bytes | None:
    """The key of a kernel that this server runs, or None: unknown, a gateway's, or one whose messages are unsigned."""
    if kernel_id not in kernels:
        return None
    session: Any = getattr(kernels.get_kernel(kernel_id), "session", None)
    key = getattr(session, "key", None)
    return key if isinstance(key, bytes) and key else None


class Gate:
    """Lets in who proves that it is a kernel of this server, once for each proof.

    A nonce is filed under the second that its proof tells, and dropped when a proof of that second is too old anyway.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, dict[int, set[bytes]]] = {}
        self._looked_at = -inf
        # Stands in for the key of a kernel that is unknown, so that finding out takes as long.
        self._nobody = secrets.token_bytes(32)

    def check(self, key: bytes | None, kernel_id: str, action: str, header: str, body: bytes) -> None:
        """Raises `Refused`. key : see `connection_key`. Time and nonce are looked at only for who has the key."""
        try:
            proof = Proof.parse(header)
        except ValueError:
            raise _refused("proof") from None
        genuine = proof.is_of(key or self._nobody, kernel_id, action, body)
        if key is None:
            raise _refused("unknown_kernel")
        if not genuine:
            raise _refused("proof")
        now = self._clock.now()
        if abs(now - proof.time) > WINDOW_SECONDS:
            raise _refused("expired")
        self._forget(now)
        seen = self._seen.setdefault(kernel_id, defaultdict(set))
        nonce = bytes.fromhex(proof.nonce)
        if nonce in seen[proof.time]:
            raise _refused("replayed")
        if sum(map(len, seen.values())) >= MOST_NONCES:
            raise Refused(429, "This kernel asks too often: try again in a minute.", "too_many")
        seen[proof.time].add(nonce)

    def _forget(self, now: float) -> None:
        """Drops what could not be used again anyway; once a second, since it looks at all kernels."""
        if abs(now - self._looked_at) < 1:
            return
        self._looked_at = now
        for kernel_id, seen in list(self._seen.items()):
            for second in [second for second in seen if now - second > WINDOW_SECONDS]:
                del seen[second]
            if not seen:
                del self._seen[kernel_id]


_MESSAGES = {
    "unknown_kernel": "This server runs no such kernel.",
    "proof": "The request does not prove that it comes from that kernel.",
    "expired": "The proof is too old, or its clock is wrong.",
    "replayed": "The proof has been used already.",
}


def _refused(reason: str) -> Refused:
    return Refused(403, _MESSAGES[reason], reason)
