"""Request signatures: for each algorithm, pure functions and a thin `httpx.Auth` that calls them."""
