"""The Jupyter server extension: hands out tokens to kernels and browsers; secrets stay in the server."""
