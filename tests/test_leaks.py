"""What watches the whole run sees a leak where there is one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from jupyter_events import EventLogger

from jupyter_tokens.token import Secret

from .doubles import CANARY
from .leaks import SHORTEST, watching

SCHEMA = "$id: https://example.org/said/v1\nversion: '1'\ntype: object\nproperties:\n  what: {type: string}\n"


@pytest.fixture(autouse=True)
def leaks() -> None:
    """In place of the one of all tests, which these would fail."""


@pytest.fixture
def event_logger(tmp_path: Path) -> EventLogger:
    file = tmp_path / "said.yaml"
    file.write_text(SCHEMA)
    events = EventLogger()
    events.register_event_schema(file)
    return events


def test_a_value_that_is_logged_or_raised_is_found() -> None:
    with watching() as leaks:
        Secret(CANARY)
        logging.getLogger("jupyter_tokens.anything").debug("it is %s", "nothing")
        assert leaks.found() == []
        logging.getLogger("another").debug("it is %s", CANARY)
        try:
            raise ValueError(CANARY)
        except ValueError:
            logging.getLogger("third").exception("it failed")
        assert leaks.found() == ["log another", "log third"]


def test_a_value_in_an_event_is_found_though_nobody_listens(event_logger: EventLogger) -> None:
    with watching() as leaks:
        event_logger.emit(schema_id="https://example.org/said/v1", data={"what": f"[{CANARY}]"})
        Secret(CANARY)
        assert leaks.found() == ["event https://example.org/said/v1"]


def test_what_no_test_made_secret_and_short_words_are_not_looked_for() -> None:
    with watching() as leaks:
        Secret("x" * (SHORTEST - 1))
        logging.getLogger("another").debug("%s and %s", "x" * SHORTEST, CANARY)
        assert leaks.found() == []
