"""Runs a program whose output is a secret: without shell or input, with a time limit. Its output is never shown."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

__all__ = ["MAX_BYTES", "ProgramResult", "run"]

MAX_BYTES = 64 * 1024
"""Maximum output, in bytes. Longer output is cut, but stays longer than this, so that the caller can refuse it."""


class ProgramResult(NamedTuple):
    """How a program ended. `status` is the exit status; None if time ran out, 0 if the output was too long."""

    status: int | None
    output: bytes


def run(argv: Sequence[str], seconds: float) -> ProgramResult:
    """Run a program for at most `seconds`. Blocks. Raises OSError if the program cannot be started.

    Standard error is dropped. Its last line would often say what to do, but programs also print requests, URLs and
    tokens there (with a debug switch, or in an error's text), and error messages end up in notebooks and logs.

    The output is everything in the pipe when the program ends. Reading until the pipe is closed could take for ever,
    because the program may leave an agent in the background. So a thread waits for the program to end, and then writes
    a mark into the pipe.
    """
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd, "rb", buffering=0) as pipe:
        try:
            process = subprocess.Popen(  # noqa: S603 (no shell; the user's own configuration names the program)
                argv, stdin=subprocess.DEVNULL, stdout=write_fd, stderr=subprocess.DEVNULL
            )
        except BaseException:
            os.close(write_fd)
            raise
        mark = os.urandom(16)
        status: list[int | None] = [None]
        end_marker = partial(_mark_end, process, write_fd, mark, status, seconds)
        threading.Thread(target=end_marker, name="jupyter_tokens command", daemon=True).start()
        output = b""
        try:
            while mark not in output and len(output) <= MAX_BYTES + len(mark):
                output += pipe.read(MAX_BYTES)
        finally:
            # Ends a program with too much output, or after an interrupt. No effect if the program has ended.
            process.kill()
    found = mark in output
    return ProgramResult(status[0] if found else 0, output.partition(mark)[0])


def _mark_end(
    process: subprocess.Popen[bytes], write_fd: int, mark: bytes, status: list[int | None], seconds: float
) -> None:
    with suppress(subprocess.TimeoutExpired):
        status[0] = process.wait(seconds)
    process.kill()
    process.wait()
    # After too much output, the reading end is closed.
    with suppress(BrokenPipeError), os.fdopen(write_fd, "wb", buffering=0) as pipe:
        pipe.write(mark)
