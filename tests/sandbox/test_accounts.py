"""Accounts: random by default, from a file by choice, never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.sandbox import Accounts


def test_what_a_file_leaves_out_gets_random_secrets(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({"alibaba": {"AK": "SK"}, "astra": ["bearer"]}), encoding="utf-8")
    first, second = Accounts.from_file(path), Accounts.from_file(path)
    assert first.alibaba == {"AK": "SK"}
    assert first.astra == ["bearer"]
    for name in ("huawei", "iam", "oneaccess", "id_tokens", "openid", "dashscope"):
        assert getattr(first, name)
        assert getattr(first, name) != getattr(second, name)


def test_repr_shows_neither_ids_nor_secrets() -> None:
    accounts = Accounts.random()
    assert repr(accounts) == (
        "Accounts(alibaba=1, huawei=1, iam=1, oneaccess=1, id_tokens=1, openid=1, astra=1, dashscope=1)"
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe{", "not JSON: it is not UTF-8"),
        (b"[]", "must be a JSON object"),
        (
            b'{"huawai": {}}',
            "unknown key 'huawai'; known keys: alibaba, huawei, iam, oneaccess, id_tokens, openid, astra, dashscope",
        ),
        (b'{"huawei": {}}', "'huawei' must be an object"),
        (b'{"iam": {"u": ""}}', "'iam' must be an object"),
        (b'{"alibaba": {"a": 7}}', "'alibaba' must be an object"),
        (b'{"oneaccess": ["secret-value"]}', "'oneaccess' must be an object"),
        (b'{"astra": "secret-value"}', "'astra' must be a list"),
        (b'{"dashscope": {}}', "'dashscope' must be a list"),
        (b'{"astra": []}', "'astra' must be a list"),
        (b'{"astra": ["\\ud800"]}', "'astra' must be a list"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_and_without_its_values(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "accounts.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="accounts") as caught:
        Accounts.from_file(path)
    assert complaint in str(caught.value)
    assert "secret-value" not in str(caught.value)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Accounts.from_file(tmp_path / "none.json")


@pytest.mark.parametrize("data", [None, 7, "text"])
def test_only_a_mapping_will_do(data: Any) -> None:
    with pytest.raises(ValueError, match="JSON object"):
        Accounts.from_mapping(data)
