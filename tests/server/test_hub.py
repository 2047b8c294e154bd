"""A server under a hub: the profiles of the hub's service beside its own, for panel, kernels and doctor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from jupyter_tokens.cli.checks import jupyter
from jupyter_tokens.clock import SystemClock
from jupyter_tokens.errors import HandleRefused, NotGranted, TokenError
from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.hub import SERVICE_VARIABLE, TOKEN_VARIABLE, HubServer
from jupyter_tokens.providers import catalogue
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.sources import hub as hub_source
from jupyter_tokens.sources import remote
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.hub import HubSource
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.sources.remote import RemoteSource

from ..service.conftest import ALICE, Hub, hub, user  # noqa: F401
from ..service.test_command import started
from .conftest import Call, told

GRANTS = {"shared": {"groups": ["physics"]}, "limited": {"groups": ["physics"]}, "oneaccess": {"groups": ["physics"]}}
ORIGIN = "the hub's token service"


@pytest.fixture
def service_config(tmp_path: Path, sandbox: Sandbox) -> Path:
    folder = tmp_path / "service"
    folder.mkdir()
    written = sandbox.profiles(folder)
    shared = {**written["oneaccess"], "env": "SHARED_TOKEN"}
    of_service = {"shared": shared, "limited": {**shared, "kernels": ["another"]}, "oneaccess": written["pai-dlc"]}
    write(folder, of_service)
    return folder


def write(folder: Path, profiles: dict[str, Any], **settings: Any) -> None:
    file = folder / "jupyter_tokens_config.json"
    settings = {"grants": GRANTS, "cache_max_age": 1, **settings}
    file.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}, "TokenService": settings}))
    file.chmod(0o600)


@pytest.fixture
def service(service_config: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:  # noqa: F811
    with started("--port", "0", JUPYTER_CONFIG_DIR=str(service_config)) as (process, [url]):
        monkeypatch.setenv(SERVICE_VARIABLE, url.rstrip("/"))
        monkeypatch.setenv(TOKEN_VARIABLE, ALICE)
        yield process


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_source, "REFRESH_SECONDS", 0.0)


# The server is started after the service, whose address it reads from its environment.
pytestmark = pytest.mark.usefixtures("service", "looks_at_once")


async def test_the_panel_lists_both(profiles: dict[str, Any], call: Call) -> None:
    listed = {entry["name"]: entry for entry in told(await call("GET", "profiles"))["profiles"]}
    assert listed.keys() == {*profiles, "shared", "limited"}
    assert listed["shared"]["origin"] == ORIGIN
    assert (listed["shared"]["provider"], listed["shared"]["env"]) == ("oneaccess", "SHARED_TOKEN")
    # Of two with the same name the server's own counts.
    assert (listed["oneaccess"]["origin"], listed["oneaccess"]["provider"]) == ("", "oneaccess")


async def test_requests_at_the_start_wait_for_the_list(by_proof: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_source, "REFRESH_SECONDS", 60.0)
    answers = await asyncio.gather(*(by_proof("token", {"profile": "shared"}) for _ in range(5)))
    assert [told(answer)["profile"] for answer in answers] == ["shared"] * 5


def test_a_refusal_while_the_list_is_read_makes_it_due_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = HubSource(HubServer(os.environ[SERVICE_VARIABLE], ALICE))
    source.refresh_profiles()
    read = hub_source._Service.granted

    def refuses(*_: object) -> None:
        raise NotGranted("Not any more.")

    def refused_meanwhile(service: hub_source._Service) -> dict[str, Any]:
        with pytest.raises(NotGranted):
            source.fetch(Key("shared"))
        return dict(read(service))

    monkeypatch.setattr(hub_source._Service, "fetch", refuses)
    monkeypatch.setattr(hub_source._Service, "granted", refused_meanwhile)
    monkeypatch.setattr(hub_source, "REFRESH_SECONDS", 60.0)
    source.refresh_profiles()
    assert (source.problem, source.refresh_due) == (None, True)
    source.close()


@pytest.mark.parametrize("known", [True, False], ids=["later", "at the start"])
async def test_while_the_service_hangs_this_server_answers_in_time_for_its_kernels(
    *, by_proof: Call, profiles: dict[str, Any], service: Any, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if known:
        await by_proof("profiles")
    service.send_signal(signal.SIGSTOP)
    try:
        monkeypatch.setattr(hub_source, "REFRESH_SECONDS", 60.0)
        # Much longer than it is, so that a busy machine does not matter here.
        monkeypatch.setattr(remote, "_QUICK_SECONDS", 10.0)
        began = time.monotonic()
        listed = told(await by_proof("profiles"))["profiles"]
        assert time.monotonic() - began < 9
    finally:
        service.send_signal(signal.SIGCONT)
    assert {entry["name"] for entry in listed} == {*profiles, *(["shared"] if known else [])}


async def test_an_error_of_a_newer_service_is_that_profiles_own(
    profiles: dict[str, Any], call: Call, by_proof: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = TokenError.from_dict({"message": "Another error.", "reason": "of a later version"})
    monkeypatch.setattr(HubSource, "profiles", lambda self: LocalSource.profiles(self).combined_with({"newer": newer}))
    for answer in (await call("GET", "profiles"), await by_proof("profiles")):
        listed = {entry["name"]: entry for entry in told(answer)["profiles"]}
        assert listed["newer"]["error"]["message"] == "Another error."
        assert listed.keys() == {*profiles, "newer"}


async def test_a_token_through_panel_and_kernel_is_one_call(call: Call, by_proof: Call, sandbox: Sandbox) -> None:
    shown = told(await call("POST", "profiles/shared/token", {"reveal": True}))
    given = told(await by_proof("token", {"profile": "shared"}))
    assert shown["value"] == given["value"]
    assert given["profile"] == "shared"
    assert sandbox.requests["oneaccess"] == 1
    listed = {entry["name"]: entry for entry in told(await by_proof("profiles"))["profiles"]}
    assert (listed["shared"]["state"], listed["shared"]["origin"]) == ("fresh", ORIGIN)


async def test_refresh_and_newer_than_reach_the_service(by_proof: Call, sandbox: Sandbox) -> None:
    first = told(await by_proof("token", {"profile": "shared"}))
    second = told(await by_proof("token", {"profile": "shared", "refresh": True}))
    assert first["value"] != second["value"]
    assert sandbox.requests["oneaccess"] == 2


async def test_a_forgotten_token_of_the_service_is_fetched_anew(call: Call, by_proof: Call, sandbox: Sandbox) -> None:
    first = told(await by_proof("token", {"profile": "shared"}))
    assert (await call("DELETE", "profiles/shared/token")).code == 204
    second = told(await by_proof("token", {"profile": "shared"}))
    assert first["value"] != second["value"]
    assert sandbox.requests["oneaccess"] == 2


class Behind(SystemClock):
    def now(self) -> float:
        return super().now() - 60


def test_a_token_of_a_service_whose_clock_is_ahead_is_forgotten_too() -> None:
    source = HubSource(HubServer(os.environ[SERVICE_VARIABLE], ALICE), clock=Behind())
    source.refresh_profiles()
    values = []
    for _ in range(2):
        values.append(source.get(source.key("shared")).reveal())
        source.forget_profile("shared")
    source.close()
    assert values[0] != values[1]


async def test_limits_of_the_services_profile_hold_here(by_proof: Call) -> None:
    refused = await by_proof("token", {"profile": "limited"})
    assert (refused.code, told(refused)["reason"]) == (403, "limited")


async def test_workers_of_a_kernel_ask_the_service(by_proof: Call, call: Call, sandbox: Sandbox) -> None:
    handle = Handle.new("shared", {})
    facts = {"id": handle.id, "key": handle.key.hex(), "profile": "shared", "lease": 60}
    issued = told(await by_proof("handles", facts))
    assert issued["url"].endswith("/services/jupyter-tokens/v1")
    worker = RemoteSource(replace(handle, url=issued["url"]))
    try:
        token = await asyncio.to_thread(worker.get, worker.key("shared"))
        assert token.reveal() == told(await by_proof("token", {"profile": "shared"}))["value"]
        assert sandbox.requests["oneaccess"] == 1
        renewed = told(await by_proof(f"handles/{handle.id}/renew", {}))
        assert (renewed["url"], renewed["uses"]) == (issued["url"], 0)
        assert (await by_proof(f"handles/{handle.id}/revoke", {})).code == 200
        with pytest.raises(HandleRefused, match="revoked"):
            await asyncio.to_thread(worker.get, worker.key("shared"), refresh=True)
        # It has ended at both.
        assert told(await call("GET", "handles")) == {"handles": []}
        assert told(await by_proof(f"handles/{handle.id}/renew", {}))["reason"] == "handle"
    finally:
        worker.close()


async def test_a_handle_from_before_a_restart_is_revoked_at_the_service(
    by_proof: Call, call: Call, extension: TokensExtension
) -> None:
    def issue() -> Handle:
        # Only the service knows it, as after a restart of this server.
        return extension.source.issue(Handle.new("shared", {}), 60)

    def ask(handle: Handle) -> None:
        worker = RemoteSource(handle)
        try:
            worker.get(worker.key("shared"))
        finally:
            worker.close()

    assert (await by_proof("profiles")).code == 200
    by_kernel, by_user = [await asyncio.to_thread(issue) for _ in range(2)]
    await asyncio.to_thread(ask, by_kernel)
    assert (await by_proof(f"handles/{by_kernel.id}/revoke", {})).code == 200
    assert (await call("DELETE", f"handles/{by_user.id}")).code == 204
    for handle in (by_kernel, by_user):
        with pytest.raises(HandleRefused, match="revoked"):
            await asyncio.to_thread(ask, handle)
    # Nor does the service know this one.
    assert (await by_proof(f"handles/{'0' * 32}/revoke", {})).code == 200
    assert (await call("DELETE", f"handles/{'0' * 32}")).code == 404


async def test_a_handle_that_the_service_does_not_issue_or_renew_is_not_in_use_here(
    by_proof: Call, call: Call, service: Any
) -> None:
    handles = [Handle.new("shared", {}) for _ in range(2)]
    issued, refused = ({"id": one.id, "key": one.key.hex(), "profile": "shared", "lease": 60} for one in handles)
    assert (await by_proof("profiles")).code == 200
    until = told(await by_proof("handles", issued))["lease_ends_at"]
    service.terminate()
    service.wait(30)
    assert told(await by_proof("handles", refused))["reason"] == "server_gone"
    assert told(await by_proof(f"handles/{issued['id']}/renew", {}))["reason"] == "server_gone"
    listed = told(await call("GET", "handles"))["handles"]
    assert [(one["id"], one["lease_ends_at"]) for one in listed] == [(issued["id"], until)]
    assert [one["kind"] for one in told(await call("GET", "history"))["history"]] == ["handle"]


async def test_a_provider_that_cannot_be_imported_here_leaves_the_granted_profiles(
    by_proof: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.provider_class.cache_clear()
    monkeypatch.setitem(sys.modules, "jupyter_tokens.providers.oneaccess", None)
    listed = told(await by_proof("profiles"))
    assert "shared" in {entry["name"] for entry in listed["profiles"]}
    assert set(listed["params"]) == {"pai-dlc"}


async def test_what_the_service_does_not_grant_it_issues_no_handle_for(
    by_proof: Call,
    hub: Hub,  # noqa: F811
) -> None:
    assert (await by_proof("token", {"profile": "shared"})).code == 200
    hub.owners[ALICE] = user("alice", "history")
    deadline = time.monotonic() + 60

    async def ask() -> HTTPResponse:
        handle = Handle.new("shared", {})
        return await by_proof("handles", {"id": handle.id, "key": handle.key.hex(), "profile": "shared"})

    # What the hub said before is used again for a second.
    while (refused := await ask()).code == 200:
        assert time.monotonic() < deadline
    assert refused.code in {403, 404}


async def test_what_the_service_forbids_to_show_stays_hidden(
    profiles: dict[str, Any],
    call: Call,
    by_proof: Call,
    service_config: Path,
    sandbox: Sandbox,
    hub: Hub,  # noqa: F811
) -> None:
    write(service_config, {"shared": sandbox.profiles(service_config)["oneaccess"]}, allow_reveal=False)
    with (
        started("--port", "0", JUPYTER_CONFIG_DIR=str(service_config)) as (_, [url]),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("jupyter_tokens.server.app.TokensExtension.service_url", url.rstrip("/"))
        refused = await call("POST", "profiles/shared/token", {"reveal": True})
        assert (refused.code, told(refused)["reason"]) == (403, "reveal_off")
        assert (await call("POST", "profiles/shared/token", {})).code == 200
        assert told(await call("POST", "profiles/oneaccess/token", {"reveal": True}))["value"]
        [shared] = [entry for entry in told(await by_proof("profiles"))["profiles"] if entry["origin"]]
        assert shared["may_reveal"] is False


async def test_who_leaves_the_group_loses_profile_and_cached_token(
    by_proof: Call,
    hub: Hub,  # noqa: F811
    extension: TokensExtension,
) -> None:
    assert (await by_proof("token", {"profile": "shared"})).code == 200
    hub.owners[ALICE] = user("alice")
    deadline = time.monotonic() + 30
    while (refused := await by_proof("token", {"profile": "shared"})).code == 200:
        assert time.monotonic() < deadline
    assert refused.code in {403, 404}
    assert extension.source.count_valid() == 0


async def test_without_the_service_what_lives_goes_on_and_the_panel_says_why(
    by_proof: Call, call: Call, service: Any
) -> None:
    first = told(await by_proof("token", {"profile": "shared"}))
    service.terminate()
    service.wait(30)
    assert told(await by_proof("token", {"profile": "shared"}))["value"] == first["value"]
    listed = told(await call("GET", "profiles"))
    assert "the hub's token service" in listed["problem"]["message"]
    assert "shared" in {entry["name"] for entry in listed["profiles"]}
    refused = await by_proof("token", {"profile": "shared", "refresh": True})
    assert told(refused)["reason"] == "server_gone"


async def test_inject_knows_the_variable(call: Call, kernel: Any) -> None:
    answer = await call("POST", f"kernels/{kernel.id}/inject", {"profile": "limited"})
    assert (answer.code, told(answer)["reason"]) in {(403, "limited"), (409, "kernel")}


async def test_nothing_is_created_and_nothing_proxied_through_it(call: Call, by_proof: Call) -> None:
    refused = await by_proof("token", {"profile": "shared", "create": True})
    assert refused.code >= 400
    assert (await call("GET", "proxy/shared/anything")).code == 404


def test_the_doctor_says_what_is_granted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    [found] = jupyter.hub_service(offline=False)
    assert (found.status, found.what.partition(" grants you ")[2]) == ("ok", "shared, limited, oneaccess")
    monkeypatch.setenv(TOKEN_VARIABLE, "hub-t0ken-of-nobody")
    [found] = jupyter.hub_service(offline=False)
    assert found.status == "fail"
    monkeypatch.delenv(TOKEN_VARIABLE)
    [found] = jupyter.hub_service(offline=False)
    assert (found.status, found.do) == ("fail", "start this server from the hub")
