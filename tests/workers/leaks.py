"""Looks for tokens, secrets and a handle's key in what a cluster writes and shows."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from jupyter_tokens.protocol.handles import IssuedHandle
from jupyter_tokens.sandbox import Sandbox

from ..server.conftest import SECRETS


def forms(value: str | bytes) -> set[bytes]:
    """A value as text, in base64, and as Python or JSON would print it."""
    raw = value.encode() if isinstance(value, str) else value
    return {raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1], repr(raw)[2:-1].encode()}


def wanted(sandbox: Sandbox, handles: Iterable[IssuedHandle]) -> Mapping[str, set[bytes]]:
    """What must not be found, by what it is."""
    tokens = {form for value in sandbox.issued for form in forms(value)}
    assert tokens
    return {
        "token": tokens,
        "secret": {form for secret in SECRETS.values() for form in forms(secret)},
        "key": {form for handle in handles for form in forms(handle.key)},
    }


def search(places: Mapping[str, bytes], what: Mapping[str, set[bytes]]) -> set[tuple[str, str]]:
    """Pairs of what was found and where; never a value."""
    return {
        (kind, place)
        for place, data in places.items()
        for kind, values in what.items()
        if any(value in data for value in values)
    }


def files(*folders: Path) -> dict[str, bytes]:
    """All files below these folders."""
    return {str(file): file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}


def environments(processes: Iterable[int]) -> dict[str, bytes]:
    """The environments and the command lines with which these processes and those below them were started."""
    own = [psutil.Process(pid) for pid in processes]
    found = {}
    for process in (*own, *(child for parent in own for child in parent.children(recursive=True))):
        # A worker may end meanwhile.
        with suppress(psutil.NoSuchProcess):
            found[f"environment {process.pid}"] = repr(process.environ()).encode()
            found[f"command line {process.pid}"] = repr(process.cmdline()).encode()
    return found
