"""Mirrors jupyter_tokens.kernel."""
