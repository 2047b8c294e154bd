"""Huawei Cloud's and T Cloud's credentials."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.provider import EnvCredentialProvider, ProfileCredentialProvider

from jupyter_tokens.errors import SecretError
from jupyter_tokens.providers.credentials.huawei import IamLogin, IamToken, access_key, chain, login_request
from jupyter_tokens.providers.signing.canonical import AccessKey
from jupyter_tokens.token import Secret

from ...doubles import CANARY, NOW, Clock, told, vector


def login(endpoint: str = "https://iam.example.com") -> IamLogin:
    return IamLogin(endpoint, "user_name", Secret("user_password"), "domain_name")


def test_a_given_key() -> None:
    secrets = {"access_key": Secret("AKID"), "secret_key": Secret("s")}
    key = access_key(secrets)
    assert (key.id, key.secret.reveal(), key.security_token) == ("AKID", "s", None)
    temporary = access_key({**secrets, "security_token": Secret("t")})
    assert temporary.security_token is not None
    assert temporary.security_token.reveal() == "t"


@pytest.mark.parametrize("end", ["", "/", "/v3", "/v3/"])
def test_the_login_goes_to_keystone_whichever_way_the_endpoint_is_written(end: str) -> None:
    request = login_request(login(f"https://iam.example.com{end}"), "p", {"User-Agent": "me"})
    assert request.headers["user-agent"] == "me"
    assert (request.method, str(request.url)) == ("POST", "https://iam.example.com/v3/auth/tokens")


def test_the_login_is_the_recorded_one_but_for_its_scope() -> None:
    body = json.loads(login_request(login(), "project", {}).content)
    recorded = json.loads(vector("otc_iam_token")["request"]["body_text"])
    assert body["auth"]["identity"] == recorded["auth"]["identity"]
    assert body["auth"]["scope"] == {"project": {"id": "project"}}
    assert login_request(login(), "p", {}).headers["content-type"] == "application/json"


def test_a_cached_token_serves_until_a_minute_before_its_end() -> None:
    clock, held = Clock(), login()
    assert held.cached("p", clock) is None
    held.tokens["p"] = IamToken(Secret("t"), NOW + 61)
    assert held.cached("p", clock) is held.tokens["p"]
    assert held.cached("other", clock) is None
    clock.advance(1)
    assert held.cached("p", clock) is None


def test_the_same_login_is_known_by_all_that_it_says() -> None:
    assert login().same_as(login())
    for change in ({"endpoint": "x"}, {"username": "x"}, {"password": Secret("x")}, {"domain_name": "x"}):
        assert not login().same_as(replace(login(), **change))


def test_nothing_shows_a_secret() -> None:
    held = replace(login(), password=Secret(CANARY))
    held.tokens["p"] = IamToken(Secret(CANARY), NOW)
    shown = [held, held.tokens, held.tokens["p"], dir(held)]
    assert CANARY not in repr(shown) + f"{held}" + json.dumps(shown, default=str)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`~/.huaweicloud/credentials` of an empty home, not written yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / ".huaweicloud").mkdir()
    return tmp_path / ".huaweicloud" / "credentials"


def write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def shown(key: AccessKey) -> tuple[str, str, str | None]:
    return key.id, key.secret.reveal(), key.security_token.reveal() if key.security_token else None


def of_the_sdk(provider: Any) -> tuple[str, str, str | None]:
    credentials = provider.get_basic().get_credentials()
    return credentials.ak, credentials.sk, credentials.security_token


@pytest.mark.parametrize("temporary", [{}, {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "sts"}], ids=["lasting", "temporary"])
def test_the_chain_reads_the_environment_as_the_sdk_does(
    file: Path, monkeypatch: pytest.MonkeyPatch, temporary: dict[str, str]
) -> None:
    write(file, "[basic]\nak = FILE\nsk = s\n")
    for name, value in {"HUAWEICLOUD_SDK_AK": "AKID", "HUAWEICLOUD_SDK_SK": CANARY, **temporary}.items():
        monkeypatch.setenv(name, value)
    assert shown(chain()) == of_the_sdk(EnvCredentialProvider)
    assert shown(chain()) == ("AKID", CANARY, temporary.get("HUAWEICLOUD_SDK_SECURITY_TOKEN"))


@pytest.mark.parametrize(
    "text",
    [
        f"[basic]\nak = AKID\nsk = {CANARY}\n",
        f"[global]\nak = OTHER\nsk = x\n[basic]\nAK: AKID\nsk= {CANARY}\nsecurity_token = sts\nproject_id = p\n",
        f"[DEFAULT]\nak = AKID\n[basic]\nsk = {CANARY}%%\n",
    ],
    ids=["lasting", "temporary", "default"],
)
def test_the_chain_reads_the_file_as_the_sdk_does(file: Path, text: str) -> None:
    write(file, text)
    assert shown(chain()) == of_the_sdk(ProfileCredentialProvider)
    assert chain().id == "AKID"


def test_the_variable_that_names_another_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, "[basic]\nak = HOME\nsk = s\n")
    write(tmp_path / "other", f"[basic]\nak = OTHER\nsk = {CANARY}\n")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(tmp_path / "other"))
    assert shown(chain()) == of_the_sdk(ProfileCredentialProvider) == ("OTHER", CANARY, None)


def test_half_a_key_in_the_environment_gives_way_to_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "HALF")
    write(file, f"[basic]\nak = AKID\nsk = {CANARY}\n")
    assert chain().id == "AKID"


@pytest.mark.parametrize("text", [None, "", "[global]\nak = a\nsk = s\n", "[basic]\nak = a\n", "[basic]\nsk = s\n"])
def test_a_chain_that_finds_nothing_says_where_it_looked(file: Path, text: str | None) -> None:
    if text is not None:
        write(file, text)
    with pytest.raises(SecretError, match="found no access key") as caught:
        chain()
    assert caught.value.unsent
    for name in ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", str(file), "[basic]", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"):
        assert name in caught.value.hint


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (f"{CANARY}\n".encode(), "MissingSectionHeaderError"),
        (f"[basic]\n{CANARY}\n".encode(), "ParsingError"),
        (f"[basic]\nak = a\nsk = %({CANARY})s\n".encode(), "InterpolationMissingOptionError"),
        (f"[basic]\nsk = {CANARY}".encode() + b"\xff", "is not UTF-8 text"),
        (f"[basic]\nsk = {CANARY}".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_never_quoted(file: Path, data: bytes, problem: str) -> None:
    file.touch(mode=0o600)
    file.write_bytes(data)
    with pytest.raises(SecretError) as caught:
        chain()
    assert str(file) in caught.value.message
    assert problem in caught.value.message
    assert CANARY not in told(caught.value)
    assert caught.value.__context__ is None


def test_a_folder_in_the_place_of_the_file(file: Path) -> None:
    file.mkdir()
    with pytest.raises(SecretError, match="cannot be read"):
        chain()


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX'")
def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    write(file, f"[basic]\nak = a\nsk = {CANARY}\n")
    file.chmod(0o644)
    with pytest.raises(SecretError, match=r"others can access \(mode 0644\)") as caught:
        chain()
    assert caught.value.hint.startswith(f"Run: chmod 600 {file}")
    assert CANARY not in told(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX'")
def test_a_file_that_its_group_can_read_is_read_with_a_warning(file: Path) -> None:
    write(file, "[basic]\nak = a\nsk = s\n")
    file.chmod(0o440)
    with pytest.warns(UserWarning, match="its group can read it"):
        assert shown(chain()) == ("a", "s", None)


def test_a_file_with_a_byte_order_mark(file: Path) -> None:
    write(file, "\ufeff[basic]\nak = a\nsk = s\n")
    assert shown(chain()) == ("a", "s", None)
