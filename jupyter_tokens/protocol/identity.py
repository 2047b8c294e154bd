"""Who this kernel is to its server: the id and the key of its connection file. Imports nothing that is not loaded.

ipykernel is asked for them. Of another kernel (xeus-python) the file is read that its own command line names.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .proof import CERT_VARIABLE, CLIENT_CERT_VARIABLE, URL_VARIABLE

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
