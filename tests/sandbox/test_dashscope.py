"""DashScope: a temporary key, its seconds and its errors."""

from __future__ import annotations

import pytest

from .client import NOW, call, dashscope


@pytest.mark.parametrize(("query", "life"), [("", 60), ("?expire_in_seconds=1", 1), ("?expire_in_seconds=1800", 1800)])
def test_a_key_ends_when_it_was_asked_to(url: str, query: str, life: int) -> None:
    answer = dashscope(url, query).json()
    assert answer.pop("token").startswith("st-")
    assert answer == {"expires_at": NOW + life}


@pytest.mark.parametrize(
    "query", ["=0", "=1801", "=-1", "=1.5", "=soon", "=²", "=1&expire_in_seconds=2", "=", "=99999"]
)
def test_other_seconds_are_a_bad_request(url: str, query: str) -> None:
    answer = dashscope(url, f"?expire_in_seconds{query}".replace("²", "%C2%B2"))
    assert (answer.status, answer.code) == (400, "InvalidParameter")


def test_an_unknown_parameter_is_a_bad_request(url: str) -> None:
    assert dashscope(url, "?ExpireTime=60").code == "InvalidParameter"


def test_another_key_is_refused_before_anything_else(url: str) -> None:
    for answer in (dashscope(url, "?expire_in_seconds=0", "sk-other"), call(url, "POST", "/api/v1/tokens")):
        assert (answer.status, answer.code) == (401, "InvalidApiKey")
        assert answer.json()["request_id"]
