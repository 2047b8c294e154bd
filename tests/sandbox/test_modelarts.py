"""ModelArts: instances, notebooks, and who may ask by which authentication."""

from __future__ import annotations

import re

import pytest

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sandbox.modelarts import FROZEN, INSTANCE, NOT_RUNNING

from .client import PROJECT, Answer, Clock, call, login, sdk_hmac

OTHER_PROJECT = "f" * 32


def token_path(instance: str = INSTANCE, project: str = PROJECT) -> str:
    return f"/v1/{project}/demanager/instances/{instance}/token"


def with_token(url: str, value: str, path: str = "") -> Answer:
    return call(url, "GET", path or token_path(), {"X-Auth-Token": value})


def test_the_instance_of_the_sample_has_a_token_of_the_samples_shape(url: str) -> None:
    assert INSTANCE == "6fa459ea-ee8a-3ca4-894e-db77e160355e"
    answer = sdk_hmac(url, token_path())
    assert answer.status == 200
    assert set(answer.json()) == {"token"}
    assert re.fullmatch("[0-9a-f]{32}", answer.json()["token"])


def test_the_notebook_has_the_same_token_and_a_url(url: str) -> None:
    notebook = sdk_hmac(url, f"/v1/{PROJECT}/notebooks/{INSTANCE}").json()
    assert notebook["token"] == sdk_hmac(url, token_path()).json()["token"]
    assert notebook["url"].startswith("https://")
    assert (notebook["id"], notebook["status"]) == (INSTANCE, "RUNNING")


@pytest.mark.parametrize(
    ("instance", "code", "spelling"),
    [
        ("DE-1", "ModelArts.6309", "error_message"),
        (NOT_RUNNING, "ModelArts.6327", "error_msg"),
        (FROZEN, "ModelArts.6326", "error_msg"),
    ],
)
def test_other_instances_end_with_400(url: str, instance: str, code: str, spelling: str) -> None:
    for path in (token_path(instance), f"/v1/{PROJECT}/notebooks/{instance}"):
        answer = sdk_hmac(url, path)
        assert (answer.status, answer.code) == (400, code)
        assert answer.json()[spelling].startswith("The instance ")
        assert answer.headers["x-request-id"]


def test_any_project_will_do_for_a_key_but_the_header_must_agree(url: str) -> None:
    assert sdk_hmac(url, token_path(project=OTHER_PROJECT)).status == 200
    agreeing = sdk_hmac(url, token_path(), headers={"X-Project-Id": PROJECT})
    assert agreeing.status == 200
    for project, header in ((OTHER_PROJECT, PROJECT), ("eu-de", "eu-de")):
        answer = sdk_hmac(url, token_path(project=project), headers={"X-Project-Id": header})
        assert (answer.status, answer.code) == (403, "ModelArts.0210")


def test_a_token_of_iam_opens_its_own_project_only(url: str) -> None:
    value = login(url).headers["x-subject-token"]
    assert with_token(url, value).status == 200
    elsewhere = with_token(url, value, token_path(project=OTHER_PROJECT))
    assert (elsewhere.status, elsewhere.code) == (403, "ModelArts.0210")


def test_a_token_without_a_project_does_not_do(url: str) -> None:
    for scope in (None, {"domain": {"name": "domain_name"}}):
        answer = with_token(url, login(url, scope=scope).headers["x-subject-token"])
        assert (answer.status, answer.code) == (400, "ModelArts.0204")


def test_no_an_unknown_and_an_expired_token(sandbox: Sandbox, clock: Clock) -> None:
    none = call(sandbox.url, "GET", token_path())
    assert (none.status, none.code) == (401, "ModelArts.0201")
    unknown = with_token(sandbox.url, "MIIunknown")
    assert (unknown.status, unknown.code) == (401, "ModelArts.0203")
    value = login(sandbox.url).headers["x-subject-token"]
    clock.now += 86_400
    expired = with_token(sandbox.url, value)
    assert (expired.status, expired.code) == (401, "ModelArts.0202")
    of_another_kind = sdk_hmac(sandbox.url, token_path(), now=clock.now).json()["token"]
    assert with_token(sandbox.url, of_another_kind).code == "ModelArts.0203"


@pytest.mark.parametrize("path", [f"/v1/{PROJECT}/vpcs", "/v1/", f"/v1/{PROJECT}/demanager/instances/a/b/token"])
def test_a_valid_signature_does_not_make_a_path_exist(url: str, path: str) -> None:
    answer = sdk_hmac(url, path)
    assert (answer.status, answer.code) == (404, "APIGW.0101")
    assert answer.json()["request_id"]


def test_only_get(url: str) -> None:
    assert sdk_hmac(url, token_path(), method="POST").code == "APIGW.0101"
