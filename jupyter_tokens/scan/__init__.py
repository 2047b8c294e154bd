"""Finds tokens and keys in notebooks: known values, keys of many issuers, and values next to telling names."""
