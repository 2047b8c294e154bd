"""Mirrors jupyter_tokens.scan."""
