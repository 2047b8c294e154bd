"""A real shell with a real sandbox behind it, as in tests/kernel."""

from __future__ import annotations

from ...kernel.conftest import *  # noqa: F403 (fixtures)
