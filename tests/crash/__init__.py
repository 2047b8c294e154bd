"""Real processes that are killed in the middle of what they do, and what the next ones find."""
