"""The IPython side: session, magics, injection, refresher and redaction."""
