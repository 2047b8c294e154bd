"""Replaces a file at one stroke: who reads it sees the old one or the new one, and nobody else a part of either.

A process that is killed cannot tidy up. So what is written has no name until it is whole, where the system has such
files (Linux, on most file systems); and whatever a killed process has left is removed by the next one.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # pragma: no cover (Windows, where a file that is open can be neither renamed nor removed)
    fcntl = None  # type: ignore[assignment]

__all__ = ["remove_leftovers", "replace_file"]

_LEFT = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)
_OPEN_FILES = Path("/proc/self/fd")


def replace_file(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes to a file beside it, which only its owner can read, and renames that.

    mode : of the file in the end. Raises `OSError`; then nothing has changed. A symbolic link would be replaced itself.
    """
    remove_leftovers(file.parent, file.name)
    temporary = file.with_name(f".{file.name}.{os.urandom(8).hex()}.tmp")
    unnamed = _open_unnamed(file.parent)
    try:
        with _open(temporary) if unnamed is None else unnamed as stream:
            _lock(stream)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            if unnamed is None:
                if os.name == "nt":  # pragma: no cover (see above)
                    stream.close()
                temporary.chmod(mode)
            else:
                os.fchmod(stream.fileno(), mode)
                with suppress(FileExistsError):
                    _link(stream, file)
                    return
                _link(stream, temporary)
            temporary.replace(file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Removes what killed processes have left of files that they were replacing there; never fails.

    name : of the file; None for any. What a living process is writing now is left alone.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _LEFT.fullmatch(entry.name)
            if found is not None and name in {None, found[1]}:
                with suppress(OSError):
                    _remove_unless_locked(Path(entry))


def _remove_unless_locked(file: Path) -> None:
    # Neither a link nor a pipe that somebody else has put there.
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        seen = os.fstat(handle)
        # An empty one holds nothing, and may have been made a moment ago, before its lock.
        if not stat.S_ISREG(seen.st_mode) or not seen.st_size:
            return
        if fcntl is not None:  # pragma: no branch (see above)
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(handle)
    file.unlink()


def _open(file: Path) -> IO[bytes]:
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb")


def _open_unnamed(folder: Path) -> IO[bytes] | None:
    """A file that is gone with its process; None where there is none to be had."""
    with suppress(AttributeError, OSError):
        if _OPEN_FILES.is_dir():
            return os.fdopen(os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600), "wb")
    return None


def _link(stream: IO[bytes], file: Path) -> None:
    # With a folder's handle, of which an absolute path makes no use, Python follows the link that stands for the file.
    os.link(_OPEN_FILES / str(stream.fileno()), file, src_dir_fd=stream.fileno(), follow_symlinks=True)


def _lock(stream: IO[bytes]) -> None:
    """Held until the file is closed, also by being killed."""
    if fcntl is not None:  # pragma: no branch (see above)
        # Where the file system knows no locks, it is as if nobody held one.
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
