"""Mirrors jupyter_tokens.credentials."""
