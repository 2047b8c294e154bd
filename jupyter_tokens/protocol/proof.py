"""Who a kernel is to its server, and how it proves that, with the key of its connection file.

The key itself never travels: a key derived from it for this purpose alone makes an HMAC over kernel id, action, time,
nonce and body. Who checks a proof also has to refuse a nonce that was seen before.

For id and key ipykernel is asked. Of another kernel (xeus-python) the file is read that its own command line names.
Nothing is imported for it that is not loaded.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

__all__ = [
    "CERT_VARIABLE",
    "CLIENT_CERT_VARIABLE",
    "FILLED_VARIABLE",
    "HEADER",
    "START_VARIABLE",
    "URL_VARIABLE",
    "WINDOW_SECONDS",
    "Identity",
    "Proof",
    "identity",
    "missing_identity",
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
_CONNECTION_FILE = re.compile(r"kernel-([0-9A-Za-z-]+)\.json")


@dataclass(frozen=True, slots=True)
class Identity:
    """A kernel that a server has started. shows_cert : the server asks its clients for a certificate."""

    url: str
    cert: str | None
    kernel_id: str
    connection_key: bytes = field(repr=False)
    shows_cert: bool = False


def identity() -> Identity | None:
    """Whose kernel this process is, or None if it is no server's (a script, a plain IPython, nbclient)."""
    found = _look()
    return found if isinstance(found, Identity) else None


def missing_identity() -> str:
    """Why `identity` is None, for a card: the same words in each run."""
    found = _look()
    return found if isinstance(found, str) else ""


def _look() -> Identity | str:
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return "no Jupyter server with jupyter_tokens started this process"
    found = _of_ipykernel() or _of_command_line()
    if found is None:
        return "this process is not itself a kernel of the Jupyter server"
    name = _CONNECTION_FILE.fullmatch(found[0].name)
    if name is None:
        return "another program than the Jupyter server started this kernel, for example papermill"
    if not found[1]:
        return "this kernel has no key for its connections"
    return Identity(url, os.environ.get(CERT_VARIABLE), name[1], found[1], CLIENT_CERT_VARIABLE in os.environ)


def _of_ipykernel() -> tuple[Path, bytes] | None:
    module = sys.modules.get("ipykernel.kernelapp")
    if module is None or not module.IPKernelApp.initialized():
        return None
    app = module.IPKernelApp.instance()
    return Path(app.connection_file), app.session.key


def _of_command_line() -> tuple[Path, bytes] | None:
    """The connection file that a kernel was started with (`-f FILE`); a program that it starts is not given that."""
    words = sys.orig_argv
    if "-f" not in words[:-1]:
        return None
    file = Path(words[words.index("-f") + 1])
    if _CONNECTION_FILE.fullmatch(file.name) is None:
        return None
    try:
        key = json.loads(file.read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (file, key.encode()) if isinstance(key, str) else None


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
