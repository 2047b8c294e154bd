"""Many kernels at one server."""
