"""PAI-DLC GetToken: parameters, the token's shape and its end."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from .client import NOW, Answer, acs3, acs3_request, raw_request, send


def claims(answer: Answer) -> dict[str, Any]:
    header, content, signature = answer.json()["Token"].split(".")
    assert header == "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # as on the vendor's page
    assert signature
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    return decoded


@pytest.mark.parametrize(("query", "life"), [({}, 604_800), ({"ExpireTime": "60"}, 60), ({"ExpireTime": "0"}, 0)])
def test_the_token_ends_when_it_was_asked_to(url: str, query: dict[str, str], life: int) -> None:
    answer = acs3(url, query=query)
    assert set(answer.json()) == {"RequestId", "Token"}
    assert claims(answer)["exp"] == NOW + life
    assert claims(answer)["iat"] == NOW


def test_every_target_exists_and_both_types(url: str) -> None:
    for kind in ("job", "tensorboard"):
        content = claims(acs3(url, query={"TargetType": kind, "TargetId": "any thing/é"}))
        assert (content["target_type"], content["target_id"]) == (kind, "any thing/é")


def test_the_settings_of_the_sdk_are_known(url: str) -> None:
    settings = {"TokenSettings.EnableCrossAccountAccess": "True", "TokenSettings.EnableLogDownloadJob": "False"}
    assert acs3(url, query=settings).status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"TargetType": "pod"}, "InvalidTargetType"),
        ({"TargetType": ""}, "InvalidTargetType"),
        ({"ExpireTime": "-1"}, "InvalidExpireTime"),
        ({"ExpireTime": "1.5"}, "InvalidExpireTime"),
        ({"ExpireTime": "soon"}, "InvalidExpireTime"),
        ({"ExpireTime": "²"}, "InvalidExpireTime"),
        ({"ExpireTime": "99999999999"}, "InvalidExpireTime"),
        ({"Expiretime": "60"}, "InvalidExpiretime"),
        ({"a-b": "60"}, "InvalidParameter"),
        ({"TokenSettings.Other": "True"}, "InvalidTokenSettings.Other"),
        ({"TokenSettings.EnableLogDownloadJob": "1"}, "InvalidTokenSettings.EnableLogDownloadJob"),
    ],
)
def test_a_bad_parameter_is_named(url: str, query: dict[str, str], code: str) -> None:
    answer = acs3(url, query=query)
    assert (answer.status, answer.code) == (400, code)


def test_a_parameter_given_twice_is_refused(url: str) -> None:
    # The SDK encodes values but not names, and so this name signs two parameters.
    method, _, headers = acs3_request(url, query={"ExpireTime=1&ExpireTime": "2"})
    answer = send(url, raw_request(method, "/api/v1/tokens?ExpireTime=1&ExpireTime=2", headers))
    assert (answer.status, answer.code) == (400, "InvalidExpireTime")
