"""Divides the cases of slow tests: `make test` tries a few, `make test-long` the others. CI runs both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

long = pytest.mark.long


def first(cases: Iterable[Any], few: int = 1) -> list[Any]:
    """The values of a parameter, or tuples of several: all but the first few are for `make test-long`."""
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*each, marks=long if number >= few else ()) for number, each in enumerate(values)]
