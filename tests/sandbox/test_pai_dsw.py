"""PAI-DSW GetToken: parameters, the token's end and a refusal that comes with 200."""

from __future__ import annotations

import pytest

from .client import NOW, Answer, acs3, dsw
from .test_pai_dlc import claims

DSW = {"InstanceId": "dsw-730abcdefghij"}


def instances(url: str, **query: str) -> Answer:
    return acs3(url, path="/api/v2/instances", query=query, action="ListInstances", version="2022-01-01")


@pytest.mark.parametrize(("extra", "life"), [({}, 3600), ({"ExpireTime": "60"}, 60), ({"ExpireTime": "0"}, 0)])
def test_the_token_ends_when_it_was_asked_to(url: str, extra: dict[str, str], life: int) -> None:
    answer = dsw(url, {**DSW, **extra})
    assert set(answer.json()) == {"RequestId", "Success", "Token"}
    assert answer.json()["Success"] is True
    assert claims(answer)["exp"] == NOW + life
    assert claims(answer)["instance_id"] == DSW["InstanceId"]


def test_both_types_and_every_audience(url: str) -> None:
    for kind in ("Access", "View"):
        assert dsw(url, {**DSW, "Type": kind, "Audience": "ThirdParty"}).json()["Success"] is True


@pytest.mark.parametrize("extra", [{"InstanceId": "dlc-1"}, {"Type": "Write"}, {"Type": ""}])
def test_what_the_service_refuses_comes_with_200(url: str, extra: dict[str, str]) -> None:
    answer = dsw(url, {**DSW, **extra})
    assert (answer.status, answer.code) == (200, "ValidationError")
    assert answer.json()["Success"] is False
    assert "Token" not in answer.json()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "MissingInstanceId"),
        ({"InstanceId": ""}, "MissingInstanceId"),
        ({**DSW, "ExpireTime": "-1"}, "InvalidExpireTime"),
        ({**DSW, "TargetType": "job"}, "InvalidTargetType"),
    ],
)
def test_a_bad_parameter_is_named(url: str, query: dict[str, str], code: str) -> None:
    answer = dsw(url, query)
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize("name", ["PageNumber", "PageSize"])
def test_a_bad_page_is_named_too(url: str, name: str) -> None:
    assert instances(url, **{name: "2"}).json()["Success"] is True
    answer = instances(url, **{name: "many"})
    assert (answer.status, answer.code) == (400, f"Invalid{name}")
    assert name in answer.json()["Message"]


def test_only_a_get(url: str) -> None:
    assert dsw(url, DSW, "POST").code == "InvalidApi.NotFound"
