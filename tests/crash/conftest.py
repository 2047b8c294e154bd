from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_tokens.sandbox import Sandbox

from .home import Home
from .victims import Forks, forks


@pytest.fixture(scope="package")
def warm() -> Iterator[Forks]:
    """One for all of them: it takes longer to start than what is forked from it."""
    with forks() as started:
        yield started


@pytest.fixture
def home(tmp_path: Path, sandbox: Sandbox) -> Home:
    return Home(tmp_path, sandbox)
