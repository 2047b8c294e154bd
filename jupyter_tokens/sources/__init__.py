"""The sources of tokens: their common interface, the cache, and one source for each way to get a token."""
