"""A real shell, with a real sandbox behind the profiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.kernel import magics
from jupyter_tokens.sandbox import Sandbox

from .shells import VARIABLES, RealKernel, a_shell, real_kernel, run


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set and deleted, so that monkeypatch puts back what the magics fill.
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def configured(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The sandbox's five profiles, in the user's configuration."""
    profiles = sandbox.profiles(tmp_path)
    write_config(config_dir, profiles)
    return profiles


@pytest.fixture
def bare(own_environment: None) -> Iterator[InteractiveShell]:
    """A shell that has loaded nothing."""
    with a_shell() as made:
        yield made
        magics.unload(made)


@pytest.fixture
def shell(bare: InteractiveShell, configured: dict[str, dict[str, Any]]) -> InteractiveShell:
    assert run(bare, "%load_ext jupyter_tokens").result.success
    return bare


@pytest.fixture
def kernel(configured: dict[str, dict[str, Any]]) -> Iterator[RealKernel]:
    with real_kernel() as made:
        yield made
