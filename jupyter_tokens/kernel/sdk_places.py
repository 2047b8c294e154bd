"""The variables and files where an unmodified SDK looks for a token, for `%gettoken --sdk`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_core.paths import jupyter_runtime_dir

from ..sdks import SDKS, Address, SdkRequest
from .injection import Place, env_place, file_place
from .token_file import remove_old

if TYPE_CHECKING:
    from ..sources.base import TokenSource
    from ..sources.cache import Key
    from ..token import Token

__all__ = ["conflict_notes", "places_for"]


def places_for(tool: str, key: Key, token: Token, source: TokenSource) -> list[Place]:
    """Return the places where an SDK looks for a token.

    If the SDK reads its credentials from an endpoint, the token source provides this endpoint.

    Parameters
    ----------
    tool : str
        Name of the SDK.
    key : Key
        The token's profile and parameters.
    token : Token
        The token.
    source : TokenSource
        Provides the SDK's endpoint.

    Raises
    ------
    TokenError
        There is no endpoint, the SDK cannot use this token, the token has no value, or the file cannot be written.
    """
    sdk = SDKS[tool]
    url = secret = ""
    if sdk.answer is None:
        token.reveal()
    else:
        sdk.answer(token, SdkRequest(now=source.clock.now()))
        endpoint = source.endpoint(key)
        url, secret = endpoint.url.replace("{tool}", tool), endpoint.secret.reveal()
    file = "" if sdk.file is None else _file(tool, key, url)
    address = Address(url, secret, file)
    places = [replace(env_place(name), text=text) for name, text in sdk.variables(address).items()]
    if sdk.file is not None:
        places.append(replace(file_place(file), text=sdk.file(address)))
    return places


def conflict_notes(tool: str, environ: Mapping[str, str]) -> list[str]:
    """Return sentences about settings that an SDK prefers to the token, and about missing settings that it needs."""
    sdk = SDKS[tool]
    notes = [
        f"${name} is set, and the SDK looks there first: unset it to use this token."
        for name in sdk.rivals
        if name in environ
    ]
    files = [name for name in sdk.rivals if name.startswith("~") and Path(name).expanduser().exists()]
    notes += [
        f"{name} exists, and the SDK looks there first: it uses this token only if that file does not exist."
        for name in files
    ]
    return notes + [f"Set ${name} as well: the SDK needs it." for name in sdk.needs if name not in environ]


def _file(tool: str, key: Key, url: str) -> str:
    """Return the path of an SDK's file. Also remove old files in its folder.

    Within one kernel, the same arguments give the same path.

    The name is a hash, so that a listing of the folder does not show profile names.
    """
    folder = Path(jupyter_runtime_dir(), "jupyter_tokens")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Of killed kernels. They contain a token, or a secret that was valid while the kernel ran.
    remove_old(folder)
    owner = url or f"process {os.getpid()}"
    return str(folder / hashlib.sha256(repr((owner, tool, key)).encode()).hexdigest()[:32])
