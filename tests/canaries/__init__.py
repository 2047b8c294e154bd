"""One run through everything, and a search of all that it leaves behind."""
