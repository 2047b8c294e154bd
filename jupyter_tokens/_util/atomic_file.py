"""Replaces a file atomically: readers see either the old content or the new content, always complete.

A killed process cannot remove its temporary file. So on Linux, on most file systems, the new file has no name until it
is complete, and disappears with its process. Elsewhere, the next process that replaces the file removes the temporary
file.
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

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)
_OPEN_FILES = Path("/proc/self/fd")


def replace_file(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file atomically.

    The data is first written to a temporary file in the same folder, readable only by its owner. The temporary file is
    then renamed or linked to the name of `file`.

    Parameters
    ----------
    file : Path
        The file. A symbolic link is replaced, not its target.
    data : bytes
        The new content.
    mode : int
        Permissions of the new file.

    Raises
    ------
    OSError
        If the file could not be replaced. The old content is then unchanged.
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
    """Remove the temporary files of killed processes. Never fails. Files of running processes are left alone.

    Parameters
    ----------
    folder : Path
        The folder.
    name : str, optional
        Only remove temporary files for this file name; by default, for any file.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match is not None and name in {None, match[1]}:
                with suppress(OSError):
                    _remove_unless_locked(Path(entry))


def _remove_unless_locked(file: Path) -> None:
    # Do not follow a link, or wait for a pipe, that another user has put there.
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(handle)
        # An empty file contains no secret. It may be so new that its process has not locked it yet.
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return
        if fcntl is not None:  # pragma: no branch (see above)
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(handle)
    file.unlink()


def _open(file: Path) -> IO[bytes]:
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb")


def _open_unnamed(folder: Path) -> IO[bytes] | None:
    """Open a file without a name, which disappears with its process. Return None if the system has no such files."""
    with suppress(AttributeError, OSError):
        if _OPEN_FILES.is_dir():
            return os.fdopen(os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600), "wb")
    return None


def _link(stream: IO[bytes], file: Path) -> None:
    # `src_dir_fd` has no effect on an absolute path, but makes Python call linkat(), which can follow the link.
    os.link(_OPEN_FILES / str(stream.fileno()), file, src_dir_fd=stream.fileno(), follow_symlinks=True)


def _lock(stream: IO[bytes]) -> None:
    """Lock the file until it is closed or the process is killed."""
    if fcntl is not None:  # pragma: no branch (see above)
        # Some file systems have no locks.
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
