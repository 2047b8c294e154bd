from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens._util import atomic_file
from jupyter_tokens._util.atomic_file import remove_leftovers, replace_file


@pytest.fixture(params=["without a name", "by name"], autouse=True)
def _by_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as where the system, or the file system, has no files without a name."""
    if request.param == "by name":
        monkeypatch.delattr(os, "O_TMPFILE")


LEFT = f".file.{'0' * 16}.tmp"


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("before", [b"before", None])
def test_the_file_is_whole_and_private_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, before: bytes | None
) -> None:
    file = tmp_path / "file"
    if before is not None:
        file.write_bytes(before)
    seen: list[int] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        assert (file.read_bytes() if file.exists() else None) == before
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    replace_file(file, b"whole", mode)
    assert seen == [0o600]
    assert file.read_bytes() == b"whole"
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_written_has_a_name_only_where_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    seen: list[list[Path]] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        seen.append(list(tmp_path.iterdir()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    replace_file(tmp_path / "file", b"whole")
    assert [len(names) for names in seen] == [1 if "by name" in request.node.name else 0]


def test_a_system_that_does_not_show_its_open_files_is_written_to_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_file, "_OPEN_FILES", tmp_path / "none")
    replace_file(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", [(os, "fsync"), (os, "fchmod"), (Path, "chmod"), (os, "link"), (Path, "replace")])
def test_what_fails_leaves_what_was_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    step: tuple[Any, str],
    error: BaseException,
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    file = tmp_path / "file"
    file.write_bytes(b"before")
    monkeypatch.setattr(*step, failing)
    taken = ("fsync", "chmod", "replace") if "by name" in request.node.name else ("fsync", "fchmod", "link", "replace")
    if step[1] in taken:
        with pytest.raises(type(error)):
            replace_file(file, b"after")
    else:
        replace_file(file, b"after")
    assert file.read_bytes() == (b"before" if step[1] in taken else b"after")
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_is_told_though_the_rest_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "file").write_bytes(b"before")
    monkeypatch.setattr(Path, "replace", failing)
    monkeypatch.setattr(Path, "unlink", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(tmp_path / "file", b"x")


def test_a_folder_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "none" / "file", b"x")


def test_what_a_killed_process_left_goes_with_the_next_write_of_that_file(tmp_path: Path) -> None:
    others = [tmp_path / name for name in (f".other.{'0' * 16}.tmp", ".file.backup.tmp", ".file.tmp")]
    for path in (tmp_path / LEFT, *others):
        path.write_bytes(b"half")
    replace_file(tmp_path / "file", b"whole")
    assert set(tmp_path.iterdir()) == {tmp_path / "file", *others}
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {tmp_path / "file", *others[1:]}


def test_what_another_process_is_writing_now_is_left_alone(tmp_path: Path) -> None:
    left = tmp_path / LEFT
    with left.open("wb") as stream:
        # It has just been made, and is locked next.
        remove_leftovers(tmp_path)
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write(b"half")
        stream.flush()
        remove_leftovers(tmp_path)
        assert left.exists()
    remove_leftovers(tmp_path)
    assert not left.exists()


def test_what_is_written_is_locked_until_it_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"before")
    replace = Path.replace

    def swept(path: Path, target: Path) -> Path:
        remove_leftovers(tmp_path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", swept)
    replace_file(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"after"


def test_a_file_system_without_locks_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", failing)
    (tmp_path / LEFT).write_bytes(b"whose?")
    replace_file(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert (tmp_path / LEFT).exists()


def test_what_only_has_the_name_of_a_leftover_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    (tmp_path / LEFT).symlink_to(target)
    (tmp_path / f".folder.{'0' * 16}.tmp").mkdir()
    remove_leftovers(tmp_path)
    assert (tmp_path / LEFT).is_symlink()
    assert (tmp_path / f".folder.{'0' * 16}.tmp").is_dir()


def test_a_folder_that_is_gone_has_no_leftovers(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "none")
