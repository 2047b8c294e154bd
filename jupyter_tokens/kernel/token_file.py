"""Writes token files. Only their owner can read them (mode 0600), and each is replaced completely or not at all.

A mistyped path must not destroy a user's document or key. So a file is only replaced if it is empty or holds a token:
something this package wrote there, according to a record of digests, or something that looks like a token.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import stat
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from .._util.atomic_file import replace_file
from ..errors import ParameterError
from ..protocol.messages import token_value

if TYPE_CHECKING:
    from ..token import Token

__all__ = [
    "FORMATS",
    "Before",
    "Format",
    "absolute_path",
    "check",
    "content",
    "digest",
    "holds",
    "read",
    "remove_old",
    "restore",
    "write",
]

Format = Literal["raw", "json", "header"]
FORMATS: tuple[Format, ...] = ("raw", "json", "header")

_MAX_BYTES = 64 * 1024
"""The largest file whose content is checked for the form of a token."""
_MAX_WRITTEN_BYTES = 16 * 1024 * 1024
"""This package writes no larger file: an API's response has at most 1 MiB."""
_MAX_AGE_SECONDS = 180 * 24 * 3600.0
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# The characters of a bearer token (RFC 6750). Passwords with colons or spaces are not mistaken for a token.
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]{8,}=*\n?")
_HEADER = re.compile(rb"(Authorization|X-Auth-Token): [^\r\n]+\n?")
_log = logging.getLogger(__name__)


class Before(NamedTuple):
    """Content and permissions of a file before a token was written to it."""

    data: bytes
    mode: int

    def __repr__(self) -> str:
        return f"<Before {len(self.data)} bytes>"


def absolute_path(written: str) -> str:
    """Return the absolute path of a file that a user named. Raises `ParameterError`."""
    try:
        path = Path(written).expanduser()
        encoded = os.fsencode(written)
    except RuntimeError:
        raise ParameterError(f"{written[:80]!r} names the home folder of an unknown user.") from None
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\0" in encoded or not path.name:
        raise ParameterError(f"{written[:80]!r} is not a valid path of a file.")
    if written.endswith(("/", os.sep)):
        raise ParameterError(f"{written[:80]!r} names a folder, not a file.", hint="Add a file name.")
    try:
        # The notebook may change its current folder later.
        return str(Path(os.path.abspath(path)))  # noqa: PTH100 (resolve() would follow the link that check() refuses)
    except FileNotFoundError:
        raise ParameterError(
            f"{written[:80]!r} is a relative path, and the current folder no longer exists.",
            hint="Give an absolute path, or change to another folder first: %cd ~",
        ) from None


def digest(data: bytes) -> bytes:
    """Return the SHA-256 digest of a file's content, so that it can be recognised later without storing the content."""
    return hashlib.sha256(data).digest()


def check(name: str, own_digests: Collection[bytes] = ()) -> None:
    """Check that a token may be written to a file.

    Parameters
    ----------
    name : str
        Absolute path of the file.
    own_digests : collection of bytes
        Digests of what this process has written there.

    Raises
    ------
    ParameterError
        The file cannot or must not be written.
    """
    path = Path(name)
    if not os.path.isdir(path.parent):  # noqa: PTH112 (is_dir() raises for a name that is too long)
        _refuse(
            path, "cannot be written: its folder does not exist.", f"Create the folder: mkdir -p -m 700 {path.parent}"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        _refuse(path, "cannot be written: its folder is not writable.", "Name a file in another folder.")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        _refuse(path, f"cannot be inspected ({error.strerror}).", "Name another file.")
    if stat.S_ISLNK(found.st_mode):
        _refuse(path, "is a symbolic link, which would be replaced by a file.", "Give the path of the link's target.")
    if not stat.S_ISREG(found.st_mode):
        _refuse(path, "is not a regular file.", "Give the path of a file.")
    if found.st_size and not _is_token_file(path, found, own_digests):
        _refuse(
            path,
            "exists and does not look like a token file: one token, readable only by you (mode 0600).",
            "Name another file, or remove this file first.",
        )


def _is_token_file(path: Path, found: os.stat_result, own_digests: Collection[bytes]) -> bool:
    if holds(str(path), own_digests):
        # We wrote it, so its mode does not matter.
        return True
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & _OTHERS):
        return False
    return holds(str(path), _read_record(path)) or (found.st_size <= _MAX_BYTES and _looks_like_token(path))


def _looks_like_token(path: Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    if _TOKEN.fullmatch(data) or _HEADER.fullmatch(data):
        return True
    try:
        written = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(written, dict) and {"profile", "token", "expires_at"} <= written.keys()


def content(token: Token, form: Format) -> bytes:
    """Return the content of a token file.

    Parameters
    ----------
    token : Token
        The token.
    form : {"raw", "json", "header"}
        Format of the file.

    Raises
    ------
    NoValue
        The token has no value.
    ParameterError
        The value cannot be encoded as UTF-8, or the token has several values, which only "json" can hold.
    """
    if form == "header":
        text = "".join(f"{name}: {header}\n" for name, header in token.headers().items())
    elif form == "json":
        facts = {
            "profile": token.profile,
            "provider": token.provider,
            "token": token_value(token),
            # A token with several values signs requests and has no headers.
            "headers": {} if token.fields else token.headers(),
            "obtained_at": token.obtained_at.isoformat(),
            "expires_at": token.expires_at.isoformat() if token.expires_at is not None else None,
        }
        text = json.dumps(facts, indent=1) + "\n"
    else:
        text = token.reveal()
    data = text.encode(errors="replace")
    if data.decode() != text:
        # A UnicodeEncodeError would contain the token.
        raise ParameterError(
            "The token contains half a surrogate pair, which cannot be written to a text file.",
            hint="Write it as JSON (--format json), or put it into a Python variable: --var NAME.",
            profile=token.profile,
        )
    return data


def read(name: str) -> Before | None:
    """Return content and permissions of a file, or None if it does not exist. Raises `ParameterError`."""
    path = Path(name)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            # Reading a pipe would wait for its writer.
            _refuse(path, "is not a regular file.", "Give the path of a file.")
        return Before(path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror}).", "Name another file.")


def holds(name: str, digests: Collection[bytes]) -> bool:
    """Whether a path is a regular file whose content has one of these digests."""
    if not digests:
        return False
    path = Path(name)
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_WRITTEN_BYTES:
            return False
        return digest(path.read_bytes()) in digests
    except OSError:
        return False


def write(name: str, data: bytes, mode: int = 0o600, *, own_digests: Collection[bytes] = ()) -> None:
    """Write a file in one step. After a `ParameterError`, the file is unchanged. For `own_digests`, see `check`."""
    path = Path(name)
    check(name, own_digests)
    # Before the file is written: a process that is killed in between must not leave a file that is not recognised.
    _record(path, digest(data))
    try:
        replace_file(path, data, mode)
    except OSError as error:
        _refuse(
            path,
            f"cannot be written ({error.strerror}).",
            "Check the free space and the permissions, or name another file.",
        )


def restore(name: str, before: Before | None, *, own_digests: Collection[bytes] = ()) -> None:
    """Restore what was in a file before our token; if `before` is None, remove the file. Raises `ParameterError`."""
    if before is not None:
        write(name, before.data, before.mode, own_digests=own_digests)
        return
    path = Path(name)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _refuse(path, f"cannot be removed ({error.strerror}).", "Remove the file yourself.")
    with suppress(*_NO_RECORD):
        _record_path(path).unlink()


# Records of what earlier kernels wrote. A token may look like anything, so its file is recognised by its digest. Each
# path has its own small record, so that concurrent kernels need no lock. If the home folder is not writable, only the
# form of the content decides.
_NO_RECORD = OSError, RuntimeError


def _record_path(path: Path) -> Path:
    from jupyter_core.paths import jupyter_data_dir  # noqa: PLC0415 (needed for files only)

    return Path(jupyter_data_dir(), "jupyter_tokens", "written_files", hashlib.sha256(os.fsencode(path)).hexdigest())


def _read_record(path: Path) -> list[bytes]:
    """Return the digests of what this user's kernels wrote to a path last."""
    try:
        return [bytes.fromhex(line) for line in _record_path(path).read_text("ascii").split()]
    except (*_NO_RECORD, ValueError):
        return []


def _record(path: Path, written: bytes) -> None:
    """Record the digest of what is about to be written to a path; the previous digest is kept too."""
    try:
        record = _record_path(path)
        if not record.exists():
            record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Without its record, only the content's form identifies a token file.
            remove_old(record.parent)
        digests = [*_read_record(path)[-1:], written]
        replace_file(record, "".join(f"{one.hex()}\n" for one in digests).encode())
    except _NO_RECORD as error:
        _log.debug("The record of a token file cannot be written: %s", type(error).__name__)


def remove_old(folder: Path) -> None:
    """Remove the files in a folder that were last written more than 180 days ago."""
    for old in folder.iterdir():
        with suppress(OSError):
            if old.stat().st_mtime < time.time() - _MAX_AGE_SECONDS:
                old.unlink()


def _refuse(path: Path, problem: str, hint: str) -> NoReturn:
    raise ParameterError(f"{path} {problem}", hint=hint) from None
