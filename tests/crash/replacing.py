"""Replaces a file; its arguments are the path, the new content, and whether it has to be written by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jupyter_tokens._util.atomic_file import replace_file

file, content, by_name = sys.argv[1:]
if by_name:
    del os.O_TMPFILE
replace_file(Path(file), content.encode())
