"""Mirrors jupyter_tokens.providers.credentials."""
