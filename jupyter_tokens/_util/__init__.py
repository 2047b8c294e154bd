"""Files, encodings and threads: code that has nothing to do with tokens."""
