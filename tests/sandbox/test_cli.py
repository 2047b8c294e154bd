"""`jupyter tokens sandbox` as a real process: one JSON line, a clean end, one line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.sandbox import running

from .client import CLIENT, CLIENT_SECRET, acs3, address, call, oneaccess, raw_request

COMMAND = [sys.executable, "-m", "jupyter_tokens.cli.app", "sandbox"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The user's own configuration and temporary files stay out of it."""
    folders = {
        name: str(tmp_path / name.lower()) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "TMPDIR")
    }
    (tmp_path / "tmpdir").mkdir()
    return {**os.environ, **folders}


@contextmanager
def serving(environment: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with subprocess.Popen(
        [*COMMAND, *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_line_when_ready_and_a_clean_end(environment: dict[str, str], number: int) -> None:
    with serving(environment, "--life", "60") as (process, ready):
        assert set(ready) == {"url", "profiles"}
        profile = ready["profiles"]["oneaccess"]
        path = Path(profile["client_secret"].removeprefix("file:"))
        assert path.is_relative_to(environment["TMPDIR"])
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        secret = path.read_text(encoding="utf-8")
        answer = oneaccess(ready["url"], client_id=profile["client_id"], client_secret=secret)
        assert answer.json()["expires_in"] == 60
        assert end(process, number) == (0, "", "")
    assert not path.parent.exists()


def test_its_profiles_give_tokens(environment: dict[str, str]) -> None:
    with serving(environment) as (_, ready):
        profiles = ready["profiles"]
        with closing(Client(Profiles.from_settings(profiles))) as client:
            # For `openid` a person logs in.
            tokens = {name: client.get(name) for name in profiles if name != "openid"}
        value = tokens["huawei-iam"].reveal()
        assert tokens["huawei-iam"].headers() == {"X-Auth-Token": value}
        for name in ("pai-dsw", "eiam-oauth", "dashscope"):
            assert tokens[name].headers() == {"Authorization": f"Bearer {tokens[name].reveal()}"}
        assert tokens["dashscope"].expires_at is not None
        assert tokens["alibaba-sts"].reveal("AccessKeyId").startswith("STS.")
        assert tokens["huawei-sts"].fields == ("access_key_id", "secret_access_key", "security_token")
        assert tokens["eiam-oauth"].metadata["TokenType"] == "Bearer"
        # The IAM token opens another API.
        instance = {key: profiles["modelarts"][key] for key in ("provider", "endpoint", "params")}
        with closing(Client(Profiles.from_settings({"opened": {**instance, "auth_token": value}}))) as client:
            assert client.get("opened").reveal() == tokens["modelarts"].reveal()


def test_a_hanging_call_does_not_keep_it_from_ending(environment: dict[str, str]) -> None:
    with serving(environment) as (process, ready):
        fault = json.dumps({"api": "oneaccess", "kind": "hang-mid"})
        assert call(ready["url"], "POST", "/_sandbox/faults", {}, fault).status == 201
        with socket.create_connection(address(ready["url"]), timeout=300) as sock:
            sock.sendall(raw_request("GET", "/api/v2/tenant/token", {"Host": "x"}))
            assert sock.recv(65536).startswith(b"HTTP/1.1 405 ")
            assert end(process, signal.SIGINT) == (0, "", "")


def test_accounts_and_clock_are_taken(environment: dict[str, str], tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.json"
    accounts.write_text(json.dumps({"oneaccess": {CLIENT: CLIENT_SECRET}, "alibaba": {"AK": "SK"}}), encoding="utf-8")
    options = ("--accounts", str(accounts), "--clock", "2026-01-15T08:30:00Z", "--reuse", "--lock-after", "3")
    with serving(environment, *options) as (_, ready):
        assert CLIENT_SECRET not in json.dumps(ready)
        first, second = (oneaccess(ready["url"]).json()["access_token"] for _ in range(2))
        assert first == second
        assert acs3(ready["url"], access_key="AK", secret="SK").status == 200


def run(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--port", "abc"], "port"),
        (["--port", "70000"], "65535"),
        (["--bogus"], "--bogus"),
        (["extra"], "takes no arguments"),
        (["--clock", "yesterday"], "--clock must be a time"),
        (["--clock", "2026-02-30T00:00:00Z"], "--clock must be a time"),
        (["--accounts", "none.json"], "none.json"),
        (["--accounts", os.devnull], "not JSON"),
        (["--life", "0"], "--life must be"),
        (["--life", "nan"], "--life must be"),
        (["--lock-after", "0"], "--lock-after must be"),
    ],
)
def test_wrong_usage_is_one_line_and_2(environment: dict[str, str], options: list[str], complaint: str) -> None:
    ended = run(environment, *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert complaint in ended.stderr


def test_a_taken_port_is_one_line_and_1(environment: dict[str, str]) -> None:
    with running() as sandbox:
        ended = run(environment, "--port", str(address(sandbox.url)[1]))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "--port" in ended.stderr


def test_help_is_no_mistake(environment: dict[str, str]) -> None:
    ended = run(environment, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--accounts" in ended.stdout
