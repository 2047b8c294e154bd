"""The Jupyter server extension: hands out tokens to kernels, workers and browsers; secrets stay in the server."""
