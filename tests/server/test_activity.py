from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from jupyter_events.yaml import load
from tornado.web import HTTPError

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server import activity
from jupyter_tokens.server.activity import KINDS, MAX_HISTORY, SCHEMA_ID
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.kernel_push import Failed, Injector, Outcome

from .conftest import KERNEL_KEY, SECRETS, Call, Kernel, told

Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def events(jp_serverapp: Any) -> Events:
    """The events of this server, by kind."""
    seen: Events = []

    async def listen(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        seen.append((schema_id.split("/")[-2], data))

    for kind in KINDS:
        jp_serverapp.event_logger.add_listener(schema_id=SCHEMA_ID.format(kind=kind), listener=listen)
    return seen


async def settled(jp_serverapp: Any) -> None:
    """Until what was told from threads has reached the loop, and all listeners have been told."""
    await asyncio.sleep(0)
    while jp_serverapp.event_logger._active_listeners:
        await asyncio.gather(*jp_serverapp.event_logger._active_listeners)


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_have_no_room_for_a_value(kind: str) -> None:
    schema = load(Path(activity.__file__).parent / "events" / f"{kind}.yaml")
    assert schema["$id"] == SCHEMA_ID.format(kind=kind)
    assert schema["additionalProperties"] is False
    assert not {"value", "token", "secret"} & set(schema["properties"])
    assert set(schema["required"]) == set(schema["properties"])


async def test_fetched_served_and_revealed(
    *, call: Call, events: Events, profiles: Any, jp_serverapp: Any, by_proof: Call, kernel: Kernel
) -> None:
    await call("POST", "profiles/oneaccess/token")
    await call("POST", "profiles/oneaccess/token", {"reveal": True})
    await by_proof("token", {"profile": "oneaccess"})
    await settled(jp_serverapp)
    kinds = sorted(kind for kind, _ in events)
    assert kinds == ["fetched", "held", "revealed", "served", "served", "served"]
    assert [data for kind, data in events if kind == "held"] == [{"kernel_id": kernel.id, "profiles": ["oneaccess"]}]
    fetched = next(data for kind, data in events if kind == "fetched")
    assert (fetched["profile"], fetched["provider"]) == ("oneaccess", "oneaccess")
    assert fetched["seconds"] >= 0
    served = [data for kind, data in events if kind == "served"]
    assert [(data["to"], data["cached"], data["kernel_id"]) for data in served] == [
        ("browser", False, None),
        ("browser", True, None),
        ("kernel", True, kernel.id),
    ]
    assert served[0]["user"]
    assert served[2]["user"] is None


async def test_forgotten(call: Call, events: Events, profiles: Any, jp_serverapp: Any) -> None:
    await call("DELETE", "profiles/oneaccess/token")
    await settled(jp_serverapp)
    ((kind, data),) = events
    assert (kind, data["profile"], data["kernel_id"]) == ("forgotten", "oneaccess", None)


async def test_failed(call: Call, events: Events, profiles: Any, sandbox: Sandbox, jp_serverapp: Any) -> None:
    sandbox.plan({"api": "pai-dlc", "kind": "401"})
    answer = told(await call("POST", "profiles/pai-dlc/token"))
    await settled(jp_serverapp)
    ((kind, data),) = events
    assert (kind, data["reason"], data["retryable"]) == ("failed", "unauthorized", False)
    assert (data["code"], data["request_id"]) == (answer["code"], answer["request_id"])
    assert data["request_id"]


async def test_refused_names_no_profile_that_does_not_exist(
    *, call: Call, events: Events, profiles: Any, kernel: Kernel, jp_serverapp: Any, write_profiles: Any
) -> None:
    await call("POST", "profiles/oneaccess/token", headers={})
    await call("POST", "profiles/a-token-in-the-wrong-place/token", headers={})
    await call("POST", f"kernels/{kernel.id}/token", b"{}", headers={})
    write_profiles({}).write_text("{")
    jp_serverapp.web_app.settings["jupyter_tokens"].source.expire_config()
    await call("POST", "profiles/oneaccess/token", headers={})
    await settled(jp_serverapp)
    assert [kind for kind, _ in events] == ["refused"] * 4
    assert [data["profile"] for _, data in events] == ["oneaccess", None, None, None]
    assert [data["reason"] for _, data in events] == ["http", "http", "proof", "http"]
    assert events[2][1]["kernel_id"] == kernel.id


async def test_injected(
    *, call: Call, profiles: Any, events: Events, jp_serverapp: Any, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.reachable()
    for outcome in (Failed("no"), Outcome(None, "kernel")):
        monkeypatch.setattr(Injector, "run", AsyncMock(side_effect=[outcome]))
        await call("POST", f"kernels/{kernel.id}/inject", {"profile": "oneaccess"})
    await settled(jp_serverapp)
    (data,) = (data for kind, data in events if kind == "injected")
    assert (data["profile"], data["kernel_id"]) == ("oneaccess", kernel.id)
    assert data["user"]


async def test_the_log_tells_the_same(
    call: Call, profiles: Any, caplog: pytest.LogCaptureFixture, jp_serverapp: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    await call("POST", "profiles/oneaccess/token", {"reveal": True})
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("jupyter_tokens ")]
    assert [line.split()[1] for line in lines] == ["fetched", "revealed", "served"]
    assert json.loads(lines[1].split(" ", 2)[2])["profile"] == "oneaccess"


async def test_served_is_told_only_to_who_asks_for_details(
    call: Call, profiles: Any, caplog: pytest.LogCaptureFixture, jp_serverapp: Any
) -> None:
    jp_serverapp.log.setLevel(logging.INFO)
    await call("POST", "profiles/oneaccess/token")
    assert "jupyter_tokens served" not in caplog.text


async def test_telling_never_fails(
    *, call: Call, extension: TokensExtension, profiles: Any, monkeypatch: pytest.MonkeyPatch, jp_serverapp: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def broken(**_: Any) -> None:
        raise ValueError(SECRETS["oneaccess"])

    monkeypatch.setattr(jp_serverapp.event_logger, "emit", broken)
    assert (await call("POST", "profiles/oneaccess/token")).code == 200
    assert "an event was not emitted: ValueError" in caplog.text
    assert SECRETS["oneaccess"] not in caplog.text
    monkeypatch.setattr(extension.activity, "fetched", broken)
    assert (await call("POST", "profiles/pai-dlc/token")).code == 200


async def test_a_request_whose_user_is_unknown_is_answered(
    call: Call, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def get_user(_: Any) -> None:
        raise HTTPError(403)

    # Jupyter then raises an error when it is asked for the request's user.
    monkeypatch.setattr(jp_serverapp.identity_provider, "get_user", get_user)
    refused = await call("GET", "profiles")
    assert (refused.code, told(refused)["reason"]) == (403, "http")
    assert "an event was not reported: RuntimeError" in caplog.text


async def test_no_secret_and_no_token_in_logs_events_and_errors(
    *,
    call: Call,
    by_proof: Call,
    events: Events,
    profiles: Any,
    sandbox: Sandbox,
    extension: TokensExtension,
    jp_serverapp: Any,
    jp_fetch: Any,
    caplog: pytest.LogCaptureFixture,
    write_profiles: Any,
    tmp_path: Path,
) -> None:
    """A run through everything, each with every fault."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.setLevel(logging.DEBUG)
    extension.allow_edit = True
    write_profiles({name: {**profile, "timeout": 0.4} for name, profile in profiles.items()})
    tokens: set[str] = set()
    answers: list[str] = []
    names = ["modelarts", "pai-dlc", "oneaccess", "astra", "eiam"]

    def keep(response: Any) -> None:
        if response.code < 400 and response.body:
            value = told(response).pop("value", None)
            tokens.update([value] if value else [])
            answers.append(response.body.decode().replace(json.dumps(value), ""))
        else:
            answers.append(response.body.decode() + str(response.headers))

    for name in names:
        for body in ({}, {"reveal": True}, {"refresh": True}, {"params": {"nothing": "x"}}):
            keep(await call("POST", f"profiles/{name}/token", body))
        keep(await by_proof("token", {"profile": name}))
        keep(await by_proof("token", {"profile": name, "create": True, "params": {"name": "x"}}))
        for kind in ("401", "throttle", "garbage", "html", "reset", "wrong-types", "redirect", "500", "truncated"):
            sandbox.plan({"api": name, "kind": kind, "times": None})
            keep(await call("POST", f"profiles/{name}/token", {"refresh": True, "reveal": True}))
            keep(await by_proof("token", {"profile": name, "refresh": True}))
            sandbox.clear_faults()
    proxied = await call("POST", "proxy/oneaccess/api/v2/tenant/token?grant_type=client_credentials")
    tokens.add(json.loads(proxied.body)["access_token"])
    keep(await call("POST", "proxy/oneaccess/another/path"))
    keep(await call("GET", "profiles"))
    keep(await call("GET", "providers"))
    keep(await by_proof("profiles"))
    literal = {"provider": "oneaccess", "endpoint": "https://x.example", "client_id": "i"}
    keep(await call("PUT", "profiles/x", {**literal, "client_secret": SECRETS["oneaccess"]}))
    keep(await call("DELETE", "profiles/x"))
    keep(await call("POST", "profiles/oneaccess/token", headers={}))
    write_profiles({"oneaccess": {**literal, "client_secret": SECRETS["oneaccess"], "wrong": 1}})
    extension.source.expire_config()
    keep(await call("GET", "profiles"))
    metrics = (await jp_fetch("metrics")).body.decode()
    await settled(jp_serverapp)
    assert len(tokens) >= 4
    searched = "\n".join([caplog.text, json.dumps(events), metrics, *answers])
    assert "jupyter_tokens served" in searched
    for secret in [*SECRETS.values(), KERNEL_KEY.decode(), *tokens]:
        # Nor a beginning of it that would narrow it down.
        assert secret[:12] not in searched


async def test_the_history_says_who_got_what_the_newest_first(
    *, call: Call, profiles: Any, by_proof: Call, kernel: Kernel
) -> None:
    await call("POST", "profiles/oneaccess/token")
    await call("POST", "profiles/oneaccess/token", {"reveal": True})
    value = told(await by_proof("token", {"profile": "oneaccess"}))["value"]
    await call("DELETE", "profiles/oneaccess/token")
    answer = await call("GET", "history")
    entries = told(answer)["history"]
    assert [(entry["kind"], entry["kernel_id"], entry["to"]) for entry in entries] == [
        ("forgotten", None, None),
        ("served", kernel.id, "kernel"),
        ("revealed", None, None),
        ("fetched", None, None),
    ]
    assert {entry["profile"] for entry in entries} == {"oneaccess"}
    assert entries == sorted(entries, key=lambda entry: entry["at"], reverse=True)
    assert value not in answer.body.decode()


async def test_the_history_has_an_end(call: Call, profiles: Any) -> None:
    for _ in range(MAX_HISTORY):
        await call("DELETE", "profiles/oneaccess/token")
    await call("DELETE", "profiles/astra/token")
    entries = told(await call("GET", "history"))["history"]
    assert len(entries) == MAX_HISTORY
    assert [entry["profile"] for entry in entries[:2]] == ["astra", "oneaccess"]
