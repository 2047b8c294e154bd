"""Who this kernel is to its server: the id and the key of its connection file. Imports nothing that is not loaded."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CERT_VARIABLE", "URL_VARIABLE", "Identity", "identity"]

URL_VARIABLE = "JUPYTER_TOKENS_URL"
"""Where the server's extension answers; published by the server, no secret."""
CERT_VARIABLE = "JUPYTER_TOKENS_CERT"
"""The server's certificate, where it has one: the only one that is trusted."""

_CONNECTION_FILE = re.compile(r"kernel-([0-9A-Za-z-]+)\.json")


@dataclass(frozen=True, slots=True)
class Identity:
    """A kernel that a server has started."""

    url: str
    cert: str | None
    kernel_id: str
    connection_key: bytes = field(repr=False)


def identity() -> Identity | None:
    """Whose kernel this process is, or None if it is no server's (a script, a plain IPython, nbclient)."""
    url = os.environ.get(URL_VARIABLE)
    module = sys.modules.get("ipykernel.kernelapp")
    if not url or module is None or not module.IPKernelApp.initialized():
        return None
    app = module.IPKernelApp.instance()
    name = _CONNECTION_FILE.fullmatch(Path(app.connection_file).name)
    key: bytes = app.session.key
    if name is None or not key:
        return None
    return Identity(url, os.environ.get(CERT_VARIABLE), name[1], key)
