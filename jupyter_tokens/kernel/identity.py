"""Who this kernel is to its server: the id and the key of its connection file. Imports nothing that is not loaded."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ..proof import CERT_VARIABLE, CLIENT_CERT_VARIABLE, URL_VARIABLE

__all__ = ["Identity", "identity", "missing_identity"]

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
    module = sys.modules.get("ipykernel.kernelapp")
    if module is None or not module.IPKernelApp.initialized():
        return "this process is not an IPython kernel"
    app = module.IPKernelApp.instance()
    name = _CONNECTION_FILE.fullmatch(Path(app.connection_file).name)
    if name is None:
        return "another program than the Jupyter server started this kernel, for example papermill"
    key: bytes = app.session.key
    if not key:
        return "this kernel has no key for its connections"
    return Identity(url, os.environ.get(CERT_VARIABLE), name[1], key, CLIENT_CERT_VARIABLE in os.environ)
