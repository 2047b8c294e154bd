"""Finds tokens and keys in notebooks: known values, issuers' formats, and values whose name suggests a secret."""
