"""The server extension: tokens for kernels and browsers; secrets stay with the server."""
