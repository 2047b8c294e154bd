"""Replaces a file at one stroke: who reads it sees the old one or the new one, and nobody else a part of either."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes to a file beside it, which only its owner can read, and renames that.

    mode : of the file in the end. Raises `OSError`; then nothing has changed. A symbolic link would be replaced itself.
    """
    # mkstemp makes it readable by its owner alone, and in the same folder, so that it can be renamed.
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
