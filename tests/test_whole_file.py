from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.whole_file import replace_file


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_file_is_whole_and_private_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    file = tmp_path / "file"
    seen: list[int] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        assert not file.exists()
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    replace_file(file, b"whole", mode)
    assert seen == [0o600]
    assert file.read_bytes() == b"whole"
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", [(os, "fsync"), (Path, "chmod"), (Path, "replace")])
def test_what_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str], error: BaseException
) -> None:
    def failing(*_: object) -> None:
        raise error

    file = tmp_path / "file"
    file.write_bytes(b"before")
    monkeypatch.setattr(*step, failing)
    with pytest.raises(type(error)):
        replace_file(file, b"after")
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_is_told_though_the_rest_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", failing)
    monkeypatch.setattr(Path, "unlink", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(tmp_path / "file", b"x")
