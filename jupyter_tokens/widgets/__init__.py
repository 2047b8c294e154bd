"""Widgets of stock ipywidgets over `kernel`: the profiles of a session and what can be done with their tokens."""

from __future__ import annotations

from .panel import TokenCard, TokenPanel

__all__ = ["TokenCard", "TokenPanel"]
