"""The command line: `jupyter tokens …`."""
