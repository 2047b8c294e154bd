"""`jupyter tokens store`: what it shows, empties and seals anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jupyter_tokens.cli.store import StoreApp
from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.sandbox import Sandbox

from .running import Run

APP = StoreApp


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "store"
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", f"file:{folder}")
    return folder


def fetched(sandbox: Sandbox, secrets: Path) -> str:
    """By a client that has fetched nothing yet."""
    client = Client(Profiles.from_settings(sandbox.profiles(secrets)))
    try:
        return client.get("oneaccess").reveal()
    finally:
        client.close()


def test_show_lists_slots_without_saying_whose_they_are(
    run: Run, folder: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    token = fetched(sandbox, tmp_path)
    shown = run("show")
    assert shown.code == 0
    heads, row = shown.out.splitlines()
    assert heads.split() == ["slot", "age", "left", "size"]
    assert row.split()[0] == next(folder.glob("*.slot")).stem
    assert str(folder) in shown.err
    told = run("show", "--json")
    (slot,) = json.loads(told.out)["slots"]
    assert slot["size"] == next(folder.glob("*.slot")).stat().st_size
    assert 0 <= slot["age"] < 300
    assert slot["expires_in"] > 0
    assert token not in shown.out + told.out
    assert "oneaccess" not in shown.out + told.out


def test_an_empty_store_is_said(run: Run, folder: Path) -> None:
    shown = run("show")
    assert (shown.code, shown.out) == (0, "")
    assert "empty" in shown.err


def test_clear_empties_it(run: Run, folder: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    token = fetched(sandbox, tmp_path)
    assert "Entries removed: 1." in run("clear").err
    assert list(folder.glob("*.slot")) == []
    assert fetched(sandbox, tmp_path) != token


def test_rekey_puts_a_key_in_front_and_loses_no_token(run: Run, folder: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    token = fetched(sandbox, tmp_path)
    file = Path(os.environ["JUPYTER_DATA_DIR"]) / "jupyter_tokens_store.key"
    before = file.read_text().split()
    done = run("rekey")
    assert done.code == 0
    assert str(file) in done.err
    assert file.read_text().split()[1:] == before
    assert not any(key in done.err + done.out for key in file.read_text().split())
    assert fetched(sandbox, tmp_path) == token


def test_without_a_store_there_is_nothing_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", "none")
    assert run("show").code == 2


@pytest.mark.parametrize("arguments", [(), ("hide",), ("show", "clear")], ids=str)
def test_anything_else_is_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert "show, clear, rekey" in done.err


def test_a_folder_that_others_can_write_to_is_an_error(run: Run, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    done = run("show")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "chmod 700" in done.err
