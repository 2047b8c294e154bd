"""Watches a whole test run: what became a secret or a token must be in no log record, event or error body."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jupyter_events import EventLogger

from jupyter_tokens.token import Secret, Token

SHORTEST = 12
"""Shorter ones are words of the tests themselves, such as "token-1"."""


class Leaks(logging.Handler):
    """All that was told during one test, and the values that must not be in it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self._values: set[str] = set()
        self._told: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """A log record as a file would hold it, with the traceback if there is one."""
        self.told(f"log {record.name}", self.format(record))

    def told(self, where: str, text: str) -> None:
        """Something left the package."""
        self._told.append((where, text))

    def made(self, value: object) -> None:
        """Something became a secret or a token."""
        if isinstance(value, str) and len(value) >= SHORTEST:
            self._values.add(value)

    def found(self) -> list[str]:
        """Where a value was told; never which one."""
        values = tuple(self._values)
        return [where for where, text in self._told if any(value in text for value in values)]


@contextmanager
def watching() -> Iterator[Leaks]:
    """Watches what happens in this process."""
    leaks = Leaks()
    root = logging.getLogger()
    level = root.level
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Secret, Token):
            patch.setattr(kind, "__init__", _watched(kind.__init__, leaks))
        emit = EventLogger.emit

        def told(events: EventLogger, *, schema_id: str, data: dict[str, Any], **given: Any) -> Any:
            leaks.told(f"event {schema_id}", json.dumps(data))
            return emit(events, schema_id=schema_id, data=data, **given)

        patch.setattr(EventLogger, "emit", told)
        root.addHandler(leaks)
        root.setLevel(logging.DEBUG)
        try:
            yield leaks
        finally:
            root.setLevel(level)
            root.removeHandler(leaks)


def _watched(init: Any, leaks: Leaks) -> Any:
    def watched(this: object, value: object, **given: Any) -> None:
        leaks.made(value)
        init(this, value, **given)

    return watched
