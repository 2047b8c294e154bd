"""Whatever stands in a reference or in a vendor's credential file: a secret, or an error that tells nothing of it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import keyring.backend
import pytest
from hypothesis import strategies as st

from jupyter_tokens.config.secrets import SecretRef
from jupyter_tokens.errors import ResponseError, SecretError
from jupyter_tokens.providers.answers import require_time
from jupyter_tokens.providers.credentials import huawei, openstack
from jupyter_tokens.providers.credentials.huawei import IamLogin
from jupyter_tokens.providers.signing.canonical import AccessKey
from jupyter_tokens.token import Secret

from ..doubles import CANARY
from .conftest import Fuzz
from .strange import AWKWARD, TEXTS, as_json, mutated, typed
from .test_vendor_answers import PROFILES, RIGHT, Vendor, fetched, logged_in, response

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")]


def test_a_reference_of_any_text(fuzz: Fuzz) -> None:
    kinds = st.sampled_from(["env:", "file:", "keyring:", "command:", "ENV:", "env", ":", ""])

    def check(kind: str, target: str) -> None:
        with typed(SecretError):
            reference = SecretRef.parse(kind + target)
            if reference.kind in {"env", "file", "literal"}:
                assert reference.resolve().reveal()

    fuzz(check, kinds, TEXTS | TEXTS.map(lambda text: f"~{text}/x"), times=60)


def test_a_keyring_entry_of_any_name(fuzz: Fuzz, stored: keyring.backend.KeyringBackend) -> None:
    def check(target: str) -> None:
        with suppress(SecretError):
            SecretRef.parse(f"keyring:{target}").resolve()

    fuzz(check, TEXTS | st.tuples(TEXTS, TEXTS).map("/".join))


def test_a_secret_of_any_bytes(fuzz: Fuzz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    ends = st.sampled_from([b"", b"\n", b"\r\n", b"\0", b"\n\n", b"\xff", b"\xed\xa0\x80", b"x" * 70_000])

    def check(data: bytes, end: bytes) -> None:
        file.write_bytes(CANARY.encode() + data + end)
        monkeypatch.setitem(os.environ, "FUZZED", os.fsdecode((CANARY.encode() + data + end).replace(b"\0", b"")))
        for text in (f"file:{file}", "env:FUZZED"):
            with typed(SecretError):
                secret = SecretRef.parse(text).resolve()
                assert secret.reveal().startswith(CANARY)
                secret.reveal().encode()

    fuzz(check, st.binary(max_size=20), ends)


def test_a_command_of_any_words_and_any_output(fuzz: Fuzz, tmp_path: Path) -> None:
    file = tmp_path / "printed"

    def check(data: bytes, words: str) -> None:
        file.write_bytes(CANARY.encode() + data)
        for command in (f"cat {file}", f"cat {words}"):
            with typed(SecretError):
                SecretRef.parse(f"command:{command}").resolve()

    quoted = st.text(st.sampled_from("'\"\\ a~$`;|&"), max_size=6)
    fuzz(check, st.binary(max_size=9), quoted, times=5)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("modelarts", "access_key"),
        ("modelarts", "secret_key"),
        ("modelarts", "security_token"),
        ("login", "username"),
        ("login", "password"),
        ("login", "domain_name"),
        ("pai-dlc", "access_key_id"),
        ("pai-dlc", "access_key_secret"),
        ("eiam", "security_token"),
        ("oneaccess", "client_id"),
        ("oneaccess", "client_secret"),
        ("astra", "api_token"),
        ("oauth2", "client_id"),
        ("oauth2", "client_secret"),
    ],
)
def test_a_credential_of_any_text(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch, name: str, key: str) -> None:
    vendor = Vendor(response(200, json.dumps(RIGHT[name]).encode()), logged_in)

    def check(text: str) -> None:
        monkeypatch.setitem(os.environ, "FUZZED", text)
        error = fetched(name, vendor, {**PROFILES[name], key: "env:FUZZED"})
        assert error is None or error.unsent

    # As far as an environment can hold them.
    fuzz(check, TEXTS.filter(lambda text: "\0" not in text and "\ud800" not in ascii(text) and _fits(text)), times=12)


def _fits(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


KEY = f"[basic]\nak = HW\nsk = {CANARY}\nsecurity_token = {CANARY}\n"


def test_huaweis_file_of_any_text(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.touch(mode=0o600)
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(file))

    def check(lines: list[str], junk: bytes) -> None:
        file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + junk)
        with typed(SecretError):
            key = huawei.chain()
            assert isinstance(key, AccessKey)
            assert CANARY not in repr(key)

    line = st.sampled_from(
        [*KEY.splitlines(), "[DEFAULT]", "sk", "%(sk)s", "sk = %(ak)s%(", "\tmore", "[", "= 1", "ak: é"]
    )
    fuzz(
        check, st.lists(line | TEXTS, max_size=8), st.just(b"") | st.binary(max_size=9), known=[(KEY.splitlines(), b"")]
    )


CLOUDS: dict[str, Any] = {
    "clouds": {
        "mine": {
            "auth_type": "password",
            "region_name": "eu-de",
            "auth": {
                "auth_url": "https://iam.example.com/v3",
                "username": "ada",
                "password": CANARY,
                "user_domain_name": "acme",
                "token": CANARY,
            },
        }
    }
}


def test_openstacks_file_of_any_content(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from openstack.config import loader

    monkeypatch.setattr(loader, "CONFIG_SEARCH_PATH", [str(tmp_path / "here"), str(tmp_path)])
    file = tmp_path / "clouds.yaml"

    def check(data: bytes, cloud: str) -> None:
        # JSON is YAML, but for the odd character.
        file.write_bytes(data)
        with typed(SecretError):
            login = openstack.login(cloud)
            assert isinstance(login, IamLogin | Secret)
            assert CANARY not in repr(login)

    wrong_types: tuple[object, ...] = ([], {})
    known = [
        (as_json({"clouds": {"mine": {**CLOUDS["clouds"]["mine"], "auth_type": wrong}}}), "mine")
        for wrong in wrong_types
    ]
    fuzz(check, mutated(CLOUDS).map(as_json) | st.binary(max_size=30), st.just("mine") | TEXTS, times=12, known=known)


def test_where_openstack_says_that_its_login_is(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from openstack.config import loader

    monkeypatch.setattr(loader, "CONFIG_SEARCH_PATH", [str(tmp_path / "here"), str(tmp_path)])
    file = tmp_path / "clouds.yaml"
    vendor = Vendor(response(200, json.dumps(RIGHT["login"]).encode()), logged_in)
    settings = {
        **{key: PROFILES["modelarts"][key] for key in ("provider", "endpoint", "params")},
        "credentials": "openstack",
        "cloud": "mine",
    }

    def check(url: str) -> None:
        mine = CLOUDS["clouds"]["mine"]
        file.write_bytes(as_json({"clouds": {"mine": {**mine, "auth": {**mine["auth"], "auth_url": url}}}}))
        fetched("login", vendor, settings)

    fuzz(
        check,
        TEXTS.map(lambda text: f"https://{text}") | TEXTS,
        times=12,
        known=[("https://",), ("http://[::1",), ("https://xn--a",), ("https://h#",)],
    )


ALIYUN: dict[str, Any] = {
    "current": "default",
    "profiles": [
        {"name": "default", "mode": "AK", "access_key_id": "LTAI", "access_key_secret": CANARY, "sts_token": ""}
    ],
}


def test_alibabas_file_of_any_content(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from alibabacloud_credentials.utils import auth_constant, auth_util

    from jupyter_tokens.providers.credentials import alibaba

    monkeypatch.setattr(auth_constant, "HOME", str(tmp_path))
    # Read at import, and none of this test's: no service is asked.
    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "true")
    (tmp_path / ".aliyun").mkdir()
    file = tmp_path / ".aliyun" / "config.json"

    def check(data: bytes) -> None:
        file.write_bytes(data)
        with typed(SecretError):
            key = alibaba.chain()
            assert CANARY not in repr(key)
            assert isinstance(key.id, str)
            assert isinstance(key.secret.reveal(), str)

    wrong = [
        {**ALIYUN, "profiles": [{**ALIYUN["profiles"][0], key: 5}]} for key in ("access_key_id", "access_key_secret")
    ]
    fuzz(check, mutated(ALIYUN).map(as_json), times=10, known=[(as_json(one),) for one in wrong])


def test_the_end_of_an_iam_token(fuzz: Fuzz) -> None:
    def check(text: str) -> None:
        with typed(ResponseError):
            assert require_time(response(201, b"")(), {"expires_at": text}, "expires_at").tzinfo is UTC

    fuzz(check, TEXTS | st.sampled_from(AWKWARD), times=60)
