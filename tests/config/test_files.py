"""Configuration files: which are found, which one counts, and what is told of a broken one."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_tokens._util.text_file import stamp
from jupyter_tokens.config.files import (
    CONFIG_NAME,
    TokenProfiles,
    config_files,
    load_mode,
    load_profiles,
    remove_leftovers,
)
from jupyter_tokens.errors import ConfigurationError, UnknownProfile

from ..doubles import CANARY, told

ASTRA = {"provider": "astra", "endpoint": "https://astra.example.com", "api_token": "env:ASTRA"}


def write(folder: Path, profiles: object, name: str = "jupyter_tokens_config.json") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}}))
    return file


def write_python(folder: Path, code: str) -> Path:
    file = folder / "jupyter_tokens_config.py"
    file.write_text(f"c = get_config()\n{code}\n")
    return file


def refused(file: Path) -> ConfigurationError:
    """What is wrong with a file that cannot be read, of which there is one warning."""
    with pytest.warns(UserWarning, match=re.escape(str(file))) as caught:
        held = [load_profiles([file]) for _ in range(2)]
    assert len(caught) == 1
    assert CANARY not in str(caught[0].message)
    assert len(held[0]) == 0
    [error] = held[0].problems.values()
    assert str(file) in error.message
    assert error.unsent
    assert error.__context__ is None
    assert error.__traceback__ is None
    assert CANARY not in told(error)
    return error


BROKEN = [b"{", b"", b"[]", b'{"TokenProfiles": []}', b'{"TokenProfiles": {"profiles": 5}}', b"\xff\xfe{\0}\0", b"\x80"]


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_file_does_not_keep_the_others_from_being_used(tmp_path: Path, content: bytes) -> None:
    low, high = write(tmp_path / "low", {"a": ASTRA}), write(tmp_path / "high", {"b": ASTRA})
    broken = tmp_path / "jupyter_tokens_config.json"
    broken.write_bytes(content)
    for files in ([low, broken, high], [broken, low, high], [low, high, broken]):
        held = load_profiles(files)
        assert {name: held[name].provider.id for name in held} == {"a": "astra", "b": "astra"}
        assert load_mode(files) == "auto"
        with pytest.raises(UnknownProfile) as caught:
            held["c"]
        # It may be in there.
        assert str(broken) in str(caught.value)


def test_a_folder_that_may_not_be_looked_into_does_not_keep_the_others_from_being_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another user than root: the file system is asked by nobody here."""
    good, closed = write(tmp_path / "good", {"a": ASTRA}), tmp_path / "closed"
    # As in Python 3.14, on any Python: it returns False where `stat` raises.
    monkeypatch.setattr(Path, "is_file", lambda path: path.parent != closed and os.path.isfile(path))  # noqa: PTH113
    real = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path.parent == closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    files = config_files([closed, tmp_path / "good"])
    assert good in files
    assert len(stamp(files)) == 1
    with pytest.warns(UserWarning, match="closed"):
        assert set(load_profiles(files)) == {"a"}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["jupyter_tokens_config.json", "jupyter_tokens_config.py"])
def test_a_file_is_utf_8_with_or_without_a_byte_order_mark(tmp_path: Path, name: str, mark: bytes) -> None:
    file = tmp_path / name
    profiles = {"a": {**ASTRA, "params": {}, "api_token": "keyring:büro/杭州"}}
    text = (
        json.dumps({"TokenProfiles": {"profiles": profiles}}, ensure_ascii=False)
        if file.suffix == ".json"
        else f"c.TokenProfiles.profiles = {profiles!r}"
    )
    file.write_bytes(mark + text.encode())
    assert load_profiles([file])["a"].references["api_token"].target == "büro/杭州"


@pytest.mark.parametrize("name", ["jupyter_tokens_config.json", "jupyter_tokens_config.py"])
def test_a_file_in_utf_16_is_told_what_it_is(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes("c = 1".encode("utf-16"))
    assert "UTF-16 text; save it as UTF-8" in refused(file).message


def test_a_file_is_utf_8_whatever_the_locale(config_dir: Path) -> None:
    write_utf_8 = json.dumps({"TokenProfiles": {"profiles": {"büro": ASTRA}}}, ensure_ascii=False).encode()
    (config_dir / "jupyter_tokens_config.json").write_bytes(write_utf_8)
    code = (
        "import locale; assert locale.getpreferredencoding(False) != 'UTF-8'\n"
        "from jupyter_tokens.config.files import load_profiles; print(ascii(list(load_profiles())))"
    )
    # The C locale, which Python would take for UTF-8 if it were let.
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ascii(["büro"])


def test_files_on_jupyters_path_are_found(config_dir: Path) -> None:
    assert config_files() == []
    file = write(config_dir, {"a": ASTRA})
    assert config_files() == [file]
    assert load_profiles()["a"].provider.id == "astra"


def test_the_first_folder_counts_most_and_python_more_than_json(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    files = [write(second, {}), write(first, {}), write_python(first, "")]
    assert config_files([str(first), second, tmp_path / "none"]) == files


def test_a_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "jupyter_tokens_config.json").mkdir()
    assert config_files([tmp_path]) == []


def test_the_last_file_that_names_a_profile_has_it_whole(tmp_path: Path) -> None:
    low = write(tmp_path / "low", {"a": {**ASTRA, "timeout": 5}, "b": ASTRA})
    high = write(tmp_path / "high", {"a": ASTRA, "c": ASTRA})
    held = load_profiles([low, high])
    assert set(held) == {"a", "b", "c"}
    assert held["a"].timeout == 30


def test_python(tmp_path: Path) -> None:
    held = load_profiles([write_python(tmp_path, f"c.TokenProfiles.profiles = {{'a': {ASTRA!r}}}")])
    assert held["a"].provider.id == "astra"


def test_python_that_updates(tmp_path: Path) -> None:
    held = load_profiles([write_python(tmp_path, f"c.TokenProfiles.profiles.update({{'A': {ASTRA!r}}})")])
    assert held["A"].provider.id == "astra"


@pytest.mark.parametrize("text", ["{}", '{"Other": {"a": 1}}', '{"TokenProfiles": {}}'])
def test_no_profiles_are_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "jupyter_tokens_config.json"
    file.write_text(text)
    assert len(load_profiles([file])) == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"TokenProfiles": CANARY}, "TokenProfiles must be a mapping"),
        ({"TokenProfiles": {"profiles": [CANARY]}}, "TokenProfiles.profiles must be a mapping of names to profiles"),
        ({"TokenProfiles": {"profiles": None, "other": CANARY}}, "must be a mapping of names to profiles"),
    ],
)
def test_profiles_have_to_be_a_mapping(tmp_path: Path, content: dict[str, object], words: str) -> None:
    file = tmp_path / "jupyter_tokens_config.json"
    file.write_text(json.dumps(content))
    assert words in refused(file).message


@pytest.mark.parametrize("argument", [repr(CANARY), "{1}", "5"])
def test_an_update_by_what_is_no_mapping_is_told(tmp_path: Path, argument: str) -> None:
    file = write_python(tmp_path, f"c.TokenProfiles.profiles.update({argument})")
    refused(file)


@pytest.mark.parametrize("text", [f'{{"a": "{CANARY}"', f'["{CANARY}"]', f'"{CANARY}"', "", "[" * 100_000, "5"])
def test_broken_json_is_told_by_its_place_only(tmp_path: Path, text: str) -> None:
    file = tmp_path / "jupyter_tokens_config.json"
    file.write_text(text)
    assert "cannot be read" in refused(file).message


def test_the_line_of_broken_json_is_told(tmp_path: Path) -> None:
    file = tmp_path / "jupyter_tokens_config.json"
    file.write_text(f'{{\n"a": "{CANARY}" oops\n}}')
    assert refused(file).message == f"{file} cannot be read: error in line 2."


@pytest.mark.parametrize(
    ("code", "place"),
    [
        (f"key = '{CANARY}", "line 2"),
        (f"key = '{CANARY}'; 1/0", "ZeroDivisionError"),
        ("import nothing_here", "Module"),
        (f"raise SystemExit({CANARY!r})", "SystemExit"),
    ],
)
def test_broken_python_is_told_by_its_place_only(tmp_path: Path, code: str, place: str) -> None:
    assert place in refused(write_python(tmp_path, code)).message


def test_a_file_that_has_gone_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "jupyter_tokens_config.json").message


def test_a_profile_error_names_the_file_it_stands_in(tmp_path: Path) -> None:
    file = write(tmp_path, {"a": {"provider": "none"}})
    with pytest.raises(ConfigurationError, match="profile 'a', key 'provider'") as caught:
        load_profiles([file])["a"]
    assert str(file) in str(caught.value)


def mode_of(tmp_path: Path, *texts: str) -> str:
    files = []
    for number, text in enumerate(texts):
        folder = tmp_path / str(number)
        folder.mkdir()
        files.append(folder / "jupyter_tokens_config.json")
        files[-1].write_text(text)
    return load_mode(files)


def test_the_mode_is_auto_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    assert mode_of(tmp_path, "{}", '{"TokenProfiles": {"profiles": {}}}') == "auto" == TokenProfiles().mode


def test_the_last_file_that_names_a_mode_counts(tmp_path: Path) -> None:
    direct, server = ('{"TokenProfiles": {"mode": "direct"}}', '{"TokenProfiles": {"mode": "server"}}')
    assert mode_of(tmp_path, server, direct, "{}") == "direct"


@pytest.mark.parametrize("mode", ["Server", 1, ["auto"]])
def test_another_mode_is_refused_and_the_known_ones_are_named(tmp_path: Path, mode: object) -> None:
    with pytest.raises(ConfigurationError, match="must be one of auto, server, direct"):
        mode_of(tmp_path, json.dumps({"TokenProfiles": {"mode": mode}}))


def test_the_mode_is_read_from_jupyters_path_by_default(config_dir: Path) -> None:
    (config_dir / "jupyter_tokens_config.json").write_text('{"TokenProfiles": {"mode": "direct"}}')
    assert load_mode() == "direct"


class TestLeftovers:
    LEFT = f".{CONFIG_NAME}.json.{'0' * 16}.tmp"
    OTHERS = f".jupyter_server_config.json.{'0' * 16}.tmp"

    def test_what_a_killed_process_left_of_profiles_and_secrets_is_removed(self, config_dir: Path) -> None:
        secrets = config_dir / "jupyter_tokens_secrets"
        secrets.mkdir()
        for path in (config_dir / self.LEFT, config_dir / self.OTHERS, secrets / f".acme.{'0' * 16}.tmp"):
            path.write_text("c4n4ry")
        remove_leftovers()
        assert [path for path in config_dir.rglob("*") if path.is_file()] == [config_dir / self.OTHERS]

    def test_also_beside_what_a_link_leads_to(self, config_dir: Path, tmp_path: Path) -> None:
        (tmp_path / self.LEFT).write_text("c4n4ry")
        (config_dir / f"{CONFIG_NAME}.json").symlink_to(tmp_path / f"{CONFIG_NAME}.json")
        remove_leftovers()
        assert not list(tmp_path.glob(".*.tmp"))

    def test_links_in_a_circle_have_none(self, config_dir: Path) -> None:
        file = config_dir / f"{CONFIG_NAME}.json"
        file.symlink_to(file)
        remove_leftovers()
        assert file.is_symlink()
