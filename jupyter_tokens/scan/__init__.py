"""Finds tokens and keys in notebooks.

A finding is a known value, has an issuer's format, or has a name or a context that suggests a secret.
"""
