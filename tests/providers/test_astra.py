"""Astra Control: a stored token's resource, and a new token."""

from __future__ import annotations

import json

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    NoValue,
    ParameterError,
    ResponseError,
    ServiceUnavailable,
    Unauthorized,
)

from ..doubles import CANARY, NOW, answer, drive, vector
from .conftest import Prepare, refuse_params, refuse_settings

SETTINGS = {"provider": "astra", "endpoint": "https://astra.example.com", "api_token": "ASTRATOKEN"}
IDS = {
    "account_id": "1f2e3d4c-5b6a-4789-8abc-def012345678",
    "user_id": "09f8933c-ad74-4f4e-8ef5-1ffaa0fb8e9b",
    "token_id": "822fab12-c224-4d1f-8118-5fb5d2def8b9",
}
OWNER = {key: IDS[key] for key in ("account_id", "user_id")}
RESOURCE = {
    "type": "application/astra-token",
    "version": "1.0",
    "id": IDS["token_id"],
    "name": "n",
    "userID": IDS["user_id"],
    "metadata": {"labels": [{"name": "a", "value": "b"}], "creationTimestamp": "2022-10-06T20:58:16Z"},
}
MEDIA = {"content_type": "application/astra-token+json"}


def test_retrieve_yields_the_resource_and_no_value(prepared: Prepare) -> None:
    (request,), token = prepared.fetch(SETTINGS, IDS, answer(200, {**RESOURCE, "token": CANARY}, **MEDIA))
    assert request.method == "GET"
    assert request.url.raw_path.decode() == vector("astra_get_token")["request"]["target"]
    assert request.headers["authorization"] == "Bearer ASTRATOKEN"
    assert not token.has_value
    with pytest.raises(NoValue):
        token.reveal()
    assert token.metadata == RESOURCE
    assert (token.expires_at, token.obtained_at) == (None, utc(NOW))


def test_create_is_the_recorded_call_and_yields_the_value(prepared: Prepare) -> None:
    provider, call = prepared(SETTINGS, {**OWNER, "name": "n"}, create=True)
    created = answer(201, {**RESOURCE, "token": CANARY}, **MEDIA)
    (request,), token = drive(provider.create(call), created)
    recorded = vector("astra_create_token")["request"]
    assert request.method == "POST"
    assert request.url.raw_path.decode().rpartition("/")[2] == recorded["path"].rpartition("/")[2] == "tokens"
    assert json.loads(request.content) == json.loads(recorded["body_text"])
    assert request.headers["content-type"] == "application/astra-token+json"
    assert token.reveal() == CANARY
    assert token.metadata == RESOURCE
    assert CANARY not in repr(token) + repr(token.metadata)


def test_ids_are_percent_encoded(prepared: Prepare) -> None:
    path = prepared.request(SETTINGS, {"account_id": "a b", "user_id": "u?", "token_id": "t#%"}).url.raw_path.decode()
    assert path == "/accounts/a%20b/core/v1/users/u%3F/tokens/t%23%25"


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("value", ["", "a/b", "..", 5])
def test_wrong_ids_never_become_a_call(name: str, value: object) -> None:
    refuse_params(SETTINGS, {**IDS, name: value}, name)


def test_retrieve_needs_a_token_id(prepared: Prepare) -> None:
    prepared.refused(ParameterError, SETTINGS, OWNER, match="token_id is missing")


@pytest.mark.parametrize("length", [0, 64])
def test_a_name_of_a_wrong_length_never_becomes_a_call(prepared: Prepare, length: int) -> None:
    provider, call = prepared(SETTINGS, {**OWNER, "name": "n" * length}, create=True)
    with pytest.raises(ParameterError, match="1 to 63") as caught:
        next(provider.create(call))
    assert caught.value.unsent


@pytest.mark.parametrize("length", [1, 63])
def test_a_name_of_any_other_length_does(prepared: Prepare, length: int) -> None:
    provider, call = prepared(SETTINGS, {**OWNER, "name": "n" * length}, create=True)
    assert json.loads(next(provider.create(call)).content)["name"] == "n" * length


PROBLEMS: list[tuple[int, int, type[ApiError]]] = [
    (1, 404, NotFound),
    (2, 404, NotFound),
    (3, 401, Unauthorized),
    (4, 401, Unauthorized),
    (5, 400, InvalidRequest),
    (6, 400, InvalidRequest),
    (7, 400, InvalidRequest),
    (8, 400, InvalidRequest),
    (9, 400, InvalidRequest),
    (10, 409, InvalidRequest),
    (11, 403, Forbidden),
]


@pytest.mark.parametrize("create", [False, True], ids=["retrieve", "create"])
@pytest.mark.parametrize(("number", "status", "kind"), PROBLEMS)
def test_documented_problems_are_mapped(
    prepared: Prepare, number: int, status: int, kind: type[ApiError], create: bool
) -> None:
    params = {**OWNER, "name": "n"} if create else IDS
    provider, call = prepared(SETTINGS, params, create=create)
    problem = {
        "type": f"https://astra.netapp.io/problems/{number}",
        "title": "Title",
        "detail": "Detail.",
        "status": str(status),
        "correlationID": "rid",
    }
    flow = provider.create(call) if create else provider.retrieve(call)
    with pytest.raises(ApiError) as caught:
        drive(flow, answer(status, problem, content_type="application/problem+json"))
    error = caught.value
    assert (type(error), error.code, error.status, error.request_id) == (kind, problem["type"], status, "rid")
    assert error.message == "Title: Detail."
    assert not error.retryable


def test_invalid_parameters_are_named(prepared: Prepare) -> None:
    problem = {
        "type": "https://astra.netapp.io/problems/5",
        "title": "Invalid query parameters",
        "detail": "See below.",
        "status": "400",
        "invalidParams": [{"name": "include", "reason": "no such field"}, "odd", *[{"name": "x", "reason": "y"}] * 9],
    }
    error = prepared.refused(
        InvalidRequest, SETTINGS, IDS, answer(400, problem), match=r"include: no such field\. x: y\."
    )
    assert error.message.count("x: y.") == 3


@pytest.mark.parametrize("body", ["<html/>", "", "[]", '{"title": 5, "detail": null, "type": []}'])
def test_a_refusal_that_is_no_problem_document(prepared: Prepare, body: str) -> None:
    error = prepared.refused(ServiceUnavailable, SETTINGS, IDS, answer(503, body, retry_after="2"))
    assert (error.code, error.retryable, error.retry_after) == (None, True, 2.0)


@pytest.mark.parametrize("change", [{"type": "application/astra-tokens"}, {"type": 5}, {"id": ""}, {"id": None}])
@pytest.mark.parametrize("create", [False, True], ids=["retrieve", "create"])
def test_an_answer_that_is_no_token_resource(prepared: Prepare, change: dict[str, object], create: bool) -> None:
    provider, call = prepared(SETTINGS, {**OWNER, "name": "n"} if create else IDS, create=create)
    given = {**RESOURCE, "token": CANARY, **change}
    flow = provider.create(call) if create else provider.retrieve(call)
    with pytest.raises(ResponseError) as caught:
        drive(flow, answer(201 if create else 200, given, x_request_id="rid"))
    assert caught.value.request_id == "rid"
    assert CANARY not in str(caught.value) + repr(caught.value)


def test_a_new_token_without_its_value(prepared: Prepare) -> None:
    provider, call = prepared(SETTINGS, {**OWNER, "name": "n"}, create=True)
    with pytest.raises(ResponseError, match="no field 'token' with a non-empty string"):
        drive(provider.create(call), answer(201, RESOURCE))


@pytest.mark.parametrize("key", ["endpoint", "api_token"])
def test_settings_that_are_needed(key: str) -> None:
    refuse_settings({**SETTINGS, key: ""}, f"key '{key}' is missing")


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    known = prepared(SETTINGS, IDS)[0].documented
    assert (known.method, known.path) == ("GET", "/accounts/{account_id}/core/v1/users/{user_id}/tokens/{token_id}")
