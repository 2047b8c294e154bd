"""Mirrors jupyter_tokens.providers.signing."""
