"""Widgets, built from stock ipywidgets, that show a session's profiles and fetch, inject and forget their tokens."""

from __future__ import annotations

from .panel import TokenCard, TokenPanel

__all__ = ["TokenCard", "TokenPanel"]
