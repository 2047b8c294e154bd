"""Two replicas of the service over one real Redis: handles, nonces, who holds what, and what Redis is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import HEADER
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.service.app import TokenService

from ..doubles import Clock
from ..sources.conftest import RedisServer, begin
from .conftest import ALICE, BOB, PREFIX, ROOT, SECRETS, Browser, Hub, serving, user

Call = Callable[..., httpx.Response]


class Replica:
    def __init__(self, service: TokenService, port: int) -> None:
        self.service, self.port = service, port

    def call(self, method: str, path: str, token: str | None = None, **body: Any) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"token {token}"}
        url = f"http://127.0.0.1:{self.port}{PREFIX}v1/{path}"
        return httpx.request(method, url, headers=headers, content=json.dumps(body), timeout=60)

    def issue(self, token: str = ALICE, profile: str = "oneaccess", **more: Any) -> Handle:
        handle = Handle.new(profile, {})
        facts = {"id": handle.id, "key": handle.key.hex(), "profile": profile, **more}
        assert self.call("POST", "handles", token, **facts).status_code == 200
        return handle

    def work(self, handle: Handle, proof: str | None = None) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{PREFIX}v1/handles/{handle.id}/token"
        return httpx.post(url, headers={HEADER: proof or self.proof(handle)}, content=b"{}", timeout=60)

    def proof(self, handle: Handle) -> str:
        return handle.prove("token", b"{}", time=int(self.service.clock.now()), nonce=uuid4().hex)


@pytest.fixture
def replicas(
    profiles: dict[str, Any], hub: Hub, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Replica]]:
    """Their clocks are 5 s apart."""
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", redis_server.url)
    with ExitStack() as stack:
        made = []
        for behind in (0, 5):
            service = TokenService.configured()
            clock = Clock()
            clock.wall = time.time() - behind
            service.clock = clock
            stack.callback(service.close)
            made.append(Replica(service, stack.enter_context(serving(service.application(PREFIX)))))
        yield made


def test_a_handle_of_one_is_good_at_the_other(replicas: list[Replica], sandbox: Sandbox) -> None:
    one, other = replicas
    handle = one.issue()
    first, second = one.work(handle), other.work(handle)
    assert first.json()["value"] == second.json()["value"]
    assert sandbox.requests["oneaccess"] == 1
    assert [listed["uses"] for listed in other.call("GET", "handles", ALICE).json()["handles"]] == [2]
    assert other.call("POST", f"handles/{handle.id}/renew", ALICE).status_code == 200


def test_a_proof_is_good_at_one_of_them(replicas: list[Replica]) -> None:
    one, other = replicas
    handle = one.issue()
    proof = one.proof(handle)
    assert one.work(handle, proof).status_code == 200
    for replica in replicas:
        again = replica.work(handle, proof)
        assert (again.status_code, again.json()["reason"]) == (403, "handle")
        assert "used already" in again.json()["message"]
    assert other.work(handle).status_code == 200


def test_revoked_at_one_is_refused_at_the_other_for_good(replicas: list[Replica]) -> None:
    one, other = replicas
    handle = one.issue()
    assert other.call("DELETE", f"handles/{handle.id}", ALICE).status_code == 204
    for replica in replicas:
        assert "revoked" in replica.work(handle).json()["message"]
        assert replica.call("POST", f"handles/{handle.id}/renew", ALICE).status_code == 403
        assert replica.service.handles.in_use() == []


def test_a_renewal_at_the_same_moment_does_not_take_a_revocation_back(replicas: list[Replica]) -> None:
    one, other = replicas
    handle = one.issue()
    known = one.service.handles.get(handle.id)
    assert known is not None
    other.service.handles.revoke(handle.id)
    # What a renewal writes that has looked before.
    one.service.records.put("handle", handle.id, known.facts, seconds=60)
    assert other.work(handle).status_code == 403


def test_a_lease_ends_everywhere(replicas: list[Replica]) -> None:
    one, other = replicas
    handle = one.issue(lease=60)
    for replica in replicas:
        replica.service.clock.advance(66)  # type: ignore[attr-defined]
    for replica in replicas:
        assert "lease" in replica.work(handle).json()["message"]
    assert other.call("GET", "handles", ALICE).json() == {"handles": []}


def test_who_leaves_the_group_loses_the_handle(replicas: list[Replica], hub: Hub) -> None:
    one, other = replicas
    handle = one.issue()
    hub.owners[ALICE] = user("alice", "history")
    for replica in replicas:
        replica.service.clock.advance(30)  # type: ignore[attr-defined]
    assert one.call("POST", "profiles", ALICE).json()["profiles"] == []
    assert one.work(handle).json()["reason"] == "not_granted"
    # The other has not heard of it before the driver renews the lease there.
    assert other.call("POST", f"handles/{handle.id}/renew", ALICE).json()["reason"] == "not_granted"
    assert "revoked" in other.work(handle).json()["message"]


def test_the_page_shows_what_all_of_them_served(replicas: list[Replica], hub: Hub) -> None:
    one, other = replicas
    assert one.call("POST", "token", ALICE, profile="oneaccess").status_code == 200
    assert other.call("POST", "token", BOB, profile="pai-dlc").status_code == 200
    handle = one.issue()
    browser = Browser(other.port, hub)
    deadline = time.monotonic() + 60
    text = browser.page(ROOT)
    # They are noted behind the answer.
    while not ("alice" in text and "bob" in text and handle.id in text and "issued" in text):
        assert time.monotonic() < deadline
        text = browser.get().text
    browser.client.close()


@pytest.mark.parametrize("profile", ["oneaccess", "mine"])
def test_what_is_forgotten_at_one_it_does_not_take_from_the_store(replicas: list[Replica], profile: str) -> None:
    one, other = replicas
    first = one.call("POST", "token", ALICE, profile=profile).json()["value"]
    assert other.call("DELETE", f"profiles/{profile}/token", ALICE).status_code == 204
    assert other.call("POST", "token", ALICE, profile=profile).json()["value"] != first


def test_while_redis_is_gone_nobody_with_a_handle_is_let_in_and_users_go_on(
    replicas: list[Replica], redis_server: RedisServer
) -> None:
    one, other = replicas
    handle = one.issue()
    redis_server.stop()
    assert one.call("POST", "token", ALICE, profile="oneaccess").status_code == 200
    refused = one.work(handle)
    assert (refused.status_code, refused.json()["reason"], refused.json()["retryable"]) == (503, "busy", True)
    assert refused.headers["Retry-After"]
    began = time.perf_counter()
    assert one.work(handle).status_code == 503
    assert time.perf_counter() - began < 1
    assert one.call("DELETE", f"handles/{handle.id}", ALICE).status_code == 503
    redis_server.go_on()
    for replica in replicas:
        replica.service.clock.advance(10)  # type: ignore[attr-defined]
        assert replica.work(handle).status_code == 200
    # A Redis that has lost everything.
    redis_server.kill()
    redis_server.process = begin(redis_server.folder, redis_server.port)
    for replica in replicas:
        replica.service.clock.advance(10)  # type: ignore[attr-defined]
    assert "does not know" in other.work(handle).json()["message"]
    assert (
        one.call("POST", "handles", ALICE, id=handle.id, key=handle.key.hex(), profile="oneaccess").status_code == 200
    )
    assert other.work(handle).status_code == 200


@pytest.mark.parametrize("damage", ["wrong kind", "not sealed", "of another handle"])
def test_a_damaged_handle_is_none(damage: str, replicas: list[Replica], redis_server: RedisServer) -> None:
    one, other = replicas
    mine, bobs = one.issue(), other.issue(BOB, "pai-dlc")
    client = redis_server.client()
    first, second = client.keys("jupyter-tokens:handle:*")
    if damage == "wrong kind":
        for key in (first, second):
            client.set(key, "x")
    else:
        sealed = ["x", "x"] if damage == "not sealed" else [client.hget(key, "sealed") for key in (second, first)]
        for key, moved in zip((first, second), sealed, strict=True):
            client.hset(key, "sealed", moved)
    client.close()
    for replica in replicas:
        assert [replica.work(handle).status_code for handle in (mine, bobs)] == [403, 403]


def test_redis_is_told_no_value_no_key_and_no_name(
    replicas: list[Replica], redis_server: RedisServer, hub: Hub
) -> None:
    with redis_server.monitored() as told, redis_server.client() as client:
        one, other = replicas
        values = [one.call("POST", "token", ALICE, profile="oneaccess").json()["value"]]
        handle = one.issue()
        values.append(other.work(handle).json()["value"])
        other.call("POST", f"handles/{handle.id}/renew", ALICE)
        one.call("DELETE", f"handles/{handle.id}", ALICE)
        while not client.exists("jupyter-tokens:events"):
            pass
    dump = redis_server.dump
    assert any("NX" in text and "nonce" in text for text in told)
    assert b"jupyter-tokens:handle:" in dump
    for hidden in (*values, handle.key.hex(), handle.id, "oneaccess", "alice", ALICE, ROOT, *SECRETS.values()):
        assert not any(hidden in text for text in told)
        assert hidden.encode() not in dump
