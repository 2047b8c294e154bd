"""The protocol between processes of jupyter_tokens: kernels, workers, Jupyter servers and a hub's token service."""
