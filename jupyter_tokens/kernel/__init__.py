"""The kernel's side: the Python API, magics, injection, refresh."""
