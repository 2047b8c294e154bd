"""What is said to, and asked of, a person at a terminal: on standard error, so that standard output is for machines."""

from __future__ import annotations

import getpass
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import ParameterError
from ..token import Secret

__all__ = ["ask", "ask_hidden", "confirm", "is_interactive", "one_line", "progress", "say", "table"]


def is_interactive() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def one_line(text: str) -> str:
    """A text without line breaks and control characters: what a vendor says must not move a terminal's cursor."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def say(text: str) -> None:
    """A line for the person."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def ask(question: str) -> str:
    """What is answered, without space around it. Raises `ParameterError` where the input has ended."""
    sys.stderr.write(question + ": ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise _ended()
    return answer.strip()


def ask_hidden(question: str) -> Secret | None:
    """A secret that is not shown while it is typed; None for an empty one. Raises `ParameterError` if none can be."""
    try:
        with warnings.catch_warnings():
            # Without this, getpass would go on, and show it.
            warnings.simplefilter("error", getpass.GetPassWarning)
            typed = getpass.getpass(question + " (hidden): ")
    except EOFError:
        problem = _ended()
    except getpass.GetPassWarning:
        problem = ParameterError(
            "This terminal cannot hide what is typed; nothing was changed.",
            hint="Use --from-env or --from-file.",
        )
    else:
        return Secret(typed) if typed else None
    raise problem


def confirm(question: str) -> bool:
    """Whether the answer is yes; it is no unless somebody says otherwise."""
    return ask(f"{question} [y/N]").lower() in {"y", "yes"}


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Says what takes its time, on a terminal alone, and wipes it out afterwards."""
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


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, a line for each row."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _ended() -> ParameterError:
    return ParameterError("The input has ended; nothing was changed.")
