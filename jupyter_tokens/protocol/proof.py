"""How a kernel proves to its server who it is, with the key of its connection file; pure functions, no I/O.

The key itself never travels: a key derived from it for this purpose alone makes an HMAC over kernel id, action, time,
nonce and body. Who checks a proof also has to refuse a nonce that was seen before.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256

__all__ = [
    "CERT_VARIABLE",
    "CLIENT_CERT_VARIABLE",
    "FILLED_VARIABLE",
    "HEADER",
    "START_VARIABLE",
    "URL_VARIABLE",
    "WINDOW_SECONDS",
    "Proof",
    "prove",
]

URL_VARIABLE = "JUPYTER_TOKENS_URL"
"""Where the server's extension answers; published by the server for its kernels, no secret."""
CERT_VARIABLE = "JUPYTER_TOKENS_CERT"
"""The server's certificate, where it has one: the only one that a kernel trusts."""
CLIENT_CERT_VARIABLE = "JUPYTER_TOKENS_CLIENT_CERT"
"""Set to "required" by a server that asks its clients for certificates."""
START_VARIABLE = "JUPYTER_TOKENS_START"
"""In which the server tells a kernel what became of the profiles that are injected at its start."""
FILLED_VARIABLE = "JUPYTER_TOKENS_FILLED"
"""Which variables of a kernel the server has filled itself, by name: `{"VARIABLE": {"profile": …, "params": {…}}}`."""
HEADER = "X-Jupyter-Tokens-Proof"
WINDOW_SECONDS = 60.0
"""How far the time of a proof may be from the server's, either way."""

_LABEL = b"jupyter_tokens kernel proof v1"
_FORM = re.compile(r"v1 time=([0-9]{1,15}), nonce=([0-9a-f]{32}), mac=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as it came in. time : seconds since the epoch."""

    time: int
    nonce: str
    mac: str

    @classmethod
    def parse(cls, header: str) -> Proof:
        """A proof from its header. Raises ValueError, which does not quote it."""
        match = _FORM.fullmatch(header)
        if match is None:
            raise ValueError("not of the form: v1 time=…, nonce=…, mac=…")
        return cls(int(match[1]), match[2], match[3])

    def is_of(self, connection_key: bytes, kernel_id: str, action: str, body: bytes) -> bool:
        """Whether whoever holds this connection key made it, for this kernel, action and body."""
        mac = _mac(connection_key, kernel_id, action, str(self.time), self.nonce, body=body)
        return hmac.compare_digest(self.mac, mac)


def prove(connection_key: bytes, kernel_id: str, action: str, body: bytes, *, time: int, nonce: str) -> str:
    """The value of the header.

    action : the last part of the route ("token", "profiles"), so that a proof is good for one only.
    nonce : 32 hexadecimal digits, never used twice.
    """
    return f"v1 time={time}, nonce={nonce}, mac={_mac(connection_key, kernel_id, action, str(time), nonce, body=body)}"


def _mac(connection_key: bytes, *said: str, body: bytes) -> str:
    derived = hmac.digest(connection_key, _LABEL, "sha256")
    text = "\n".join((*said, sha256(body).hexdigest()))
    return hmac.digest(derived, text.encode(), "sha256").hex()
