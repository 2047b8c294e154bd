"""Who gets what of the service: by the hub's word, by group and by scope; every route with every kind of caller."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jupyter_events.yaml import load
from prometheus_client.parser import text_string_to_metric_families
from tornado.web import RequestHandler

from jupyter_tokens._util.threads import THREADS
from jupyter_tokens.errors import ConfigurationError
from jupyter_tokens.protocol.records import MemoryRecords
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.service import app
from jupyter_tokens.service.activity import Audit
from jupyter_tokens.service.app import ROUTES, TokenService
from jupyter_tokens.service.callers import STALE_SECONDS, Caller

from ..doubles import Clock
from .conftest import (
    ALICE,
    BOB,
    CAROL,
    PREFIX,
    PROMETHEUS,
    SECRETS,
    Ask,
    Hub,
    user,
    write,
)

API = Path(app.__file__).parent / "openapi.yml"
METHODS = ("get", "head", "post", "put", "patch", "delete")
CALLS = [(method, route) for route in ROUTES for method in route.callers]


def fetches(sandbox: Sandbox) -> int:
    return sandbox.requests.total()


def test_documented_is_what_stands_in_the_table() -> None:
    documented = {
        path: {method: facts["x-callers"] for method, facts in described.items() if method in METHODS}
        for path, described in load(API)["paths"].items()
    }
    assert documented == {f"/{_path(route.pattern)}": dict(route.callers) for route in ROUTES}


def test_handlers_answer_to_what_stands_in_the_table() -> None:
    for route in ROUTES:
        own = [kind for kind in route.handler.__mro__ if kind not in RequestHandler.__mro__]
        assert {method for method in METHODS if any(method in vars(kind) for kind in own)} == set(route.callers)


def _path(pattern: str, name: str = "{name}", handle_id: str = "{handle_id}", action: str = "{action}") -> str:
    filled = pattern.replace("(?P<name>[^/]+)", name).replace("(?P<handle_id>[0-9a-f]{32})", handle_id)
    return filled.replace("(?P<action>renew|revoke)", action)


def test_a_granted_user_gets_the_token_and_all_share_one_call(ask: Ask, hub: Hub, sandbox: Sandbox) -> None:
    hub.owners["hub-t0ken-of-dora"] = user("dora", "physics")
    first = ask("POST", "v1/token", ALICE, {"profile": "oneaccess"})
    second = ask("POST", "v1/token", "hub-t0ken-of-dora", {"profile": "oneaccess"})
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["value"] == second.json()["value"]
    assert fetches(sandbox) == 1


def test_a_scope_grants_a_profile(ask: Ask) -> None:
    asked = {"profile": "pai-dlc"}
    assert ask("POST", "v1/token", BOB, asked).status_code == 200
    refused = ask("POST", "v1/token", ALICE, asked)
    assert (refused.status_code, refused.json()["reason"]) == (403, "not_granted")


def test_the_list_holds_what_the_user_is_granted_and_nothing_of_secrets(ask: Ask) -> None:
    alice, bob, carol = (ask("POST", "v1/profiles", token, {}) for token in (ALICE, BOB, CAROL))
    assert [entry["name"] for entry in alice.json()["profiles"]] == ["oneaccess", "mine", "wrong"]
    assert [entry["name"] for entry in bob.json()["profiles"]] == ["pai-dlc", "mine"]
    assert carol.json()["profiles"] == []
    assert "file:" not in alice.text
    assert not any(secret in alice.text for secret in SECRETS.values())


def test_what_is_wrong_at_the_service_is_for_its_log(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "jupyter_tokens"):
        answer = ask("POST", "v1/token", ALICE, {"profile": "wrong"})
    assert (answer.status_code, answer.json()["reason"]) == (409, "configuration")
    assert "nowhere" not in answer.text
    assert "jupyter_tokens_config" not in answer.text
    assert "endpoint" in caplog.text


def test_a_profile_that_does_not_exist(ask: Ask) -> None:
    answer = ask("POST", "v1/token", ALICE, {"profile": "nothing"})
    assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_profile")


def test_params_of_the_profile_are_fixed(ask: Ask, profiles: dict[str, Any], sandbox: Sandbox) -> None:
    given = profiles["pai-dlc"]["params"]
    assert ask("POST", "v1/token", BOB, {"profile": "pai-dlc", "params": given}).status_code == 200
    name = next(iter(given))
    before = fetches(sandbox)
    answer = ask("POST", "v1/token", BOB, {"profile": "pai-dlc", "params": {name: "another"}})
    assert (answer.status_code, answer.json()["reason"]) == (400, "parameter")
    assert fetches(sandbox) == before


def test_each_user_has_a_secret_of_their_own(ask: Ask, sandbox: Sandbox) -> None:
    asked = {"profile": "mine"}
    alice, again, bob = (ask("POST", "v1/token", token, asked) for token in (ALICE, ALICE, BOB))
    assert [answer.status_code for answer in (alice, again, bob)] == [200, 200, 200]
    assert alice.json()["value"] == again.json()["value"] != bob.json()["value"]
    assert fetches(sandbox) == 2
    assert ask("DELETE", "v1/profiles/mine/token", BOB).status_code == 204
    assert ask("POST", "v1/token", ALICE, asked).json()["value"] == alice.json()["value"]
    assert ask("POST", "v1/token", BOB, asked).json()["value"] != bob.json()["value"]


@pytest.mark.parametrize("name", ["../alice", ".", "-rf", "a b", "", "älice"])
def test_a_users_name_never_leads_elsewhere(name: str, ask: Ask, hub: Hub, sandbox: Sandbox) -> None:
    hub.owners["hub-t0ken-of-mallory"] = user(name, "chemistry")
    answer = ask("POST", "v1/token", "hub-t0ken-of-mallory", {"profile": "mine"})
    assert answer.json()["reason"] == ("secret" if name else "no_user")
    assert fetches(sandbox) == 0


def test_a_forgotten_token_is_fetched_anew(ask: Ask, sandbox: Sandbox) -> None:
    asked = {"profile": "oneaccess"}
    first = ask("POST", "v1/token", ALICE, asked).json()["value"]
    assert ask("DELETE", "v1/profiles/oneaccess/token", ALICE).status_code == 204
    assert ask("POST", "v1/token", ALICE, asked).json()["value"] != first
    assert fetches(sandbox) == 2


def test_newer_than_a_refused_one(ask: Ask, clock: Clock, sandbox: Sandbox) -> None:
    refused = ask("POST", "v1/token", ALICE, {"profile": "oneaccess"}).json()
    clock.advance(5)
    asked = {"profile": "oneaccess", "newer_than": refused["obtained_at"]}
    first, second = (ask("POST", "v1/token", ALICE, asked).json() for _ in range(2))
    assert refused["value"] != first["value"] == second["value"]
    assert fetches(sandbox) == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"profile": 1}, {"profile": "oneaccess", "create": True}, {"profile": "oneaccess", "newer_than": "today"}, []],
)
def test_wrong_bodies(body: Any, ask: Ask) -> None:
    answer = ask("POST", "v1/token", ALICE, body)
    assert (answer.status_code, answer.json()["reason"]) == (400, "body")


def test_too_large_a_body(ask: Ask) -> None:
    assert ask("POST", "v1/token", ALICE, {"profile": "x" * 70_000}).status_code == 413


# What the hub says


def test_a_revoked_token_and_a_left_group_are_refused_when_the_answer_is_old(
    service: TokenService, ask: Ask, hub: Hub, clock: Clock
) -> None:
    def grow_old() -> None:
        clock.advance(service.cache_max_age)

    asked = {"profile": "oneaccess"}
    assert ask("POST", "v1/token", ALICE, asked).status_code == 200
    hub.owners[ALICE] = user("alice", "history")
    grow_old()
    assert ask("POST", "v1/token", ALICE, asked).json()["reason"] == "not_granted"
    del hub.owners[ALICE]
    grow_old()
    assert ask("POST", "v1/token", ALICE, asked).json()["reason"] == "token"


def test_the_hub_is_asked_once_for_as_long_as_its_answer_holds(ask: Ask, hub: Hub) -> None:
    for _ in range(5):
        ask("POST", "v1/token", ALICE, {"profile": "oneaccess"})
    assert hub.asked == [ALICE]


@pytest.mark.parametrize("trouble", ["refuses", "answers 500", "hangs"])
def test_without_the_hub_who_was_known_goes_on_for_ten_minutes(
    trouble: str,
    service: TokenService,
    ask: Ask,
    hub: Hub,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("jupyter_tokens.service.callers._HUB_SECONDS", 0.5)
    asked = {"profile": "oneaccess"}
    assert ask("POST", "v1/token", ALICE, asked).status_code == 200
    if trouble == "refuses":
        service.callers.hub.api_url = "http://127.0.0.1:1/hub/api"
    elif trouble == "hangs":
        hub.hangs = True
    else:
        hub.status = 500
    caplog.set_level(logging.INFO, "jupyter_tokens.audit")
    clock.advance(service.cache_max_age)
    assert ask("POST", "v1/token", ALICE, asked).status_code == 200
    assert _audit(caplog)[-1] == (
        "served",
        {"profile": "oneaccess", "cached": True, "user": "alice", "server": "", "stale": True},
    )
    assert ask("GET", "health").json() == {"status": "ok", "hub": "down"}
    # Nobody new, and nobody for ever.
    stranger = ask("POST", "v1/token", BOB, {"profile": "pai-dlc"})
    assert (stranger.status_code, stranger.json()["reason"]) == (503, "hub_down")
    assert stranger.headers["Retry-After"]
    clock.advance(STALE_SECONDS + 1)
    assert ask("POST", "v1/token", ALICE, asked).status_code == 503
    # It is back.
    service.callers.hub.api_url = f"http://127.0.0.1:{hub.port}/hub/api"
    hub.hangs, hub.status = False, 200
    clock.advance(1)
    assert ask("POST", "v1/token", ALICE, asked).status_code == 200
    assert ask("GET", "health").json()["hub"] == "ok"


def test_a_token_that_no_hub_can_have_is_not_sent_there(ask: Ask, hub: Hub) -> None:
    answer = ask("POST", "v1/token", "x" * 1025, {"profile": "oneaccess"})
    assert (answer.status_code, answer.json()["reason"]) == (401, "no_token")
    assert ask("GET", "health").json()["hub"] == "ok"
    assert hub.asked == []


# What is told


def _audit(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    lines = [record.getMessage().split(" ", 2) for record in caplog.records if record.name == "jupyter_tokens.audit"]
    return [(kind, json.loads(facts)) for _, kind, facts in lines]


def test_the_audit_says_who_got_what_and_holds_no_value(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "jupyter_tokens")
    token = ask("POST", "v1/token", BOB, {"profile": "pai-dlc"}).json()["value"]
    ask("POST", "v1/token", ALICE, {"profile": "pai-dlc"})
    ask("DELETE", "v1/profiles/pai-dlc/token", BOB)
    ask("POST", "v1/token", None, {"profile": "pai-dlc"})
    told = _audit(caplog)
    bob = {"user": "bob", "server": "big", "stale": False}
    assert [(kind, facts) for kind, facts in told if kind != "fetched"] == [
        ("served", {"profile": "pai-dlc", "cached": False, **bob}),
        ("refused", {"profile": "pai-dlc", "reason": "not_granted", "user": "alice", "server": "", "stale": False}),
        ("forgotten", {"profile": "pai-dlc", **bob}),
        ("refused", {"profile": None, "reason": "no_token", "user": None, "server": None, "stale": False}),
    ]
    assert [facts["profile"] for kind, facts in told if kind == "fetched"] == ["pai-dlc"]
    assert token not in caplog.text
    assert not any(hub_token in caplog.text for hub_token in (ALICE, BOB))


class SlowRecords(MemoryRecords):
    blocks = True
    answers = threading.Event()

    def append(self, event: Mapping[str, Any]) -> None:
        assert self.answers.wait(300)
        super().append(event)


def test_what_happened_last_is_stored_before_the_service_ends(clock: Clock) -> None:
    records = SlowRecords(clock)
    audit = Audit(records, clock)
    audit.forgotten(Caller("alice", None, frozenset(), frozenset()), "oneaccess")
    threading.Timer(0.1, records.answers.set).start()
    audit.close()
    assert [event["kind"] for event in records.events()] == ["forgotten"]


def test_an_event_for_which_there_is_no_thread_fails_no_request(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(THREADS, "start", start)
    audit = Audit(SlowRecords(clock), clock)
    with caplog.at_level(logging.DEBUG):
        audit.forgotten(Caller("alice", None, frozenset(), frozenset()), "oneaccess")
    audit.close()
    assert "event or holding not stored" in caplog.text


def test_metrics_by_user_and_profile(ask: Ask) -> None:
    def asks(outcome: str, who: str) -> float:
        text = ask("GET", "metrics", PROMETHEUS).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        labels = {"profile": "oneaccess", "user": who, "outcome": outcome}
        return sum(s.value for s in samples if s.name == "jupyter_tokens_service_asks_total" and s.labels == labels)

    before = asks("served", "alice"), asks("not_granted", "bob")
    ask("POST", "v1/token", ALICE, {"profile": "oneaccess"})
    ask("POST", "v1/token", BOB, {"profile": "oneaccess"})
    assert (asks("served", "alice"), asks("not_granted", "bob")) == (before[0] + 1, before[1] + 1)


# How it is configured


@pytest.mark.parametrize(
    "grants",
    [{"x": ["physics"]}, {"x": {"groups": "physics"}}, {"x": {"group": ["physics"]}}, {"x": {"groups": [1]}}, 3],
)
def test_wrong_grants(grants: Any, config_dir: Path) -> None:
    write(config_dir, {}, grants)
    with pytest.raises(ConfigurationError, match="grants"):
        TokenService.configured()


def test_a_grant_of_nothing_is_told(service: TokenService, caplog: pytest.LogCaptureFixture) -> None:
    service.grants = {**service.grants, "typo": {"groups": ["physics"]}}
    service.application(PREFIX)
    assert "typo" in caplog.text


def test_a_profile_that_nobody_is_granted_is_given_to_nobody(service: TokenService, ask: Ask) -> None:
    service.grants = {}
    assert ask("POST", "v1/token", ALICE, {"profile": "oneaccess"}).json()["reason"] == "not_granted"
    assert ask("POST", "v1/profiles", ALICE, {}).json()["profiles"] == []
