"""A token's file: private from the first byte, whole or not at all, and never in the place of something else."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens._util.atomic_file import replace_file
from jupyter_tokens.clock import utc
from jupyter_tokens.errors import NoValue, ParameterError
from jupyter_tokens.kernel import token_file
from jupyter_tokens.kernel.token_file import Before, absolute_path, check, content, digest, read, restore, write
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW, loopback, raw_answer


def token(value: str | None = CANARY, life: float | None = 60.0) -> Token:
    now = utc(NOW)
    ends = None if life is None else now + timedelta(seconds=life)
    return Token(value, profile="mine", provider="oneaccess", obtained_at=now, expires_at=ends)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


def test_it_is_private_from_the_first_byte_and_replaced_at_one_stroke(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0)
    modes: list[int] = []
    seen: list[tuple[bytes | None, bytes]] = []
    fdopen, link, replace = os.fdopen, os.link, Path.replace

    def watched(handle: int, how: str) -> Any:
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))
        return fdopen(handle, how)

    def compared(self: Path, target: Path) -> Path:
        if target == file:
            found = read(str(target))
            seen.append((found.data if found else None, self.read_bytes()))
        return replace(self, target)

    def named(source: Path, target: Path, **options: Any) -> None:
        # What has no name yet gets this one, unless there is a file to be replaced.
        if target == file and not file.exists():
            seen.append((None, source.read_bytes()))
        link(source, target, **options)

    monkeypatch.setattr(os, "fdopen", watched)
    monkeypatch.setattr(os, "link", named)
    monkeypatch.setattr(Path, "replace", compared)
    try:
        write(str(file), b"first-value-1")
        write(str(file), b"second-value-2")
    finally:
        os.umask(before)
    # With the record of what was written.
    assert set(modes) == {0o600}
    assert seen == [(None, b"first-value-1"), (b"first-value-1", b"second-value-2")]
    assert (file.read_bytes(), mode(file)) == (b"second-value-2", 0o600)
    assert list(file.parent.iterdir()) == [file]


def test_raw_is_the_value_and_nothing_else() -> None:
    assert content(token(), "raw") == CANARY.encode()


def test_json_has_what_a_script_needs() -> None:
    assert json.loads(content(token(), "json")) == {
        "profile": "mine",
        "provider": "oneaccess",
        "token": CANARY,
        "headers": {"Authorization": f"Bearer {CANARY}"},
        "obtained_at": "2026-01-15T08:30:00+00:00",
        "expires_at": "2026-01-15T08:31:00+00:00",
    }
    assert json.loads(content(token(life=None), "json"))["expires_at"] is None


def test_the_header_line_is_what_curl_takes(file: Path) -> None:
    write(str(file), content(token(), "header"))
    assert file.read_bytes() == f"Authorization: Bearer {CANARY}\n".encode()
    curl = shutil.which("curl")
    if curl is not None:
        with loopback(lambda connection, _: connection.sendall(raw_answer(Connection="close"))) as served:
            subprocess.run([curl, "-s", "-H", f"@{file}", served.url], check=True, timeout=300, capture_output=True)
        assert f"Authorization: Bearer {CANARY}\r\n".encode() in served.requests[0]


@pytest.mark.parametrize("form", token_file.FORMATS)
def test_a_token_without_a_value_has_no_content(form: token_file.Format) -> None:
    with pytest.raises(NoValue):
        content(token(None), form)


@pytest.mark.parametrize("form", token_file.FORMATS)
def test_a_file_that_an_earlier_kernel_left_is_taken_over(file: Path, form: token_file.Format) -> None:
    write(str(file), content(token(), form))
    check(str(file))
    write(str(file), b"another-token")
    assert file.read_bytes() == b"another-token"


def test_a_header_of_another_name_is_taken_over_too(file: Path) -> None:
    made = Token(CANARY, profile="iam", provider="huawei-iam", obtained_at=utc(NOW), scheme="", header="X-Auth-Token")
    write(str(file), content(made, "header"))
    assert file.read_bytes() == f"X-Auth-Token: {CANARY}\n".encode()
    check(str(file))
    write(str(file), b"another-token")
    assert file.read_bytes() == b"another-token"


def test_an_empty_file_is_filled_whatever_its_mode(file: Path) -> None:
    file.touch(0o644)
    write(str(file), b"first-value-1")
    assert mode(file) == 0o600


@pytest.mark.parametrize(
    "data",
    [
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n",
        b"machine example.com login me password s3cret\n",
        b"localhost:5432:db:me:s3cret\n",
        b"# A document\n\nof two lines\n",
        b'{"profile": "mine"}',
        b"[" * 60_000,
        b"x" * 70_000,
        b"\xff\xfe",
        b"[1]",
    ],
)
def test_what_is_no_tokens_file_is_not_replaced(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    file.chmod(0o600)
    with pytest.raises(ParameterError, match="does not look like a token file") as caught:
        write(str(file), b"first-value-1")
    assert caught.value.unsent
    assert caught.value.hint
    assert file.read_bytes() == data


def test_a_token_that_others_can_read_is_taken_for_a_document(file: Path) -> None:
    file.write_text(CANARY)
    file.chmod(0o644)
    with pytest.raises(ParameterError, match="does not look like"):
        check(str(file))


def test_a_link_is_not_cut_and_not_followed(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious-thing")
    file.symlink_to(target)
    with pytest.raises(ParameterError, match="symbolic link"):
        write(str(file), b"first-value-1")
    assert target.read_bytes() == b"precious-thing"
    assert file.is_symlink()
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nothing")
    with pytest.raises(ParameterError, match="symbolic link"):
        check(str(dangling))


def test_a_folder_is_no_file_and_a_missing_one_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="not a regular file"):
        check(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), os.devnull):
        with pytest.raises(ParameterError, match="not a regular file"):
            check(path)
    with pytest.raises(ParameterError, match="does not exist") as caught:
        check(str(tmp_path / "no" / "token"))
    assert "mkdir" in caught.value.hint
    # A folder on the way that is a file.
    (tmp_path / "plain").touch()
    with pytest.raises(ParameterError, match="does not exist"):
        check(str(tmp_path / "plain" / "token"))


def test_a_folder_that_may_not_be_written_to_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not by its mode: tests may run as root, who may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, how: False)
    with pytest.raises(ParameterError, match="is not writable"):
        check(str(file))


def test_a_name_that_the_system_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be inspected"):
        check(str(tmp_path / ("n" * 5000)))
    with pytest.raises(ParameterError, match="its folder does not exist"):
        check(str(tmp_path / ("n" * 5000) / "token"))
    with pytest.raises(ParameterError, match="is not a valid path of a file"):
        absolute_path("\ud800")


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write(str(file), b"first-value-1")

    def full(*args: object, **options: object) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "replace" else os, step, full)
        with pytest.raises(ParameterError, match="No space left") as caught:
            write(str(file), b"second-value-2")
    assert "second-value-2" not in str(caught.value)
    assert file.read_bytes() == b"first-value-1"
    assert list(file.parent.iterdir()) == [file]


def test_a_write_that_is_interrupted_leaves_nothing_half(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(str(file), b"first-value-1")
    assert list(file.parent.iterdir()) == []


def test_what_was_there_comes_back_with_its_mode(file: Path) -> None:
    file.write_bytes(b"older-token-1")
    file.chmod(0o400)
    before = read(str(file))
    assert before == Before(b"older-token-1", 0o400)
    assert "older" not in repr(before)
    write(str(file), b"first-value-1")
    restore(str(file), before)
    assert (file.read_bytes(), mode(file)) == (b"older-token-1", 0o400)


def test_where_nothing_was_the_file_goes(file: Path) -> None:
    assert read(str(file)) is None
    write(str(file), b"first-value-1")
    for _ in range(2):
        restore(str(file), None)
        assert not file.exists()


def test_a_file_that_cannot_be_read_or_removed_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(str(file), b"first-value-1")

    def refused(*args: object, **options: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(ParameterError, match="cannot be removed"):
        restore(str(file), None)
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(ParameterError, match="cannot be read"):
        read(str(file))
    with pytest.raises(ParameterError, match="does not look like"):
        check(str(file))
    with pytest.raises(ParameterError, match="not a regular file"):
        read(str(file.parent))


# What any kernel of this user has written is recognised, whatever a token looks like.

ODD = [
    "1|aB3dE5fG7hJ9jK1LM3nP5pQ7rS9tU1vW3xY5zA7",
    "team:aB3dE5fG7hJ9jK1LM3nP5pQ7",
    "localhost:5432:db:me:s3cret",
    "{'a': \"b\"}; c d\te",
    "short",
    "größe",
    "two\nlines\r\n",
    "y" * 1_000_000,
]


@pytest.mark.parametrize("form", token_file.FORMATS)
@pytest.mark.parametrize("value", ODD, ids=[f"{value[:8]!a}" for value in ODD])
def test_a_token_of_any_characters_is_recognised(file: Path, value: str, form: token_file.Format) -> None:
    write(str(file), content(token(value), form))
    write(str(file), content(token(value), form))
    check(str(file))
    restore(str(file), None)
    assert not file.exists()


def test_an_odd_content_that_was_not_written_by_a_kernel_is_left_alone(file: Path) -> None:
    write(str(file), b"one|two|three|four")
    for data, mode in ((b"one|two|three|five", 0o600), (b"one|two|three|four", 0o644)):
        file.write_bytes(data)
        file.chmod(mode)
        with pytest.raises(ParameterError, match="does not look like"):
            check(str(file))
    # It is the file's content, not the name alone.
    file.rename(file.with_name("moved"))
    with pytest.raises(ParameterError, match="does not look like"):
        check(str(file.with_name("moved")))


def test_a_kernel_that_is_killed_while_it_writes_leaves_a_file_that_is_recognised(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(str(file), b"one|two|three|four")

    class Killed(BaseException):
        pass

    def killed(path: Path, data: bytes, mode: int) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        # The record is written, the file is not.
        patch.setattr(
            token_file,
            "replace_file",
            lambda path, data, mode=0o600: (killed if path == file else replace_file)(path, data, mode),
        )
        with pytest.raises(Killed):
            write(str(file), b"five|six|seven|eight")
    assert file.read_bytes() == b"one|two|three|four"
    write(str(file), b"nine|ten|eleven|twelve")


def test_the_record_holds_no_token_is_private_and_goes_with_the_file(file: Path) -> None:
    home = Path(os.environ["JUPYTER_DATA_DIR"], "jupyter_tokens")
    write(str(file), CANARY.encode())
    records = [path for path in home.rglob("*") if path.is_file()]
    assert len(records) == 1
    assert (mode(records[0]), mode(records[0].parent)) == (0o600, 0o700)
    assert CANARY not in records[0].read_text()
    restore(str(file), None)
    assert not records[0].exists()


def test_records_of_files_that_were_not_written_for_long_go(file: Path) -> None:
    write(str(file), b"one|two|three|four")
    (record,) = Path(os.environ["JUPYTER_DATA_DIR"], "jupyter_tokens").rglob("?" * 64)
    os.utime(record, (0, 0))
    write(str(file.with_name("another")), b"one|two|three|four")
    assert not record.exists()


@pytest.mark.parametrize("lacking", ["a folder that can be written to", "a home", "digests"])
def test_without_a_record_the_shape_of_a_token_decides(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "digests":
        write(str(file), b"first-value-1")
        (record,) = Path(os.environ["JUPYTER_DATA_DIR"], "jupyter_tokens").rglob("?" * 64)
        record.write_bytes(b"\xff\xfe rubbish")
    elif lacking == "a home":

        def homeless() -> str:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr("jupyter_core.paths.jupyter_data_dir", homeless)
    else:
        (tmp_path / "plain").touch()
        monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "plain"))
    write(str(file), b"first-value-1")
    write(str(file), b"second|value|2")
    if lacking != "digests":
        with pytest.raises(ParameterError, match="does not look like"):
            check(str(file))
    file.write_bytes(b"first-value-1")
    restore(str(file), None)
    assert not file.exists()


def test_a_token_that_no_text_can_hold_is_told_without_it(file: Path) -> None:
    for form in ("raw", "header"):
        with pytest.raises(ParameterError, match="surrogate") as caught:
            content(token(CANARY + "\ud800"), form)
        assert CANARY not in str(caught.value)
    assert json.loads(content(token(CANARY + "\ud800"), "json"))["token"] == CANARY + "\ud800"


def test_what_this_process_has_written_is_its_own_whatever_its_mode(file: Path) -> None:
    write(str(file), b"one: two")
    file.chmod(0o644)
    with pytest.raises(ParameterError, match="does not look like"):
        check(str(file))
    write(str(file), b"three: four", own_digests=[digest(b"one: two")])
    restore(str(file), Before(b"five: six", 0o600), own_digests=[digest(b"three: four")])
    assert file.read_bytes() == b"five: six"


def test_a_path_is_made_absolute_when_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_path("token") == str(tmp_path / "token")
    assert absolute_path("a/../token") == str(tmp_path / "token")
    assert absolute_path("~/token") == str(Path.home() / "token")
    with pytest.raises(ParameterError, match="names a folder"):
        absolute_path("token/")


@pytest.mark.parametrize("path", ["", "/", "a\0b", "~nobody-of-that-name/token"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ParameterError, match=r"path of a file|home folder"):
        absolute_path(path)
