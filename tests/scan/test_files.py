"""Notebooks are found, read and written back; what cannot be read is told of in a way that helps."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from jupyter_tokens.scan.files import NotReadable, find_notebooks, scan_file
from jupyter_tokens.scan.values import Known

from .notebooks import code, notebook, output

VALUE = "held-value-of-A9"
HELD = Known({VALUE: "token a"})


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def with_value() -> dict[str, Any]:
    return notebook(code(f"x = '{VALUE}'", [output({"text/plain": ["é\n", f"{VALUE}\n"]})]))


class TestWhichFiles:
    def test_notebooks_below_a_folder(self, tmp_path: Path) -> None:
        for name in ("a.ipynb", "b/c.ipynb", ".d.ipynb", "b/e.py"):
            written(tmp_path / name, "{}")
        for name in (".git", ".ipynb_checkpoints", ".venv", "node_modules", "site-packages", "env"):
            written(tmp_path / name / "no.ipynb", "{}")
        written(tmp_path / "env" / "pyvenv.cfg", "")
        assert [str(path.relative_to(tmp_path)) for path in find_notebooks([tmp_path])] == [
            ".d.ipynb",
            "a.ipynb",
            "b/c.ipynb",
        ]

    def test_what_is_named_is_taken_whatever_its_name(self, tmp_path: Path) -> None:
        hidden = written(tmp_path / ".ipynb_checkpoints" / "a.ipynb", "{}")
        other = written(tmp_path / "notebook.json", "{}")
        assert list(find_notebooks([hidden.parent, other])) == [hidden, other]

    def test_a_folder_that_cannot_be_listed_is_not_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = tmp_path / "closed"
        closed.mkdir()
        listed = os.scandir

        def scandir(folder: Any) -> Any:
            if os.fspath(folder) == str(closed):
                raise PermissionError(13, "Permission denied", str(closed))
            return listed(folder)

        monkeypatch.setattr(os, "scandir", scandir)
        assert list(find_notebooks([tmp_path])) == [closed]
        with pytest.raises(NotReadable):
            scan_file(closed, HELD)

    def test_checkpoints_that_are_left_out_are_named(self, tmp_path: Path) -> None:
        skipped: list[Path] = []
        for name in ("a.ipynb", ".ipynb_checkpoints/a-checkpoint.ipynb", "b/.ipynb_checkpoints/b-checkpoint.ipynb"):
            written(tmp_path / name, "{}")
        (tmp_path / "c" / ".ipynb_checkpoints").mkdir(parents=True)
        assert list(find_notebooks([tmp_path], skipped.append)) == [tmp_path / "a.ipynb"]
        assert skipped == [tmp_path / ".ipynb_checkpoints", tmp_path / "b" / ".ipynb_checkpoints"]


class TestSearchedAsText:
    """What is no notebook of format 4: reported, and never changed."""

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ('{"a": \n"held-value-of-A9', "is not JSON (line 2, column 1"),
            ('["held-value-of-A9"]', "is not a notebook"),
            ('{"nbformat": "4", "a": "held-value-of-A9"}', "is not a notebook"),
            ('{"nbformat": 4, "a": {"x": "held-value-of-A9", "x": 1}}', "duplicate names"),
            (f'{{"nbformat": {"4" * 5000}, "a": "held-value-of-A9"}}', "a number that is too long"),
            ("[" * 200_000 + "held-value-of-A9", "nested too deeply"),
            ("<<<<<<< HEAD\nheld-value-of-A9", "is not JSON (line 1"),
        ],
    )
    def test_a_broken_one(self, tmp_path: Path, content: str, says: str) -> None:
        path = written(tmp_path / "a.ipynb", content)
        scanned = scan_file(path, HELD, fix=True)
        assert says in scanned.broken
        assert [(finding.place.part, finding.kind) for finding in scanned.findings] == [("raw text", "token a")]
        assert scanned.remaining == scanned.findings
        assert VALUE not in repr(scanned)
        assert (path.read_text(), scanned.changed) == (content, False)

    def test_one_of_format_3(self, tmp_path: Path) -> None:
        cell = nbformat.v3.new_code_cell(f"x = 1\ny = '{VALUE}'")
        old = nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[cell])])
        path = written(tmp_path / "a.ipynb", json.dumps(old, indent=1))
        before = path.read_bytes()
        scanned = scan_file(path, HELD, fix=True)
        assert (scanned.old, scanned.broken) == ("is a notebook of format 3", "")
        (finding,) = scanned.findings
        assert finding.line == 1 + path.read_text().partition(VALUE)[0].count("\n")
        assert (path.read_bytes(), scanned.changed) == (before, False)

    def test_one_of_format_3_can_be_fixed_after_what_is_said(self, tmp_path: Path) -> None:
        old = nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell("1")])])
        path = written(tmp_path / "a.ipynb", dict(old))
        nbformat.write(nbformat.convert(nbformat.read(path, 3), 4), path)
        assert scan_file(path, HELD) == ([], [], False, "", "")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
    def test_one_in_another_encoding(self, tmp_path: Path, encoding: str) -> None:
        path = tmp_path / "a.ipynb"
        mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
        path.write_bytes(mark + json.dumps(with_value()).encode(encoding))
        scanned = scan_file(path, HELD, fix=True)
        assert len(scanned.findings) == 2
        assert "not UTF-8" in scanned.broken

    def test_one_with_a_byte_that_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "a.ipynb"
        path.write_bytes(b'{"a": "\xff held-value-of-A9"}')
        scanned = scan_file(path, HELD)
        assert (len(scanned.findings), scanned.broken) == (1, "is not UTF-8 text (invalid byte at position 7)")

    def test_the_store_of_shared_notebooks(self, tmp_path: Path) -> None:
        # As jupyter-collaboration's SQLiteYStore makes it.
        path = tmp_path / ".jupyter_ystore.db"
        with closing(sqlite3.connect(path)) as store:
            store.execute("CREATE TABLE yupdates (path TEXT NOT NULL, yupdate BLOB, metadata BLOB, timestamp REAL)")
            update = b"\x01\x02\xff\x00(\x01\x04text\x01x" + f"printed {VALUE} and LTAItestAccessKeyId01".encode()
            store.execute("INSERT INTO yupdates VALUES ('a.ipynb', ?, NULL, 0)", (update,))
            store.commit()
        before = path.read_bytes()
        assert list(find_notebooks([tmp_path])) == [path]
        scanned = scan_file(path, HELD, fix=True)
        assert {finding.kind for finding in scanned.findings} == {"token a", "Alibaba AccessKey id"}
        assert (scanned.broken, scanned.old, path.read_bytes()) == ("", "", before)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotReadable, match="No such file"):
            scan_file(tmp_path / "a.ipynb", HELD)

    def test_a_byte_order_mark_is_no_obstacle(self, tmp_path: Path) -> None:
        path = tmp_path / "a.ipynb"
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(with_value()).encode())
        assert len(scan_file(path, HELD, fix=True).remaining) == 1
        assert path.read_bytes().startswith(b"\xef\xbb\xbf{")


class TestFix:
    @pytest.mark.parametrize("indent", [None, 1, 2])
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_changes_the_line_of_the_output_and_no_other(
        self, tmp_path: Path, indent: int | None, newline: str
    ) -> None:
        path = tmp_path / "a.ipynb"
        before = (json.dumps(with_value(), indent=indent, ensure_ascii=False) + "\n").replace("\n", newline).encode()
        path.write_bytes(before)
        scanned = scan_file(path, HELD, fix=True)
        assert [str(finding.place) for finding in scanned.findings] == ["cell 1 source", "cell 1 output 1"]
        assert [str(finding.place) for finding in scanned.remaining] == ["cell 1 source"]
        assert path.read_bytes() == before.replace(f"{VALUE}\\n".encode(), rb"[token a]\n")

    def test_two_values_that_are_names_stay_two_names(self, tmp_path: Path) -> None:
        known = Known({VALUE: "token a", "another-" + VALUE: "token a"})
        data = {VALUE: 1, f"another-{VALUE}": 2, "[token a]": 3, "other": {VALUE: 4}}
        path = written(tmp_path / "a.ipynb", notebook(code("1", [output(data)])))
        assert not scan_file(path, known, fix=True).remaining
        shown = json.loads(path.read_text())["cells"][0]["outputs"][0]["data"]
        assert shown == {"[token a] 2": 1, "[token a] 3": 2, "[token a]": 3, "other": {"[token a]": 4}}

    def test_without_it_nothing_is_written(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.ipynb", with_value())
        before = path.stat()
        assert not scan_file(path, HELD).changed
        assert path.stat() == before

    def test_with_nothing_to_redact_nothing_is_written(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.ipynb", notebook(code(f"x = '{VALUE}'")))
        before = path.stat()
        assert not scan_file(path, HELD, fix=True).changed
        assert path.stat().st_mtime_ns == before.st_mtime_ns

    def test_keeps_mode_and_link(self, tmp_path: Path) -> None:
        real = written(tmp_path / "real" / "a.ipynb", with_value())
        real.chmod(0o640)
        link = tmp_path / "link.ipynb"
        link.symlink_to(real)
        assert scan_file(link, HELD, fix=True).changed
        assert link.is_symlink()
        assert stat.S_IMODE(real.stat().st_mode) == 0o640
        assert [entry.name for entry in real.parent.iterdir()] == ["a.ipynb"]

    def test_a_write_that_fails_leaves_the_old_file_and_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = written(tmp_path / "a.ipynb", with_value())
        before = path.read_bytes()

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(NotReadable, match=r"cannot be written \(No space left on device\), and still contains"):
            scan_file(path, HELD, fix=True)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_what_remains_is_a_valid_notebook_whose_sources_can_be_signed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.ipynb"
        nbformat.write(nbformat.from_dict(with_value()), path)
        scan_file(path, HELD, fix=True)
        read = nbformat.read(path, 4)
        nbformat.validate(read)
        notary = NotebookNotary(data_dir=str(tmp_path))
        notary.sign(read)
        assert notary.check_signature(read)
        notary.store.close()
