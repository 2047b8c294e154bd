"""`jupyter tokens …`."""
