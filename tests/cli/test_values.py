"""The ids that an API can list: `jupyter tokens values`, and Tab behind `NAME=`."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.completion import profile_then_params
from jupyter_tokens.cli.get import ValuesApp
from jupyter_tokens.errors import Forbidden, ParameterError, TokenError
from jupyter_tokens.sandbox import Sandbox, eiam, modelarts
from jupyter_tokens.sandbox.pai_dlc import DSW_INSTANCES
from jupyter_tokens.sources.local import LocalSource

from .machine import write_profiles
from .running import Run

APP = ValuesApp

LISTS = {"modelarts": "instance_id", "pai-dsw": "InstanceId", "eiam": "ApplicationTokenId"}
each = pytest.mark.parametrize(("profile", "param"), LISTS.items(), ids=LISTS)


@pytest.fixture(autouse=True)
def profiles(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> dict[str, Any]:
    """Those whose APIs can list, without the parameter in question, and one whose API cannot."""
    known = {**sandbox.profiles(tmp_path), **sandbox.neighbours(tmp_path)}
    profiles = {name: known[name] for name in (*LISTS, "oneaccess")}
    for name, param in LISTS.items():
        del profiles[name]["params"][param]
    write_profiles(config_dir, profiles)
    return profiles


def test_ids_with_what_they_stand_for(run: Run) -> None:
    found = {name: json.loads(run(name, param, "--json").out) for name, param in LISTS.items()}
    assert {one["id"]: one["label"] for one in found["pai-dsw"]} == {
        name: f"training {state.lower()}, {state}" for name, state in DSW_INSTANCES.items()
    }
    states = {one["id"]: one["label"] for one in found["modelarts"]}
    assert states[modelarts.INSTANCE] == "notebook-sandbox, RUNNING"
    assert states[modelarts.NOT_RUNNING].endswith("STOPPED")
    assert modelarts.OLD_INSTANCE not in states
    assert {one["id"]: one["label"] for one in found["eiam"]}[eiam.DISABLED] == "disabled"


@each
def test_a_table_for_people(run: Run, sandbox: Sandbox, profile: str, param: str) -> None:
    assert run(profile).out == f"{param}\n"
    done = run(profile, param)
    ids = [one["id"] for one in json.loads(run(profile, param, "--json").out)]
    assert (done.code, [line.split()[0] for line in done.out.splitlines()]) == (0, ids)
    # No token was handed out, and none is printed: ModelArts' answer has them all.
    assert sandbox.requests.total() == 0
    assert not [value for value in sandbox.issued if value in done.out]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "takes the name of a PROFILE"),
        (["oneaccess", "scope"], "no list of values for 'scope'"),
        (["modelarts", "project_id"], "It can list: instance_id."),
        (["eiam", "ApplicationTokenId", "ApplicationId= "], "ApplicationId must be a non-empty id"),
    ],
)
def test_what_cannot_be_listed(run: Run, sandbox: Sandbox, arguments: list[str], complaint: str) -> None:
    done = run(*arguments)
    assert (done.code, done.out, complaint in done.err) == (2, "", True)
    assert sandbox.requests.total() == 0


@each
def test_tab_offers_the_ids(sandbox: Sandbox, profile: str, param: str) -> None:
    offered = profile_then_params(Namespace(extra_args=[profile]), prefix=f"{param}=")
    assert len(offered) >= 2
    assert all(word.startswith(f"{param}=") and word != f"{param}=" for word in offered)
    # What an API cannot list is as before.
    assert f"{param}=" in profile_then_params(Namespace(extra_args=[profile]), prefix=param[:3])


def test_tab_is_quiet_if_the_api_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise Forbidden("No.")

    monkeypatch.setattr(LocalSource, "list_values", refuse)
    assert profile_then_params(Namespace(extra_args=["eiam"]), prefix="ApplicationTokenId=") == []


@pytest.fixture
def listed() -> Callable[[str, dict[str, Any]], list[Any]]:
    def listed(profile: str, given: dict[str, Any]) -> list[Any]:
        with closing(LocalSource()) as source:
            return source.list_values(profile, LISTS[profile], given)

    return listed


def test_a_parameter_that_is_needed_for_the_list(profiles: dict[str, Any], config_dir: Path, listed: Any) -> None:
    del profiles["eiam"]["params"]["ApplicationId"]
    write_profiles(config_dir, profiles)
    with pytest.raises(ParameterError, match="ApplicationId is missing"):
        listed("eiam", {})
    assert listed("eiam", {"ApplicationId": eiam.APPLICATION, "ApplicationTokenId": "x"})
    with pytest.raises(TokenError) as caught:
        listed("eiam", {"ApplicationId": "app_other"})
    assert (caught.value.code, bool(caught.value.request_id)) == ("ResourceNotFound.Application", True)


def test_a_key_that_is_refused(profiles: dict[str, Any], config_dir: Path, listed: Any) -> None:
    for name, setting in (("eiam", "access_key_id"), ("pai-dsw", "access_key_id"), ("modelarts", "access_key")):
        profiles[name][setting] = "NOBODY"
    write_profiles(config_dir, profiles)
    for name in LISTS:
        with pytest.raises(TokenError) as caught:
            listed(name, {})
        assert (caught.value.profile, caught.value.reason, bool(caught.value.request_id)) == (
            name,
            "unauthorized",
            True,
        )
