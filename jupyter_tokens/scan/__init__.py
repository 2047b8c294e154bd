"""Finds tokens and keys in notebooks: held values, keys of many issuers, and values by the names beside them."""
