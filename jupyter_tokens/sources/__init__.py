"""Where tokens come from: one interface, a cache, and what fetches."""
