"""EIAM ObtainApplicationToken: the stored tokens, their states and what is missing or unknown."""

from __future__ import annotations

import pytest

from jupyter_tokens.sandbox.eiam import APPLICATION, DISABLED, EXPIRED, INSTANCE, TOKEN

from .client import NOW, acs3, eiam

IDS = {"InstanceId": INSTANCE, "ApplicationId": APPLICATION, "ApplicationTokenId": TOKEN}
SAMPLE_ANSWER = {
    "InstanceId": "idaas_ki6hd7ihir4ybawogqk6kqxxxx",
    "ApplicationId": "app_na2r73a65s7o4zbs7nj5gxxxx",
    "ApplicationTokenId": "token_m7aso6v4efvu2otfq3jdzxxxx",
}


@pytest.mark.parametrize("ids", [IDS, SAMPLE_ANSWER], ids=["request", "answer"])
def test_the_samples_of_the_document_exist(url: str, ids: dict[str, str]) -> None:
    answer = eiam(url, ids)
    assert answer.status == 200
    token = answer.json()["ApplicationToken"]
    assert {name: token[name] for name in ids} == ids
    assert token["ApplicationTokenType"] == "bearer_token"
    assert token["ApplicationToken"].startswith("SATF")
    assert len(token["ApplicationToken"]) == 125
    assert token["Status"] == "enabled"
    assert token["ExpirationTime"] == (NOW + 86_400) * 1000
    assert token["CreateTime"] < token["LastUsedTime"] <= NOW * 1000


def test_the_stored_value_stays_the_same(url: str) -> None:
    assert eiam(url, IDS).json()["ApplicationToken"] == eiam(url, IDS).json()["ApplicationToken"]


def test_a_disabled_and_an_expired_one_come_with_200(url: str) -> None:
    disabled = eiam(url, {**IDS, "ApplicationTokenId": DISABLED})
    assert (disabled.status, disabled.json()["ApplicationToken"]["Status"]) == (200, "disabled")
    expired = eiam(url, {**IDS, "ApplicationTokenId": EXPIRED})
    assert expired.status == 200
    assert expired.json()["ApplicationToken"]["ExpirationTime"] < NOW * 1000


@pytest.mark.parametrize("name", IDS)
def test_a_missing_parameter_is_named(url: str, name: str) -> None:
    for rest in ({key: value for key, value in IDS.items() if key != name}, {**IDS, name: ""}):
        answer = eiam(url, rest)
        assert (answer.status, answer.code) == (400, f"Missing{name}")


def test_parameters_in_the_body_do_not_count(url: str) -> None:
    body = "&".join(f"{name}={value}" for name, value in IDS.items()).encode()
    assert eiam(url, {}, body=body, content_type="application/x-www-form-urlencoded").code == "MissingInstanceId"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("InstanceId", "Instance"), ("ApplicationId", "Application"), ("ApplicationTokenId", "ApplicationToken")],
)
def test_what_is_unknown_is_not_found(url: str, name: str, kind: str) -> None:
    answer = eiam(url, {**IDS, name: "nobody"})
    assert (answer.status, answer.code) == (404, f"ResourceNotFound.{kind}")


def test_only_a_post_to_the_root_with_this_action(url: str) -> None:
    assert eiam(url, IDS, "GET").code == "UnsupportedHTTPMethod"
    rpc = {"action": "ObtainApplicationToken", "version": "2021-12-01"}
    assert acs3(url, "POST", "/api", IDS, **rpc).code == "InvalidApi.NotFound"
    assert acs3(url, "POST", "/", IDS, action="CreateUser", version="2021-12-01").code == "InvalidApi.NotFound"
    assert acs3(url, "POST", "/", IDS, **{**rpc, "version": "2021-12-02"}).code == "InvalidVersion"
