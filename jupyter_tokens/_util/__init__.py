"""General code that is not specific to tokens: files, text, encodings and threads."""
