"""Alibaba Cloud access keys, given and found by the vendor's own chain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_tokens.credentials.alibaba import access_key, chain
from jupyter_tokens.errors import SecretError
from jupyter_tokens.token import Secret

from ..doubles import CANARY, told


def test_a_given_key() -> None:
    secrets = {"access_key_id": Secret("AKID"), "access_key_secret": Secret("s")}
    key = access_key(secrets)
    assert (key.id, key.secret.reveal(), key.security_token) == ("AKID", "s", None)
    temporary = access_key({**secrets, "security_token": Secret("t")})
    assert temporary.security_token is not None
    assert temporary.security_token.reveal() == "t"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Sets what the vendor's library read from the environment when it was imported."""
    from alibabacloud_credentials.utils import auth_util

    def set_to(key_id: str | None, key_secret: str | None, token: str | None = None) -> None:
        monkeypatch.setattr(auth_util, "environment_access_key_id", key_id)
        monkeypatch.setattr(auth_util, "environment_access_key_secret", key_secret)
        monkeypatch.setattr(auth_util, "environment_security_token", token)

    monkeypatch.setattr(auth_util, "environment_cli_profile_disabled", "true")
    monkeypatch.setattr(auth_util, "environment_credentials_file", str(tmp_path / "none"))
    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "true")
    monkeypatch.setattr(auth_util, "environment_credentials_uri", None)
    return set_to


def test_the_chain_reads_the_environment(environment: Callable[..., None]) -> None:
    environment("AKID", CANARY)
    key = chain()
    assert (key.id, key.secret.reveal(), key.security_token) == ("AKID", CANARY, None)
    assert CANARY not in repr(key)


def test_the_chain_hands_on_a_temporary_key(environment: Callable[..., None]) -> None:
    environment("AKID", "s", CANARY)
    token = chain().security_token
    assert token is not None
    assert token.reveal() == CANARY


def test_a_chain_that_finds_nothing_says_what_to_do(environment: Callable[..., None]) -> None:
    environment(None, None)
    with pytest.raises(SecretError, match="found no access key") as caught:
        chain()
    assert caught.value.unsent
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in caught.value.hint


def test_a_failing_chain_is_told_by_its_kind_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from alibabacloud_credentials import client

    def fail() -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(client, "Client", fail)
    with pytest.raises(SecretError, match=r"\(RuntimeError\)") as caught:
        chain()
    assert CANARY not in told(caught.value)


def test_without_the_vendors_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alibabacloud_credentials.client", None)
    with pytest.raises(SecretError, match="alibabacloud-credentials") as caught:
        chain()
    assert "[alibaba]" in caught.value.hint
