"""How often each check is tried: few times and always alike in CI, many times and ever anew with --full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from time import process_time
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis.strategies import SearchStrategy

_FULL = 50
_LONGEST = 10.0
"""Seconds of the processor that one try may take: the longest take milliseconds, and what backtracks takes hours."""


class Fuzz(Protocol):
    """Runs a check of what the strategies make up. known : what was found once, and is tried each time."""

    def __call__(
        self,
        check: Callable[..., None],
        *strategies: SearchStrategy[Any],
        times: int = 30,
        known: Sequence[tuple[Any, ...]] = (),
    ) -> None: ...


@pytest.fixture
def fuzz(full: bool) -> Fuzz:
    def run(
        check: Callable[..., None],
        *strategies: SearchStrategy[Any],
        times: int = 30,
        known: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        @wraps(check)
        def noted(*arguments: Any, **named: Any) -> None:
            began = process_time()
            try:
                check(*arguments, **named)
                assert process_time() - began < _LONGEST
            except Exception as error:
                error.add_note(f"{arguments} {named}"[:4000])
                raise

        tried = given(*strategies)(noted)
        for arguments in known:
            tried = example(*arguments)(tried)
        settings(
            max_examples=times * _FULL if full else times,
            deadline=None,
            database=None,
            derandomize=not full,
            print_blob=full,
            # A busy machine is no failure.
            suppress_health_check=[HealthCheck.too_slow],
        )(tried)()

    return run
