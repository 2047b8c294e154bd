"""Prompts and messages, on standard error because standard output is for results. Also tables and colours."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import ParameterError
from ..token import Secret

__all__ = [
    "POLL_SECONDS",
    "coloured",
    "confirm",
    "echo",
    "is_interactive",
    "one_line",
    "progress",
    "prompt",
    "prompt_hidden",
    "record_signals",
    "table",
    "write_json",
]


def is_interactive() -> bool:
    """Whether standard input is a terminal, so that questions can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def one_line(text: str) -> str:
    """Replace line breaks and control characters by spaces: a vendor's message must not move the terminal's cursor."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def echo(text: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write_json(value: Any) -> None:
    """Print a value as one line of JSON on standard output, without delay."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def prompt(question: str) -> str:
    """Ask a question; return the answer, stripped. Raises `ParameterError` at the end of the input."""
    sys.stderr.write(question + ": ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise _end_of_input()
    return answer.strip()


def prompt_hidden(question: str) -> Secret | None:
    """Ask for a secret, without echo; return None for an empty answer.

    Raises `ParameterError` if echo cannot be switched off, or at the end of the input.
    """
    try:
        with warnings.catch_warnings():
            # Without this, getpass would only warn, and then show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            secret = getpass.getpass(question + " (hidden): ")
    except EOFError:
        raise _end_of_input() from None
    except getpass.GetPassWarning:
        raise ParameterError(
            "This terminal cannot hide what is typed; nothing was changed.",
            hint="With `add`, use --from-env or --from-file. With `set-secret`, send the secret through a pipe.",
        ) from None
    return Secret(secret) if secret else None


def confirm(question: str) -> bool:
    """Ask a yes/no question; the default is no."""
    return prompt(f"{question} [y/N]").lower() in {"y", "yes"}


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show a line during a `with` block, and erase it afterwards. Does nothing unless standard error is a terminal."""
    shown = sys.stderr.isatty()
    if shown:
        sys.stderr.write(f"{text} …")
        sys.stderr.flush()
    try:
        yield
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


POLL_SECONDS = 0.1
"""Seconds between two checks of the list that `record_signals` yields."""


@contextmanager
def record_signals(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yield a list to which these signals are appended during a `with` block, instead of interrupting the process."""
    received: list[int] = []
    previous = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as columns, two spaces apart. Cells may be coloured."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def coloured(text: str, colour: str) -> str:
    """Colour a text for standard output: "bold", "red", "green" or "yellow".

    The text stays plain if standard output is not a terminal, NO_COLOR is set (https://no-color.org) or TERM is "dumb".
    """
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


_CODES = {"bold": 1, "red": 31, "green": 32, "yellow": 33}
_COLOUR = re.compile(r"\x1b\[\d*m")


def _width(cell: str) -> int:
    return len(_COLOUR.sub("", cell))


def _end_of_input() -> ParameterError:
    return ParameterError("The input ended before the question was answered; nothing was changed.")
