"""Request signatures: pure functions for each algorithm."""
