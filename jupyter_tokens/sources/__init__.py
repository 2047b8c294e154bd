"""The sources of tokens: their common interface, the cache, and the two that fetch."""
