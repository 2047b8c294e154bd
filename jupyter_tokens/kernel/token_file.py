"""A token in a file: readable by its owner alone from the first byte, replaced as a whole or not at all.

It never replaces what is not a token's: a wrong path must not cost a user a document or a key.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from ..errors import ParameterError
from ..whole_file import replace_file

if TYPE_CHECKING:
    from ..token import Token

__all__ = ["FORMATS", "Before", "Format", "check", "content", "digest", "path_of", "read", "restore", "write"]

Format = Literal["raw", "json", "header"]
FORMATS: tuple[Format, ...] = ("raw", "json", "header")

_MOST_BYTES = 64 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What an Authorization header can hold (RFC 6750); a password file with colons or spaces is none.
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]{8,}=*\n?")
_HEADER = re.compile(rb"Authorization: [^\r\n]+\n?")


class Before(NamedTuple):
    """What was in a file. mode : its permissions."""

    data: bytes
    mode: int

    def __repr__(self) -> str:
        return f"<Before {len(self.data)} bytes>"


def path_of(written: str) -> str:
    """A file's absolute path, from what a user writes. Raises `ParameterError`."""
    try:
        path = Path(written).expanduser()
    except RuntimeError:
        raise ParameterError(f"{written[:80]!r} names the home of a user who has none.", unsent=True) from None
    if not written or "\0" in written or not path.name or not _is_encodable(written):
        raise ParameterError(f"{written[:80]!r} is no path of a file.", unsent=True)
    # The notebook may change its folder later.
    return str(Path(os.path.abspath(path)))  # noqa: PTH100 (resolve() would follow the link that check() refuses)


def _is_encodable(written: str) -> bool:
    try:
        os.fsencode(written)
    except UnicodeEncodeError:
        return False
    return True


def digest(data: bytes) -> bytes:
    """What a file's content is known by. Of a token, it gives nothing away."""
    return hashlib.sha256(data).digest()


def check(name: str, own: bytes | None = None) -> None:
    """Whether a token may be written there. Raises `ParameterError` that says why not, and what to do.

    own : digest of what we have written there.
    """
    path = Path(name)
    if not os.path.isdir(path.parent):  # noqa: PTH112 (is_dir() raises for a name that is too long)
        _refuse(path, "cannot be written: its folder does not exist.", f"Make it: mkdir -p -m 700 {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        _refuse(path, "cannot be written: its folder may not be written to.", "Name a file in another folder.")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        _refuse(path, f"cannot be looked at ({error.strerror}).", "Name another file.")
    if stat.S_ISLNK(found.st_mode):
        _refuse(path, "is a symbolic link, which a replacement would cut.", "Give the path that it points to.")
    if not stat.S_ISREG(found.st_mode):
        _refuse(path, "is no regular file.", "Give the path of a file.")
    if found.st_size and not _is_a_tokens(path, found, own):
        _refuse(
            path,
            "exists, and does not look like a token's file: one token, readable by you alone (mode 0600).",
            "Name another file, or remove this one yourself.",
        )


def _is_a_tokens(path: Path, found: os.stat_result, own: bytes | None) -> bool:
    mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & _OTHERS)
    if not mine or found.st_size > _MOST_BYTES:
        return False
    try:
        data = path.read_bytes()
    except OSError:
        return False
    if digest(data) == own or _TOKEN.fullmatch(data) or _HEADER.fullmatch(data):
        return True
    try:
        written = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(written, dict) and {"profile", "token", "expires_at"} <= written.keys()


def content(token: Token, form: Format) -> bytes:
    """What a file of that format says of a token. Raises `NoValue`."""
    if form == "header":
        return "".join(f"{name}: {value}\n" for name, value in token.headers().items()).encode()
    if form == "raw":
        return token.reveal().encode()
    told = {
        "profile": token.profile,
        "provider": token.provider,
        "token": token.reveal(),
        "headers": token.headers(),
        "obtained_at": token.obtained_at.isoformat(),
        "expires_at": token.expires_at.isoformat() if token.expires_at is not None else None,
    }
    return (json.dumps(told, indent=1) + "\n").encode()


def read(name: str) -> Before | None:
    """What is in a file now; None if there is none."""
    path = Path(name)
    try:
        return Before(path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror}).", "Name another file.")


def write(name: str, data: bytes, mode: int = 0o600, *, own: bytes | None = None) -> None:
    """Replaces a file at one stroke. Raises `ParameterError`; then nothing has changed. own : see `check`."""
    path = Path(name)
    check(name, own)
    try:
        replace_file(path, data, mode)
    except OSError as error:
        _refuse(path, f"cannot be written ({error.strerror}).", "Free or name another place.")


def restore(name: str, before: Before | None, *, own: bytes | None = None) -> None:
    """Puts back what was in a file, or removes it; leaves alone what somebody else has put there since."""
    try:
        check(name, own)
    except ParameterError:
        if own is not None and _holds(Path(name), own):
            # The token is there still, though it cannot be taken away.
            raise
        return
    if before is not None:
        write(name, before.data, before.mode, own=own)
        return
    try:
        Path(name).unlink(missing_ok=True)
    except OSError as error:
        _refuse(Path(name), f"cannot be removed ({error.strerror}).", "Remove it yourself.")


def _holds(path: Path, own: bytes) -> bool:
    try:
        return digest(path.read_bytes()) == own
    except OSError:
        return False


def _refuse(path: Path, problem: str, hint: str) -> NoReturn:
    raise ParameterError(f"{path} {problem}", hint=hint, unsent=True) from None
