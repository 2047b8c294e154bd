"""Alibaba Cloud access keys, given and found by the vendor's own library: real variables, files and services."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import SecretError
from jupyter_tokens.providers.credentials import alibaba
from jupyter_tokens.providers.credentials.alibaba import access_key, chain
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Secret

from ...doubles import CANARY, Loopback, loopback, raw_answer, told


def test_a_given_key() -> None:
    secrets = {"access_key_id": Secret("AKID"), "access_key_secret": Secret("s")}
    key = access_key(secrets)
    assert (key.id, key.secret.reveal(), key.security_token) == ("AKID", "s", None)
    temporary = access_key({**secrets, "security_token": Secret("t")})
    assert temporary.security_token is not None
    assert temporary.security_token.reveal() == "t"


CHILD = """
import hashlib, json
from jupyter_tokens.providers.credentials.alibaba import chain
key = chain()
hashed = lambda secret: secret and hashlib.sha256(secret.reveal().encode()).hexdigest()
print(json.dumps([key.id, hashed(key.secret), hashed(key.security_token)]))
"""


def hashed(value: str | None) -> str | None:
    return value and hashlib.sha256(value.encode()).hexdigest()


def in_a_process_of_its_own(home: Path, **environment: str) -> list[str | None]:
    """What the chain finds there, secrets hashed; the vendor's library reads its environment once, at import."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    quiet = {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**kept, "HOME": str(home), **quiet, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert CANARY not in done.stdout + done.stderr
    found: list[str | None] = json.loads(done.stdout)
    return found


def test_the_chain_reads_the_environment(tmp_path: Path) -> None:
    given = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "AKID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": CANARY}
    assert in_a_process_of_its_own(tmp_path, **given) == ["AKID", hashed(CANARY), None]
    temporary = {**given, "ALIBABA_CLOUD_SECURITY_TOKEN": "sts"}
    assert in_a_process_of_its_own(tmp_path, **temporary) == ["AKID", hashed(CANARY), hashed("sts")]


def test_the_chain_reads_what_the_vendors_command_line_has_written(tmp_path: Path) -> None:
    profile = {"name": "work", "mode": "StsToken", "access_key_id": "CLI", "access_key_secret": CANARY}
    (tmp_path / ".aliyun").mkdir()
    config = {"current": "work", "profiles": [{"name": "default"}, {**profile, "sts_token": "sts"}]}
    (tmp_path / ".aliyun" / "config.json").write_text(json.dumps(config))
    assert in_a_process_of_its_own(tmp_path) == ["CLI", hashed(CANARY), hashed("sts")]


def test_the_chain_reads_the_vendors_credentials_file(tmp_path: Path) -> None:
    text = f"[default]\ntype = access_key\naccess_key_id = INI\naccess_key_secret = {CANARY}\n"
    (tmp_path / ".alibabacloud").mkdir()
    (tmp_path / ".alibabacloud" / "credentials.ini").write_text(text)
    assert in_a_process_of_its_own(tmp_path) == ["INI", hashed(CANARY), None]
    (tmp_path / "other").write_text(text.replace("INI", "OTHER"))
    given = {"ALIBABA_CLOUD_CREDENTIALS_FILE": str(tmp_path / "other")}
    assert in_a_process_of_its_own(tmp_path, **given)[0] == "OTHER"


def in_minutes(minutes: float) -> str:
    # The vendor's library has no clock to give it; its margin is a quarter of an hour.
    return datetime.fromtimestamp(time.time() + 60 * minutes, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def temporary(number: int, *, minutes: float, **changes: object) -> bytes:
    key = {"Code": "Success", "AccessKeyId": f"STS.{number}", "AccessKeySecret": f"{CANARY}-{number}"}
    return json.dumps(
        {**key, "SecurityToken": f"token-{number}", "Expiration": in_minutes(minutes), **changes}
    ).encode()


def test_the_chain_asks_the_service_that_a_uri_names(tmp_path: Path) -> None:
    def handle(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(raw_answer(temporary(1, minutes=60)))

    with loopback(handle) as service:
        found = in_a_process_of_its_own(tmp_path, ALIBABA_CLOUD_CREDENTIALS_URI=f"{service.url}/role")
    assert found == ["STS.1", hashed(f"{CANARY}-1"), hashed("token-1")]


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The vendor's library as if it was imported in an empty home, with no metadata service; returns that home."""
    from alibabacloud_credentials.utils import auth_constant, auth_util

    monkeypatch.setattr(alibaba, "_shared_client", None)
    monkeypatch.setattr(auth_constant, "HOME", str(tmp_path))
    for name in ("access_key_id", "access_key_secret", "security_token", "credentials_file", "credentials_uri"):
        monkeypatch.setattr(auth_util, f"environment_{name}", None)
    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "true")
    return tmp_path


class Metadata:
    """A stand-in of ECS' metadata service: a role, and the keys that it gives out one after another."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def handle(self, connection: socket.socket, request: bytes) -> None:
        method, path = request.split(b" ", 2)[:2]
        self.asked.append(f"{method.decode()} {path.decode().rpartition('/')[2]}")
        if method == b"PUT":
            assert b"x-aliyun-ecs-metadata-token-ttl-seconds: 21600" in request.lower()
            connection.sendall(raw_answer(b"session"))
        elif b"x-aliyun-ecs-metadata-token: session" not in request.lower():
            connection.sendall(raw_answer(b"", "403 Forbidden"))
        elif path.endswith(b"/security-credentials/"):
            connection.sendall(raw_answer(b"worker"))
        else:
            connection.sendall(raw_answer(self.answers.pop(0)))


@pytest.fixture
def on_ecs(vendor: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Metadata], Loopback]]:
    """Puts the process on an ECS instance that has this metadata service."""
    from alibabacloud_credentials.provider import ecs_ram_role
    from alibabacloud_credentials.utils import auth_util

    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "false")
    kind, started, opened = ecs_ram_role.EcsRamRoleCredentialsProvider, [], []
    scheduler = ecs_ram_role.BackgroundScheduler

    def make() -> Any:
        started.append(scheduler())
        return started[-1]

    def place(metadata: Metadata) -> Loopback:
        opened.append(loopback(metadata.handle))
        service = opened[-1].__enter__()
        init = kind.__init__

        def placed(self: Any, **given: Any) -> None:
            init(self, **given)
            self._EcsRamRoleCredentialsProvider__metadata_service_host = f"127.0.0.1:{service.port}"

        monkeypatch.setattr(kind, "__init__", placed)
        return service

    monkeypatch.setattr(ecs_ram_role, "BackgroundScheduler", make)
    yield place
    for service in opened:
        service.__exit__(None, None, None)
    for one in started:
        one.shutdown()
        atexit.unregister(one.shutdown)


def test_the_role_of_an_instance_is_asked_once_while_its_key_lives(on_ecs: Callable[..., Loopback]) -> None:
    metadata = Metadata(temporary(1, minutes=60))
    on_ecs(metadata)
    for _ in range(3):
        key = chain()
        assert (key.id, key.secret.reveal()) == ("STS.1", f"{CANARY}-1")
        assert key.security_token is not None
        assert key.security_token.reveal() == "token-1"
    assert metadata.asked == ["PUT token", "GET ", "PUT token", "GET worker"]


def test_the_key_of_a_role_is_renewed_ahead_of_its_end(on_ecs: Callable[..., Loopback]) -> None:
    metadata = Metadata(temporary(1, minutes=10), temporary(2, minutes=60))
    on_ecs(metadata)
    assert [chain().id for _ in range(3)] == ["STS.1", "STS.2", "STS.2"]


def test_one_client_serves_the_process(on_ecs: Callable[..., Loopback]) -> None:
    metadata = Metadata(temporary(1, minutes=60))
    on_ecs(metadata)
    chain()
    asked = list(metadata.asked)
    chain()
    assert metadata.asked == asked


@pytest.mark.parametrize(
    "body",
    [temporary(1, minutes=60, Code="Failed"), temporary(1, minutes=-60), b"<html>" + CANARY.encode()],
    ids=["refused", "expired", "no JSON"],
)
def test_a_metadata_service_that_answers_nonsense_is_not_quoted(
    on_ecs: Callable[..., Loopback], body: bytes, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    on_ecs(Metadata(*[body] * 4))
    with pytest.raises(SecretError, match="found no access key") as caught:
        chain()
    assert CANARY not in told(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert caught.value.__context__ is None


def test_a_file_that_changes_is_read_anew(vendor: Path) -> None:
    file = vendor / ".alibabacloud" / "credentials.ini"
    file.parent.mkdir()
    found = []
    for name in ("FIRST", "SECOND1"):
        file.write_text(f"[default]\ntype = access_key\naccess_key_id = {name}\naccess_key_secret = {CANARY}\n")
        found += [chain().id, chain().id]
    assert found == ["FIRST", "FIRST", "SECOND1", "SECOND1"]


def test_a_key_that_comes_up_earlier_in_the_chain_is_seen(vendor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alibabacloud_credentials.utils import auth_util

    file = vendor / ".alibabacloud" / "credentials.ini"
    file.parent.mkdir()
    file.write_text(f"[default]\ntype = access_key\naccess_key_id = INI\naccess_key_secret = {CANARY}\n")
    assert chain().id == "INI"
    monkeypatch.setattr(auth_util, "environment_access_key_id", "ENV")
    monkeypatch.setattr(auth_util, "environment_access_key_secret", CANARY)
    assert chain().id == "ENV"


def test_a_chain_that_finds_nothing_says_where_it_looked_and_what_to_do(vendor: Path) -> None:
    with pytest.raises(SecretError, match=r"found no access key \(CredentialException\)") as caught:
        chain()
    assert caught.value.unsent
    for name in (
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        str(vendor / ".aliyun" / "config.json"),
        str(vendor / ".alibabacloud" / "credentials.ini"),
        "metadata service",
        "ALIBABA_CLOUD_CREDENTIALS_URI",
        "Log in with the aliyun CLI",
    ):
        assert name in caught.value.hint


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_chain_that_finds_nothing_names_the_file_with_a_byte_order_mark(vendor: Path, encoding: str) -> None:
    file = vendor / ".alibabacloud" / "credentials.ini"
    file.parent.mkdir()
    text = f"[default]\ntype = access_key\naccess_key_id = INI\naccess_key_secret = {CANARY}\n"
    file.write_text(text, encoding=encoding)
    with pytest.raises(SecretError) as caught:
        chain()
    assert caught.value.hint.startswith(f"{file} begins with a byte order mark")
    assert CANARY not in told(caught.value)


def test_a_profile_is_told_that_its_chain_found_nothing(vendor: Path) -> None:
    profiles = Profiles.from_settings(
        {"mine": {"provider": "pai-dlc", "region": "cn-hangzhou", "credentials": "chain"}}
    )
    upstream = LocalSource(profiles)
    with pytest.raises(SecretError, match="found no access key") as caught:
        upstream.fetch(Key("mine", ()))
    upstream.close()
    assert caught.value.profile == "mine"


def test_a_failing_chain_is_told_by_its_kind_only(vendor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alibabacloud_credentials import client

    def fail(**_given: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(client, "Client", fail)
    with pytest.raises(SecretError, match=r"\(RuntimeError\)") as caught:
        chain()
    assert CANARY not in told(caught.value)
    assert caught.value.__context__ is None


def test_without_the_vendors_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alibabacloud_credentials.client", None)
    with pytest.raises(SecretError, match="alibabacloud-credentials") as caught:
        chain()
    assert "[alibaba]" in caught.value.hint


def test_the_chain_takes_no_number_for_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = tmp_path / "credentials.ini"
    text.write_text(CANARY)
    monkeypatch.setattr(alibaba, "_files", lambda: (str(text), str(tmp_path / "none")))
    found = SimpleNamespace(access_key_id=5, access_key_secret=CANARY, security_token=None)
    monkeypatch.setattr(alibaba, "_client", lambda *_: SimpleNamespace(get_credential=lambda: found))
    with pytest.raises(SecretError, match=r"found no access key \(TypeError\)") as caught:
        chain()
    assert caught.value.hint.startswith("Log in with the aliyun CLI")
    assert CANARY not in str(caught.value)
