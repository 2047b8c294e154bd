"""Mirrors jupyter_tokens.signing."""
