"""Finds notebook files, scans them for tokens, and can redact the tokens without changing any other text.

A file that is not a notebook of format 4 is searched as text, and never changed.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .._util.atomic_file import replace_file
from .notebook import Edits, Finding, Target, scan, scan_text
from .values import Known

__all__ = ["NotReadable", "ScanResult", "find_notebooks", "rewrite", "scan_file"]

_SKIPPED_FOLDERS = {"node_modules", "site-packages", "__pycache__"}
_CHECKPOINTS = ".ipynb_checkpoints"
_STORE = ".jupyter_ystore.db"
"""The file in which jupyter-collaboration stores notebooks' history. SQLite's extra files add "-wal" or the like."""
_FORMAT = 4


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]')
_LONE = re.compile("[\ud800-\udfff]")


class NotReadable(Exception):
    """A file cannot be read or written. The message has no subject ("cannot be read (…)"), and quotes no content."""


class ScanResult(NamedTuple):
    """The result of scanning one file.

    Attributes
    ----------
    findings : sequence of Finding
        What was found in the file before it was redacted.
    remaining : sequence of Finding
        What is still in the file.
    changed : bool
        Whether the file was redacted.
    broken : str
        Why the file is not a notebook; "" for a notebook, and for the store of jupyter-collaboration.
    old : str
        "is a notebook of format …" if the format is not 4, else "". Other formats are only searched, never changed.
    """

    findings: list[Finding]
    remaining: list[Finding]
    changed: bool = False
    broken: str = ""
    old: str = ""


def find_notebooks(paths: Iterable[Path], on_skipped: Callable[[Path], object] = lambda _: None) -> Iterator[Path]:
    """Yield each path that is not a folder, the notebooks below each folder, and each folder that cannot be listed.

    Hidden folders, installed packages and virtual environments below a folder are left out. `on_skipped` is called with
    each of Jupyter's checkpoint folders that contains notebooks. The store of jupyter-collaboration counts as a
    notebook.
    """
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 (is_dir() raises for a name that is too long)
            yield path
            continue
        unreadable: list[OSError] = []
        for folder, folders, files in os.walk(path, onerror=unreadable.append):
            if _CHECKPOINTS in folders and any(Path(folder, _CHECKPOINTS).glob("*.ipynb")):
                on_skipped(Path(folder, _CHECKPOINTS))
            folders[:] = sorted(name for name in folders if _is_searched(Path(folder, name)))
            yield from (Path(folder, name) for name in sorted(files) if name.endswith(".ipynb") or _is_store(name))
        yield from (Path(error.filename) for error in unreadable)


def scan_file(path: Path, known: Known, *, fix: bool = False) -> ScanResult:
    """Scan a file. With `fix`, redact the outputs and widget state of a notebook in place. Raises `NotReadable`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotReadable(f"cannot be read ({error.strerror})") from None
    notebook, broken, old = None, "", ""
    try:
        text = data.decode("utf-8")
        notebook = _parsed(text)
    except UnicodeDecodeError as error:
        # PowerShell's ">" writes UTF-16.
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if wide else "utf-8", "replace")
        broken = f"is not UTF-8 text (invalid byte at position {error.start})"
    except _NotANotebookError as error:
        broken = str(error)
    if _is_store(path.name):
        notebook, broken = None, ""
    if notebook is not None and notebook["nbformat"] != _FORMAT:
        old = f"is a notebook of format {notebook['nbformat']}"
    if notebook is None or old:
        found = scan_text(text, known)
        return ScanResult(found, found, broken=broken, old=old)
    findings, edits = scan(notebook, known)
    if not (fix and edits):
        return ScanResult(findings, findings)
    after = rewrite(text, edits)
    left = scan(_parsed(after), known).findings
    try:
        # If the path is a link, replace its target and keep the link.
        file = path.resolve()
        replace_file(file, after.encode(), file.stat().st_mode & 0o7777)
    except OSError as error:
        raise NotReadable(f"cannot be written ({error.strerror}), and still contains what was found") from None
    return ScanResult(findings, left, changed=True)


def _is_store(name: str) -> bool:
    return name.startswith(_STORE)


def _is_searched(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in _SKIPPED_FOLDERS:
        return False
    return not (folder / "pyvenv.cfg").exists()


def _parsed(text: str) -> dict[str, Any]:
    try:
        notebook = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise _NotANotebookError(f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except ValueError:
        # Python refuses to read numbers with thousands of digits.
        raise _NotANotebookError("contains a number that is too long to be read") from None
    except RecursionError:
        raise _NotANotebookError("is nested too deeply") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        raise _NotANotebookError('is not a notebook: it has no integer "nbformat"')
    return notebook


class _NotANotebookError(Exception):
    """The text is not a notebook. The message says why, without a subject ("is not JSON …")."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotANotebookError("has an object with duplicate names: programs read only one value of each")
    return found


def rewrite(text: str, edits: Edits) -> str:
    """Return `text`, a valid JSON document, with the replacements in `edits`. All other text stays as it is."""
    pieces: list[str] = []
    done = 0
    for target, start, end in _strings(text):
        if target in edits:
            literal = text[start:end]
            pieces += text[done:start], _json_string(edits[target][1], as_ascii=literal.isascii())
            done = end
    return "".join([*pieces, text[done:]])


def _json_string(value: str, *, as_ascii: bool) -> str:
    # Half of a surrogate pair has to be written as an escape, because UTF-8 cannot encode it.
    return _LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(value, ensure_ascii=as_ascii))


def _strings(text: str) -> Iterator[tuple[Target, int, int]]:
    """Yield each string literal of a JSON text as its target, its start and its end."""
    # The current name of each open object, and the current index of each open list.
    path: list[str | int] = []
    after_colon = False
    for token in _TOKEN.finditer(text):
        mark = token[0][0]
        if mark == '"':
            is_name = bool(path) and isinstance(path[-1], str) and not after_colon
            if is_name:
                path[-1] = json.loads(token[0], strict=False)
            yield Target(tuple(path), is_name), token.start(), token.end()
        elif mark in "{[":
            path.append("" if mark == "{" else 0)
        elif mark in "}]":
            path.pop()
        elif mark == "," and isinstance(path[-1], int):
            path[-1] += 1
        after_colon = mark == ":"
