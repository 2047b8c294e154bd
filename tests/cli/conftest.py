"""The command of a module of tests, in this process."""

from __future__ import annotations

import pytest

from .running import Run, runner


@pytest.fixture
def run(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the application `APP` of the module."""
    return runner(request.module.APP, capfd)
