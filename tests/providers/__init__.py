"""Mirrors jupyter_tokens.providers."""
