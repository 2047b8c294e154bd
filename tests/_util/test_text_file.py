from __future__ import annotations

import os
from pathlib import Path

from jupyter_tokens._util.text_file import stamp


def test_stamp_changes_with_the_files(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("short")
    first = stamp([file])
    assert stamp([file]) == first
    os.utime(file, ns=(1, 1))
    second = stamp([file])
    assert second != first
    file.write_text("longer than before, at the same time" * 3)
    os.utime(file, ns=(1, 1))
    assert stamp([file]) != second
    file.unlink()
    assert stamp([file, "no\0path"]) == ()
