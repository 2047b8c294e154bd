"""Mirrors jupyter_tokens.cli."""
