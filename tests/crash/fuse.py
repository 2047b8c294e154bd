"""Kills its own process at one step of an operation, or counts the steps, so that a step can be drawn.

A step is a line of jupyter_tokens, or a call of any other Python function, on any thread, from the operation's first
function on. Our own lines are few among thousands, and those that write files fewer: they are counted apart as well.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import jupyter_tokens

PACKAGE = str(Path(jupyter_tokens.__file__).parent)
WRITING = {
    str(Path(PACKAGE, name))
    for name in ("_util/atomic_file.py", "config/secret_store.py", "config/editing.py", "kernel/token_file.py")
}


class Steps(NamedTuple):
    """any : of the whole operation. ours : lines of the package. writing : in the rooms that write files, and below."""

    any: int = 0
    ours: int = 0
    writing: int = 0


class Point(NamedTuple):
    """Where to die. kind : of the steps, a field of `Steps`. number : from 1; 0 to count, and live."""

    kind: str
    number: int


class Fuse:
    """Armed by `arm`, lit by the first call of a function.

    entry : file within the package and name of that function. report : where it writes how many steps there were, or
    the place at which it dies.
    """

    def __init__(self, entry: tuple[str, str], point: Point, report: Path) -> None:
        self._file, self._function = str(Path(PACKAGE, entry[0])), entry[1]
        self._point = point
        self._report = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._lit = False
        self._counters = {kind: itertools.count(1) for kind in Steps._fields}
        self._counted = Steps()
        self._within = threading.local()

    def arm(self, *_: Any) -> None:
        """On the main thread, also as a signal's handler."""
        threading.settrace(self._called)
        sys.settrace(self._called)

    def _called(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        if not self._lit:
            if code.co_name != self._function or code.co_filename != self._file:
                return None
            self._lit = True
        replacing = _replaces(code)
        if replacing:
            self._within.depth = self._depth + 1
        self._step(code, frame.f_lineno)
        return self._went_on if replacing or code.co_filename.startswith(PACKAGE) else None

    def _went_on(self, frame: FrameType, event: str, _arg: Any) -> Any:
        code = frame.f_code
        if event in {"line", "return"}:
            self._step(code, frame.f_lineno)
        if event == "return" and _replaces(code):
            self._within.depth = self._depth - 1
        return self._went_on

    @property
    def _depth(self) -> int:
        return getattr(self._within, "depth", 0)

    def _step(self, code: CodeType, line: int) -> None:
        kinds = {
            "any": True,
            "ours": code.co_filename.startswith(PACKAGE),
            "writing": bool(self._depth) or code.co_filename in WRITING,
        }
        # Each is counted at one stroke, whatever the threads.
        numbers = {kind: next(self._counters[kind]) for kind, belongs in kinds.items() if belongs}
        if not self._point.number:
            self._counted = self._counted._replace(**numbers)
            os.pwrite(self._report, b"%9d %9d %9d" % self._counted, 0)
        elif numbers.get(self._point.kind) == self._point.number:
            os.pwrite(self._report, f"{code.co_filename}:{code.co_name}:{line}".encode(), 0)
            os.kill(os.getpid(), signal.SIGKILL)


def _replaces(code: CodeType) -> bool:
    return code.co_name == "replace_file" and code.co_filename in WRITING
