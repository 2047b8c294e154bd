"""Request signatures: pure functions, and a thin `httpx.Auth` on each."""
