"""Checks a kernel's proof against the connection key that the server holds.

The server does not start a kernel that it adopts (`allow_external_kernels`): it finds a connection file in a folder.
The key in that file is the only proof of who the kernel is, so nobody else may be able to read or write it.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..protocol.proof import Gate, ProofRefused
from .base import Refused
from .kernel_push import KernelChannel

if TYPE_CHECKING:
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

__all__ = ["ANSWER_SECONDS", "KernelGate", "check_adopted", "connection_key", "id_here"]

ANSWER_SECONDS = 2.0
"""How long an adopted kernel may take to answer on its control channel, where a busy one answers too."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FACTS = ("transport", "ip", "shell_port", "control_port")


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


class KernelGate(Gate):
    """Lets in who proves that it is a kernel of this server, once for each proof."""

    def check(self, key: bytes | None, name: str, action: str, header: str, body: bytes) -> None:
        """Raises `Refused`. key : see `connection_key`."""
        try:
            super().check(key, name, action, header, body)
        except ProofRefused as refused:
            raise Refused(*_REFUSED[refused.reason]) from None


_REFUSED: Mapping[str, tuple[int, str, str]] = {
    "unknown": (403, "This server runs no such kernel.", "unknown_kernel"),
    "proof": (403, "The request does not prove that it comes from that kernel.", "proof"),
    "expired": (403, "The proof is too old, or its clock is wrong.", "expired"),
    "replayed": (403, "The proof has been used already.", "replayed"),
    "too_many": (429, "This kernel asks too often: try again in a minute.", "too_many"),
}


async def check_adopted(kernels: AsyncMappingKernelManager, kernel_id: str) -> None:
    """Raises `Refused` for an adopted kernel that others could have forged, or that does not answer.

    Parameters
    ----------
    kernels
        The server's manager of kernels.
    kernel_id
        How this server calls the kernel; one that the server has started itself is let through.
    """
    file = getattr(kernels, "kernel_id_to_connection_file", {}).get(kernel_id)
    if file is None:
        return
    kernel = kernels.get_kernel(kernel_id)
    problem = _problem(Path(file), kernel)
    if problem is None and not await _answers(kernel):
        problem = f"leads to no kernel that answers within {ANSWER_SECONDS:g} s"
    if problem is not None:
        raise Refused(403, f"The connection file of this kernel {problem}.", "adopted")


def _problem(file: Path, kernel: Any) -> str | None:
    """What is wrong with a connection file."""
    try:
        # Through a link, whose own folder decides where it leads.
        real = file.resolve(strict=True)
        folders = [folder.stat() for folder in (file.parent, real.parent)]
        state = real.stat()
        facts = json.loads(real.read_bytes())
    except (OSError, ValueError, RuntimeError) as error:
        return f"cannot be read ({type(error).__name__})"
    if os.name == "posix":
        if any(found.st_uid != os.geteuid() for found in (state, *folders)):
            return "or its folder belongs to another user"
        if any(folder.st_mode & _OTHERS_WRITE for folder in folders):
            return "is in a folder that other users can write to: run chmod go-w on the folder"
        if stat.S_IMODE(state.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            return "can be read or written by other users: run chmod 600 on the file"
    known = kernel.get_connection_info()
    key = facts.get("key") if isinstance(facts, dict) else None
    if not (isinstance(key, str) and key.encode() == known["key"] and all(facts.get(f) == known[f] for f in _FACTS)):
        return "is not as it was when the server read it: restart the server"
    return None


async def _answers(kernel: Any) -> bool:
    """Whether a kernel that has the key answers on the control channel."""
    channel = KernelChannel(kernel, kernel.connect_control)
    try:
        answered, _ = await asyncio.wait([channel.request("kernel_info_request", {})], timeout=ANSWER_SECONDS)
        return bool(answered)
    finally:
        channel.close()
