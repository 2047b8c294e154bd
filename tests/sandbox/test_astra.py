"""Astra: the token collection, its problems, and bearers that live as long as their resource."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from jupyter_tokens.sandbox.astra import ACCOUNT, OTHER_TOKEN, TOKEN, USER

from .client import BEARER, Answer, call, encoded

TOKENS = f"/accounts/{ACCOUNT}/core/v1/users/{USER}/tokens"
MEDIA = "application/astra-token+json"
NEW = {"type": "application/astra-token", "version": "1.0", "name": "My token"}


def astra(url: str, method: str = "GET", target: str = TOKENS, body: Any = None, bearer: str = BEARER) -> Answer:
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": MEDIA}
    return call(url, method, target, headers, "" if body is None else json.dumps(body))


def problem(answer: Answer) -> int:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == str(answer.status)
    assert {"type", "title", "detail", "correlationID"} <= set(body)
    return int(answer.code)


@pytest.mark.parametrize("identifier", [TOKEN, OTHER_TOKEN])
def test_a_resource_comes_without_its_value(url: str, identifier: str) -> None:
    answer = astra(url, target=f"{TOKENS}/{identifier}", body={})
    assert (answer.status, answer.headers["content-type"]) == (200, MEDIA)
    resource = answer.json()
    assert set(resource) == {"type", "version", "id", "name", "userID", "metadata"}
    assert (resource["id"], resource["userID"]) == (identifier, USER)
    assert resource["metadata"]["labels"] == []
    assert answer.headers["etag"] == astra(url, target=f"{TOKENS}/{identifier}").headers["etag"]


def test_a_created_value_is_told_once_and_works_until_its_resource_is_deleted(url: str) -> None:
    created = astra(url, "POST", body={**NEW, "metadata": {"labels": [{"name": "a", "value": "b"}]}})
    assert created.status == 201
    location, value = created.headers["location"], created.json()["token"]
    assert location == f"{TOKENS}/{created.json()['id']}"
    assert base64.b64decode(value, validate=True)
    got = astra(url, target=location, bearer=value)
    assert (got.status, got.json()["name"]) == (200, "My token")
    assert got.json()["metadata"]["labels"] == [{"name": "a", "value": "b"}]
    assert value not in got.body.decode()
    assert value not in astra(url).body.decode()
    assert astra(url, "DELETE", location).status == 204
    assert problem(astra(url, bearer=value)) == 4
    assert problem(astra(url, target=location)) == 2


def test_the_sample_can_be_deleted_too(url: str) -> None:
    assert astra(url, "DELETE", f"{TOKENS}/{TOKEN}").status == 204
    assert [item["id"] for item in astra(url).json()["items"]] == [OTHER_TOKEN]


def test_put_changes_name_and_labels_and_the_etag(url: str) -> None:
    path = f"{TOKENS}/{TOKEN}"
    before = astra(url, target=path)
    labels = [{"name": "x", "value": "y"}]
    answer = astra(url, "PUT", path, {**NEW, "name": "New Name", "id": TOKEN, "metadata": {"labels": labels}})
    assert (answer.status, answer.body) == (204, b"")
    after = astra(url, target=path)
    assert (after.json()["name"], after.json()["metadata"]["labels"]) == ("New Name", labels)
    assert after.json()["metadata"]["creationTimestamp"] == before.json()["metadata"]["creationTimestamp"]
    assert after.headers["etag"] != before.headers["etag"]
    assert astra(url, "PUT", path, {"type": NEW["type"], "version": "1.0"}).status == 204
    assert astra(url, target=path).json()["name"] == "New Name"


def test_put_cannot_move_a_resource(url: str) -> None:
    answer = astra(url, "PUT", f"{TOKENS}/{TOKEN}", {**NEW, "userID": ACCOUNT})
    assert problem(answer) == 10
    assert answer.status == 409


def test_who_may_not_look(url: str) -> None:
    assert problem(call(url, "GET", TOKENS)) == 3
    assert problem(call(url, "GET", TOKENS, {"Authorization": "Basic eDp5"})) == 3
    assert problem(astra(url, bearer="wrong")) == 4
    assert problem(astra(url, bearer="é")) == 4


@pytest.mark.parametrize(
    ("method", "target", "number"),
    [
        ("GET", f"{TOKENS}/{USER}", 2),
        ("PUT", f"{TOKENS}/{USER}", 1),
        ("DELETE", f"{TOKENS}/{USER}", 1),
        ("GET", TOKENS.replace(ACCOUNT, USER), 2),
        ("GET", TOKENS.replace(USER, ACCOUNT), 2),
        ("GET", f"{TOKENS}/{TOKEN.upper()}", 2),
        ("GET", f"/accounts/{ACCOUNT}/topology/v1/clouds", 2),
        ("PATCH", TOKENS, 11),
        ("POST", f"{TOKENS}/{TOKEN}", 11),
        ("GET", f"{TOKENS}/{TOKEN}?include=id", 6),
        ("POST", f"{TOKENS}?include=id", 6),
        ("GET", f"{TOKENS}?include=", 5),
        ("GET", f"{TOKENS}?limit=0", 5),
        ("GET", f"{TOKENS}?limit=1&limit=2", 5),
        ("GET", f"{TOKENS}?continue=abc", 5),
        ("GET", f"{TOKENS}?color=red", 5),
    ],
)
def test_what_is_not_there_or_not_supported(url: str, method: str, target: str, number: int) -> None:
    answer = astra(url, method, target, NEW)
    assert problem(answer) == number
    assert ("invalidParams" in answer.json()) == (number in (5, 6))


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ([], 8),
        ({}, 8),
        ({**NEW, "name": ""}, 8),
        ({**NEW, "name": "n" * 64}, 8),
        ({**NEW, "name": 7}, 8),
        ({**NEW, "name": "<script>"}, 9),
        ({**NEW, "name": "../x"}, 9),
        ({**NEW, "version": "2.0"}, 8),
        ({**NEW, "token": "mine"}, 8),
        ({**NEW, "metadata": []}, 8),
        ({**NEW, "metadata": {"color": "red"}}, 8),
        ({**NEW, "metadata": {"labels": [{"name": "a"}]}}, 8),
        ({**NEW, "metadata": {"labels": [{"name": "a", "value": 7}]}}, 8),
        ({**NEW, "metadata": {"labels": "a"}}, 8),
    ],
    ids=range(14),
)
def test_a_resource_that_does_not_conform(url: str, body: Any, number: int) -> None:
    answer = astra(url, "POST", body=body)
    assert problem(answer) == number
    assert answer.status == 400


def test_a_body_that_is_not_json(url: str) -> None:
    given = {"Authorization": f"Bearer {BEARER}"}
    for media, body in ((MEDIA, "{"), (MEDIA, "[" * 100_000), ("text/plain", json.dumps(NEW))):
        assert problem(call(url, "POST", TOKENS, {**given, "Content-Type": media}, body)) == 7


def test_a_list_with_and_without_include(url: str) -> None:
    plain = astra(url).json()
    assert plain["type"] == "application/astra-tokens"
    assert [item["id"] for item in plain["items"]] == [TOKEN, OTHER_TOKEN]
    assert "count" not in plain["metadata"]
    included = astra(url, target=f"{TOKENS}?include=id,name,nothing&count=true").json()
    assert included["items"][0] == [TOKEN, "Snapshot Script", None]
    assert included["metadata"]["count"] == 2


def test_a_list_in_order_filtered_and_in_parts(url: str) -> None:
    def ids(query: str) -> list[str]:
        return [item["id"] for item in astra(url, target=f"{TOKENS}?{query}").json()["items"]]

    assert ids("orderBy=name%20desc") == [OTHER_TOKEN, TOKEN]
    assert ids("orderBy=name&limit=1") == [TOKEN]
    assert ids("skip=1") == [OTHER_TOKEN]
    wanted = encoded("name eq 'Snapshot Taker'")
    assert ids(f"filter={wanted}") == [OTHER_TOKEN]
