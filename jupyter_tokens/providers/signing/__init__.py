"""Request signatures, as pure functions with a thin `httpx.Auth` around each."""
