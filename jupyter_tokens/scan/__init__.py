"""Finds tokens and keys in notebooks: known values, many issuers' keys, and values with names that suggest a secret."""
