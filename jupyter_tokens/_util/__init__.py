"""General code that is not specific to tokens: files, text, encodings, HTML and threads."""
