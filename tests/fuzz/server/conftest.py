"""A real server, as in tests/server; apart, because its loop belongs to every test of a folder."""

from __future__ import annotations

from ...server.conftest import *  # noqa: F403 (fixtures, and what runs an async test)
