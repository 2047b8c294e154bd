"""A token in a file: readable by its owner alone from the first byte, replaced as a whole or not at all.

A wrong path must not cost a user a document or a key. So a file is only replaced if it is empty, or if it holds a
token: what this package wrote there, which a record of digests says, or what has the shape of a token.
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
from ..protocol.messages import value_of

if TYPE_CHECKING:
    from ..token import Token

__all__ = ["FORMATS", "Before", "Format", "check", "content", "digest", "holds", "path_of", "read", "restore", "write"]

Format = Literal["raw", "json", "header"]
FORMATS: tuple[Format, ...] = ("raw", "json", "header")

_MOST_BYTES = 64 * 1024
"""Of a file that is judged by its shape."""
_MOST_WRITTEN_BYTES = 16 * 1024 * 1024
"""No format of a token is longer: a vendor's answer has at most 1 MiB."""
_RECORD_SECONDS = 180 * 24 * 3600.0
"""How long a record is kept after the last write. Without it a token's file is known by its shape only."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What an Authorization header can hold (RFC 6750). A file of passwords with colons or spaces is not taken for a token.
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]{8,}=*\n?")
_HEADER = re.compile(rb"(Authorization|X-Auth-Token): [^\r\n]+\n?")
_log = logging.getLogger(__name__)


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
        raise ParameterError(f"{written[:80]!r} names the home of a user who has none.") from None
    if not written or "\0" in written or not path.name or not _is_encodable(written):
        raise ParameterError(f"{written[:80]!r} is no path of a file.")
    if written.endswith(("/", os.sep)):
        raise ParameterError(f"{written[:80]!r} is a folder.", hint="Add the name of a file.")
    try:
        # The notebook may change its folder later.
        return str(Path(os.path.abspath(path)))  # noqa: PTH100 (resolve() would follow the link that check() refuses)
    except FileNotFoundError:
        raise ParameterError(
            f"{written[:80]!r} is a relative path, and the current folder does not exist any more.",
            hint="Give an absolute path, or change to another folder first: %cd ~",
        ) from None


def _is_encodable(written: str) -> bool:
    try:
        os.fsencode(written)
    except UnicodeEncodeError:
        return False
    return True


def digest(data: bytes) -> bytes:
    """What a file's content is recognised by. It does not give a token away."""
    return hashlib.sha256(data).digest()


def check(name: str, own: Collection[bytes] = ()) -> None:
    """Whether a token may be written there. Raises `ParameterError`, which says why not, and what to do.

    own : digests of what this process has written there.
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


def _is_a_tokens(path: Path, found: os.stat_result, own: Collection[bytes]) -> bool:
    if holds(str(path), own):
        # Whatever its mode is by now.
        return True
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & _OTHERS):
        return False
    return holds(str(path), _recorded(path)) or (found.st_size <= _MOST_BYTES and _looks_like_a_tokens(path))


def _looks_like_a_tokens(path: Path) -> bool:
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
    """What a file of that format holds. Raises `NoValue` or, for a token that no file can hold, `ParameterError`."""
    if form == "header":
        text = "".join(f"{name}: {header}\n" for name, header in token.headers().items())
    elif form == "json":
        facts = {
            "profile": token.profile,
            "provider": token.provider,
            "token": value_of(token),
            # Requests are signed with a token of several values.
            "headers": {} if token.fields else token.headers(),
            "obtained_at": token.obtained_at.isoformat(),
            "expires_at": token.expires_at.isoformat() if token.expires_at is not None else None,
        }
        text = json.dumps(facts, indent=1) + "\n"
    else:
        text = token.reveal()
    data = text.encode(errors="replace")
    if data.decode() != text:
        # The encoding error would show the token.
        raise ParameterError(
            "The token holds half a surrogate pair, which no text file can hold.",
            hint="Write it as JSON (--format json), or put it into a Python variable: --var NAME.",
            profile=token.profile,
        )
    return data


def read(name: str) -> Before | None:
    """What is in a file now; None if there is none. Raises `ParameterError`."""
    path = Path(name)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            # Reading a pipe would wait for its writer.
            _refuse(path, "is no regular file.", "Give the path of a file.")
        return Before(path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror}).", "Name another file.")


def holds(name: str, digests: Collection[bytes]) -> bool:
    """Whether a file holds, as a regular file, what one of these digests is of."""
    if not digests:
        return False
    path = Path(name)
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_WRITTEN_BYTES:
            return False
        return digest(path.read_bytes()) in digests
    except OSError:
        return False


def write(name: str, data: bytes, mode: int = 0o600, *, own: Collection[bytes] = ()) -> None:
    """Replaces a file in one step. Raises `ParameterError`; then nothing has changed. own : see `check`."""
    path = Path(name)
    check(name, own)
    # Before the file is written: a process that is killed in between must not leave a file that nobody recognises.
    _record(path, digest(data))
    try:
        replace_file(path, data, mode)
    except OSError as error:
        _refuse(path, f"cannot be written ({error.strerror}).", "Free or name another place.")


def restore(name: str, before: Before | None, *, own: Collection[bytes] = ()) -> None:
    """Puts back what was in a file that holds our token, or removes that file. Raises `ParameterError`."""
    if before is not None:
        write(name, before.data, before.mode, own=own)
        return
    path = Path(name)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _refuse(path, f"cannot be removed ({error.strerror}).", "Remove it yourself.")
    with suppress(*_NO_RECORD):
        _record_of(path).unlink()


# What earlier kernels wrote. A token may look like anything, so its file is known by the digest of what was written.
# Each path has a small file of its own: kernels that run at the same time need no lock for that. Without a home that
# can be written to, a token's shape decides.
_NO_RECORD = OSError, RuntimeError


def _record_of(path: Path) -> Path:
    from jupyter_core.paths import jupyter_data_dir  # noqa: PLC0415 (needed for files only)

    return Path(jupyter_data_dir(), "jupyter_tokens", "written_files", hashlib.sha256(os.fsencode(path)).hexdigest())


def _recorded(path: Path) -> list[bytes]:
    """Digests of what was last written to a path, by any kernel with this home."""
    try:
        return [bytes.fromhex(line) for line in _record_of(path).read_text("ascii").split()]
    except (*_NO_RECORD, ValueError):
        return []


def _record(path: Path, written: bytes) -> None:
    """Remembers that this is going to be written to a path, and what was written there before."""
    try:
        record = _record_of(path)
        if not record.exists():
            record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_old_records(record.parent)
        digests = [*_recorded(path)[-1:], written]
        replace_file(record, "".join(f"{one.hex()}\n" for one in digests).encode())
    except _NO_RECORD as error:
        _log.debug("What was written to a token's file cannot be recorded: %s", type(error).__name__)


def _remove_old_records(folder: Path) -> None:
    for record in folder.iterdir():
        with suppress(OSError):
            if record.stat().st_mtime < time.time() - _RECORD_SECONDS:
                record.unlink()


def _refuse(path: Path, problem: str, hint: str) -> NoReturn:
    raise ParameterError(f"{path} {problem}", hint=hint) from None
