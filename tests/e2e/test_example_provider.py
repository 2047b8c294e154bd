"""The example of a provider from another package: built, installed, tested, used; and one that is broken beside it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..doubles import Loopback, loopback, raw_answer
from ..sampling import long
from .test_server_mode import DEADLINE, lab

EXAMPLE = Path(__file__).parents[2] / "examples" / "badge"
BADGE = "0pen-5esame"
API_KEY = "the-key-of-the-office"


def python(*arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE * 3, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the example as pip installs it, and a copy of its sources in `source`."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("sources") / "badge"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--disable-pip-version-check")
    python("-m", "pip", "install", "--quiet", *offline, "--target", str(folder), str(source))
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed package whose provider raises at import, and another whose entry point names no provider."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "broken_provider.py").write_text("raise RuntimeError('s3cret of its maker')\n")
    facts = folder / "broken_provider-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_provider\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[jupyter_tokens.providers]\nbroken = broken_provider:Provider\nfunction = json:dumps\n"
    )
    return folder


@pytest.fixture
def office() -> Iterator[Loopback]:
    """The badge office."""

    def handle(connection: socket.socket, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        good = head.startswith(b"POST /v1/badges ") and f"x-api-key: {API_KEY}".encode() in head.lower()
        told = json.dumps({"badge": f"{BADGE}-{json.loads(body)['door']}", "valid_for": 600}).encode()
        connection.sendall(raw_answer(told, "201 Created") if good else raw_answer(b"{}", "401 Unauthorized"))

    with loopback(handle) as served:
        yield served


@pytest.fixture
def config(tmp_path: Path, office: Loopback) -> Path:
    """Profiles of the example, of both broken ones, and of a built-in."""
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(API_KEY)
    door = {"provider": "badge", "endpoint": office.url, "api_key": f"file:{key}", "params": {"door": "lab"}}
    profiles = {
        "door": door,
        "broken": {"provider": "broken", "endpoint": "https://x.example"},
        "function": {"provider": "function", "endpoint": "https://x.example"},
        "oneaccess": {
            "provider": "oneaccess",
            "endpoint": "https://x.example",
            "client_id": "i",
            "client_secret": "env:S",
        },
    }
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "jupyter_tokens_config.json").write_text(json.dumps({"TokenProfiles": {"profiles": profiles}}))
    return folder


@pytest.fixture
def _both(installed: Path, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started see both."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), str(broken)]))


@long
@pytest.mark.usefixtures("_both")
def test_its_own_tests_pass_against_what_was_installed(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "example" / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path / "example")
    shown = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "tests", cwd=tmp_path / "example")
    assert " passed" in shown
    assert "skipped" not in shown


CALL = """
from jupyter_tokens import TokenError, get_token
token = get_token("door", door="attic")
print(token.reveal(), token.headers() == {"Authorization": f"Badge {token.reveal()}"}, token.provider)
for name in ("broken", "function"):
    try:
        get_token(name)
    except TokenError as error:
        print(error)
"""


@pytest.mark.usefixtures("_both")
def test_a_token_through_it_and_a_clear_error_of_those_that_are_broken(
    config: Path, monkeypatch: pytest.MonkeyPatch, office: Loopback
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(config))
    first, broken, function = python("-c", CALL).splitlines()
    assert first == f"{BADGE}-attic True badge"
    assert "key 'provider' names broken, which cannot be loaded (RuntimeError)" in broken
    assert "key 'provider' names function, which cannot be loaded (TypeError)" in function
    assert "s3cret" not in broken
    assert len(office.requests) == 1


def by(entries: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {entry[key]: entry for entry in entries}


@pytest.mark.usefixtures("_both")
def test_a_server_knows_it_and_is_not_taken_down_by_those_that_are_broken(tmp_path: Path, config: Path) -> None:
    with lab(tmp_path, config) as server:
        server.log_in()

        def get(path: str) -> Any:
            answer = server.user.get(f"{server.url}/jupyter-tokens/{path}")
            assert answer.status_code == 200, answer.text
            return answer.json()

        providers = by(get("providers")["providers"], "id")
        assert {"modelarts", "pai-dlc", "oneaccess", "astra", "eiam", "oauth2", "badge"} <= providers.keys()
        assert not {"broken", "function"} & providers.keys()
        badge = providers["badge"]
        assert badge["title"] == "Badge office"
        assert badge["settings"]["properties"]["api_key"]["writeOnly"] is True
        assert badge["settings"]["properties"]["kind"]["enum"] == ["visitor", "staff"]
        assert badge["params"]["required"] == ["door"]
        assert badge["params"]["properties"]["minutes"]["minimum"] == 1

        profiles = by(get("profiles")["profiles"], "name")
        assert profiles["door"]["title"] == "Badge office"
        assert profiles["oneaccess"]["state"] == "none"
        for name in ("broken", "function"):
            assert "cannot be loaded" in profiles[name]["error"]["message"]

        answer = server.post("jupyter-tokens/profiles/door/token", {"reveal": True})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["value"], answer.json()["scheme"]) == (f"{BADGE}-lab", "Badge")
