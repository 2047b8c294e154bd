"""The part of the package that runs in an IPython shell: session, magics, injection, refresher and redaction."""
