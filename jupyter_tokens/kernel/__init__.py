"""What runs in an IPython shell: session, magics, injection, refresher and redaction."""
