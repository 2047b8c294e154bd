"""ModelArts: instances, notebooks, and who may ask by which authentication."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sandbox.modelarts import FROZEN, INSTANCE, LEASE_SECONDS, LEASED, NOT_RUNNING, OLD_INSTANCE

from .client import PROJECT, Answer, Clock, call, login, sdk_hmac

OTHER_PROJECT = "f" * 32


def token_path(instance: str = INSTANCE, project: str = PROJECT) -> str:
    return f"/v1/{project}/demanager/instances/{instance}/token"


def notebook_path(instance: str = INSTANCE, project: str = PROJECT) -> str:
    return f"/v1/{project}/notebooks/{instance}"


both_paths = pytest.mark.parametrize("path", [token_path, notebook_path], ids=["demanager", "notebooks"])


def with_token(url: str, value: str, path: str = "") -> Answer:
    return call(url, "GET", path or token_path(), {"X-Auth-Token": value})


def test_the_instance_of_the_sample_has_a_token_of_the_samples_shape(url: str) -> None:
    assert INSTANCE == "6fa459ea-ee8a-3ca4-894e-db77e160355e"
    answer = sdk_hmac(url, token_path())
    assert answer.status == 200
    assert set(answer.json()) == {"token"}
    assert re.fullmatch("[0-9a-f]{32}", answer.json()["token"])


def test_the_notebook_has_a_token_of_the_samples_shape_and_a_url(url: str) -> None:
    notebook = sdk_hmac(url, notebook_path()).json()
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", notebook["token"])
    assert notebook["url"].startswith("https://")
    assert (notebook["id"], notebook["status"]) == (INSTANCE, "RUNNING")
    assert notebook["lease"]["enable"] is False


@both_paths
def test_a_token_stays_the_same_and_opens_its_instance(url: str, path: Callable[..., str]) -> None:
    token = sdk_hmac(url, path()).json()["token"]
    assert sdk_hmac(url, path()).json()["token"] == token
    there = call(url, "GET", "/_sandbox/whoami", {"Authorization": f"token {token}"})
    assert there.json() == {"api": "modelarts", "expires_at": None, "subject": {"instance_id": INSTANCE}}


@pytest.mark.parametrize(
    ("instance", "code", "spelling"),
    [
        ("DE-1", "ModelArts.6309", "error_message"),
        (NOT_RUNNING, "ModelArts.6327", "error_msg"),
        (FROZEN, "ModelArts.6326", "error_msg"),
    ],
)
def test_demanager_refuses_other_instances_with_400(url: str, instance: str, code: str, spelling: str) -> None:
    answer = sdk_hmac(url, token_path(instance))
    assert (answer.status, answer.code) == (400, code)
    assert answer.json()[spelling].startswith("The instance ")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("instance", ["DE-1", OLD_INSTANCE, "00000000-0000-0000-0000-000000000000"])
def test_notebooks_answers_404_for_what_it_does_not_have(url: str, instance: str) -> None:
    answer = sdk_hmac(url, notebook_path(instance))
    assert (answer.status, answer.code) == (404, "ModelArts.6309")
    assert answer.json()["error_msg"] == "The instance does not exist."
    assert answer.headers["x-request-id"]


def test_an_instance_of_the_days_before_notebooks(url: str) -> None:
    assert set(sdk_hmac(url, token_path(OLD_INSTANCE)).json()) == {"token"}


@pytest.mark.parametrize(("instance", "status"), [(NOT_RUNNING, "STOPPED"), (FROZEN, "FROZEN")])
def test_notebooks_shows_an_instance_in_any_state(url: str, instance: str, status: str) -> None:
    notebook = sdk_hmac(url, notebook_path(instance)).json()
    assert (notebook["id"], notebook["status"]) == (instance, status)
    assert notebook["token"]


def test_a_leased_notebook_stops_when_its_lease_ends(url: str, clock: Clock) -> None:
    lease = sdk_hmac(url, notebook_path(LEASED)).json()["lease"]
    assert lease == {
        "create_at": int(clock.now * 1000),
        "update_at": int(clock.now * 1000),
        "duration": LEASE_SECONDS * 1000,
        "enable": True,
        "type": "timing",
    }
    for left, status in ((1, "RUNNING"), (0, "STOPPED")):
        clock.now = lease["create_at"] / 1000 + LEASE_SECONDS - left
        assert sdk_hmac(url, notebook_path(LEASED), now=clock.now).json()["status"] == status
    assert sdk_hmac(url, token_path(LEASED), now=clock.now).code == "ModelArts.6327"


@both_paths
def test_any_project_will_do_for_a_key_but_the_header_must_agree(url: str, path: Callable[..., str]) -> None:
    assert sdk_hmac(url, path(project=OTHER_PROJECT)).status == 200
    agreeing = sdk_hmac(url, path(), headers={"X-Project-Id": PROJECT})
    assert agreeing.status == 200
    for project, header in ((OTHER_PROJECT, PROJECT), ("eu-de", "eu-de")):
        answer = sdk_hmac(url, path(project=project), headers={"X-Project-Id": header})
        assert (answer.status, answer.code) == (403, "ModelArts.0210")


@both_paths
def test_a_token_of_iam_opens_its_own_project_only(url: str, path: Callable[..., str]) -> None:
    value = login(url).headers["x-subject-token"]
    assert with_token(url, value, path()).status == 200
    elsewhere = with_token(url, value, path(project=OTHER_PROJECT))
    assert (elsewhere.status, elsewhere.code) == (403, "ModelArts.0210")


@both_paths
def test_a_token_without_a_project_does_not_do(url: str, path: Callable[..., str]) -> None:
    for scope in (None, {"domain": {"name": "domain_name"}}):
        answer = with_token(url, login(url, scope=scope).headers["x-subject-token"], path())
        assert (answer.status, answer.code) == (400, "ModelArts.0204")


@both_paths
def test_no_an_unknown_and_an_expired_token(sandbox: Sandbox, clock: Clock, path: Callable[..., str]) -> None:
    none = call(sandbox.url, "GET", path())
    assert (none.status, none.code) == (401, "ModelArts.0201")
    unknown = with_token(sandbox.url, "MIIunknown", path())
    assert (unknown.status, unknown.code) == (401, "ModelArts.0203")
    value = login(sandbox.url).headers["x-subject-token"]
    clock.now += 86_400
    expired = with_token(sandbox.url, value, path())
    assert (expired.status, expired.code) == (401, "ModelArts.0202")
    of_another_kind = sdk_hmac(sandbox.url, path(), now=clock.now).json()["token"]
    assert with_token(sandbox.url, of_another_kind, path()).code == "ModelArts.0203"


@pytest.mark.parametrize("path", [f"/v1/{PROJECT}/vpcs", "/v1/", f"/v1/{PROJECT}/demanager/instances/a/b/token"])
def test_a_valid_signature_does_not_make_a_path_exist(url: str, path: str) -> None:
    answer = sdk_hmac(url, path)
    assert (answer.status, answer.code) == (404, "APIGW.0101")
    assert answer.json()["request_id"]


@both_paths
def test_only_get(url: str, path: Callable[..., str]) -> None:
    assert sdk_hmac(url, path(), method="POST").code == "APIGW.0101"
