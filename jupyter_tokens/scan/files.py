"""Notebooks as files: finds them, reads them, and writes one back with nothing changed but what was redacted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..whole_file import replace_file
from .known import Known
from .notebook import Finding, scan
from .rewrite import rewritten

__all__ = ["NotReadable", "Scanned", "notebooks_in", "scan_file"]

_NEVER_OURS = {"node_modules", "site-packages", "__pycache__"}
_FORMAT = 4


class NotReadable(Exception):
    """A file that cannot be scanned. The message says why and what to do, and quotes nothing of it."""


class Scanned(NamedTuple):
    """One notebook. findings : what was found. changed : whether it was redacted. left : what is in it still."""

    findings: list[Finding]
    left: list[Finding]
    changed: bool


def notebooks_in(paths: Iterable[Path]) -> Iterator[Path]:
    """Each file itself; of a folder the notebooks below it, and each folder that cannot be listed.

    Not looked into below a folder: hidden folders, installed packages, virtual environments.
    """
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 (is_dir() raises for a name that is too long)
            yield path
            continue
        closed: list[OSError] = []
        for folder, folders, files in os.walk(path, onerror=closed.append):
            folders[:] = sorted(name for name in folders if _is_ours(Path(folder, name)))
            yield from (Path(folder, name) for name in sorted(files) if name.endswith(".ipynb"))
        yield from (Path(error.filename) for error in closed)


def scan_file(path: Path, known: Known, *, fix: bool = False) -> Scanned:
    """Scans a file, and if asked redacts its outputs in place. Raises `NotReadable`."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise NotReadable(f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise NotReadable(f"is not UTF-8 (byte {error.start})") from None
    findings, edits = scan(_parsed(text), known)
    if not (fix and edits):
        return Scanned(findings, findings, changed=False)
    after = rewritten(text, edits)
    left = scan(_parsed(after), known).findings
    try:
        # Through a link, which stays one.
        file = path.resolve()
        replace_file(file, after.encode(), file.stat().st_mode & 0o7777)
    except OSError as error:
        raise NotReadable(f"cannot be written ({error.strerror}), and still holds what was found") from None
    return Scanned(findings, left, changed=True)


def _is_ours(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in _NEVER_OURS:
        return False
    return not (folder / "pyvenv.cfg").exists()


def _parsed(text: str) -> dict[str, Any]:
    try:
        notebook = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise NotReadable(f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except ValueError:
        # Python reads no number of thousands of digits.
        raise NotReadable("holds a number that is too long to be read") from None
    except _TwiceError:
        raise NotReadable("names something twice in one object, so that readers see only one of the two") from None
    except RecursionError:
        raise NotReadable("is nested too deeply") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        raise NotReadable('is not a notebook: it says no "nbformat"')
    if notebook["nbformat"] != _FORMAT:
        raise NotReadable(
            f"is a notebook of format {notebook['nbformat']}, and only format {_FORMAT} is read; "
            "convert it: jupyter nbconvert --to notebook --inplace"
        )
    return notebook


class _TwiceError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found
