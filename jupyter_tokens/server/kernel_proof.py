"""Finds the connection key of a kernel, with which its proofs are checked.

The server can also adopt kernels that it has not started (`allow_external_kernels`): it finds their connection files in
a folder. Only the key in its file identifies such a kernel, so other users must not be able to read or write the file.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Refused
from .kernel_push import KernelChannel

if TYPE_CHECKING:
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

__all__ = ["ANSWER_SECONDS", "check_adopted", "connection_key", "local_kernel_id"]

ANSWER_SECONDS = 2.0
"""How long an adopted kernel may take to answer on its control channel, in seconds. Busy kernels answer there too."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FACTS = ("transport", "ip", "shell_port", "control_port")


def local_kernel_id(kernels: AsyncMappingKernelManager, kernel_id: str) -> str:
    """Return this server's id of a kernel. `kernel_id` is the id in the name of the kernel's connection file.

    For a kernel that this server has started, both ids are the same. An adopted kernel (`allow_external_kernels`) has a
    different id on each server. The id of an unknown kernel is returned unchanged.
    """
    # Early versions of jupyter_client 8 adopt no kernels.
    if kernel_id in kernels or getattr(kernels, "external_connection_dir", None) is None:
        return kernel_id
    # The server adopts kernels when its kernels are listed, so a server that has just started may not know them yet.
    kernels.list_kernel_ids()
    name = f"kernel-{kernel_id}.json"
    return next(
        (local_id for local_id, file in kernels.kernel_id_to_connection_file.items() if file.name == name), kernel_id
    )


def connection_key(kernels: AsyncMappingKernelManager, kernel_id: str) -> bytes | None:
    """Return a kernel's key; None if the kernel is unknown, runs behind a gateway, or does not sign its messages."""
    if kernel_id not in kernels:
        return None
    session: Any = getattr(kernels.get_kernel(kernel_id), "session", None)
    key = getattr(session, "key", None)
    return key if isinstance(key, bytes) and key else None


async def check_adopted(kernels: AsyncMappingKernelManager, kernel_id: str) -> None:
    """Check that an adopted kernel answers, and that other users cannot have read or forged its connection file.

    Parameters
    ----------
    kernels : AsyncMappingKernelManager
        The server's kernel manager.
    kernel_id : str
        The kernel's id on this server. A kernel that the server has started itself passes the check.

    Raises
    ------
    Refused
        The kernel does not answer, or its connection file cannot be read, has changed, or is not protected from other
        users.
    """
    file = getattr(kernels, "kernel_id_to_connection_file", {}).get(kernel_id)
    if file is None:
        return
    kernel = kernels.get_kernel(kernel_id)
    problem = _problem(Path(file), kernel)
    if problem is None and not await _answers(kernel):
        problem = f"belongs to no kernel that answers within {ANSWER_SECONDS:g} s"
    if problem is not None:
        raise Refused(403, f"The connection file of this kernel {problem}.", "adopted")


def _problem(file: Path, kernel: Any) -> str | None:
    """Return the problem with a connection file, or None."""
    try:
        # The file may be a link. Then the folder of the link and the folder of its target both count.
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
        return "has changed since the server read it: restart the server"
    return None


async def _answers(kernel: Any) -> bool:
    """Whether a kernel with this key answers on the control channel."""
    with closing(KernelChannel(kernel, kernel.connect_control)) as channel:
        answered, _ = await asyncio.wait([channel.request("kernel_info_request", {})], timeout=ANSWER_SECONDS)
        return bool(answered)
