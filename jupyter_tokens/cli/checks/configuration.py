"""Configuration files and their modes, the profiles in them, literal secrets, and the keyring."""

from __future__ import annotations

import os
import shlex
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.profiles import loads_code
from ...errors import ConfigurationError
from ..keyring_backend import backend
from .finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from ...config.profiles import Profile, Profiles

__all__ = ["files", "keyring", "profiles"]


def files(found: list[Path]) -> Iterator[Finding]:
    """Each file, and who may change it."""
    if os.environ.get("JUPYTER_NO_CONFIG"):
        yield fail("configuration", "JUPYTER_NO_CONFIG is set: no profile is read or kept", "unset JUPYTER_NO_CONFIG")
    elif not found:
        yield warn("configuration", "no configuration file was found", "run `jupyter tokens add NAME`")
    for file in found:
        try:
            mode = _mode(file)
        except OSError:
            # Reading it fails as well, and says so.
            continue
        yield ok("configuration", f"{file} (mode {mode:04o})")
        for path in (file, file.parent):
            # Whoever can write it decides where secrets are sent.
            if os.name == "posix" and _mode(path) & stat.S_IWOTH:
                yield fail("file mode", f"{path} can be written by everyone", f"chmod go-w {shlex.quote(str(path))}")
            elif os.name == "posix" and _mode(path) & stat.S_IWGRP:
                what = f"{path} can be written by its group"
                yield warn("file mode", what, f"chmod g-w {shlex.quote(str(path))}")


def profiles(known: Profiles) -> Iterator[Finding]:
    """Each profile: whether it is right, and whether its secrets are written out in it."""
    for name in known:
        try:
            with warnings.catch_warnings():
                # Told below, for each profile.
                warnings.simplefilter("ignore", UserWarning)
                profile = known[name]
        except ConfigurationError as error:
            yield fail("profile", error.message.rstrip("."), error.hint.rstrip(".") or "correct it in its file")
            continue
        if profile.env is not None and loads_code(profile.env):
            what = f"profile {name}: some program loads or starts code by the variable {profile.env}"
            yield warn("variable", what, "choose another name for env")
        literal = _literals(profile)
        if literal:
            what = f"profile {name}: {', '.join(literal)} stands in {known.file(name)}"
            yield warn(
                "literal secret", what, "keep it elsewhere: keyring:SERVICE/USER, file:PATH, env:NAME or command:…"
            )
        else:
            yield ok("profile", f"{name} ({profile.provider.title})")


def keyring(known: list[Profile]) -> Iterator[Finding]:
    """The backend, in the light of who needs one."""
    found = backend()
    needed = [profile.name for profile in known if any(ref.kind == "keyring" for ref in profile.references.values())]
    if found.usable and found.encrypts:
        yield ok("keyring", found.name)
    elif found.usable:
        yield warn("keyring", f"{found.name} stores secrets in plain text", "use a backend that encrypts")
    elif needed:
        yield fail(
            "keyring",
            f"this machine has no keyring, and these profiles need one: {', '.join(needed)}",
            "install a keyring backend, or add them again with --store file",
        )
    else:
        yield warn(
            "keyring", "this machine has no keyring", "store secrets with `add --store file`, or install a backend"
        )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _literals(profile: Profile) -> list[str]:
    known = profile.provider.settings()
    return [key for key, reference in profile.references.items() if reference.kind == "literal" and known[key].secret]
