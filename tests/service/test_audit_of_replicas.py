"""Two replicas as processes, over one real Redis: each logs and counts what it answered, and the page has it once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jupyter_tokens.clock import SystemClock
from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import HEADER
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sources.stores import TokenStore

from ..sources.conftest import RedisServer
from .conftest import ALICE, BOB, PROMETHEUS, Hub
from .test_command import COMMAND

TIMES = 25


class Event(NamedTuple):
    """One line of the audit, or one event that the page shows. by : the user."""

    kind: str
    profile: str | None
    by: str | None


class Replica:
    """A process of the service. asks : what it was sent, as the audit should have it."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.asks: Counter[Event] = Counter()
        with log.open("wb") as written:
            self.process = subprocess.Popen(
                [*COMMAND, "service", "--port", "0"], stdout=subprocess.PIPE, stderr=written, env=dict(os.environ)
            )
        assert self.process.stdout is not None
        [self.url] = json.loads(self.process.stdout.readline())["urls"]
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def call(self, token: str, method: str, path: str, **body: Any) -> httpx.Response:
        headers = {"Authorization": f"token {token}"}
        return self.client.request(method, path, headers=headers, content=json.dumps(body))

    def token(self, token: str, user: str | None, profile: str, *, kind: str = "served") -> None:
        known = profile if user is not None else None
        self.asks[Event(kind, known, user)] += 1
        status = self.call(token, "POST", "v1/token", profile=profile).status_code
        assert (status == httpx.codes.OK) == (kind == "served")

    def work(self, handle: Handle) -> None:
        self.asks[Event("served", handle.profile, "alice")] += 1
        proof = handle.prove("token", b"{}", time=int(time.time()), nonce=uuid4().hex)
        path = f"v1/handles/{handle.id}/token"
        assert self.client.post(path, headers={HEADER: proof}, content=b"{}").status_code == httpx.codes.OK

    def logged(self) -> Counter[Event]:
        lines = re.findall(r" jupyter_tokens (\w+) (\{.*\})$", self.log.read_text(), re.MULTILINE)
        return Counter(_event({"kind": kind, **json.loads(facts)}) for kind, facts in lines)

    def counted(self, family: str, *labels: str) -> Counter[tuple[str, ...]]:
        text = self.call(PROMETHEUS, "GET", "metrics").text
        found: Counter[tuple[str, ...]] = Counter()
        for metric in text_string_to_metric_families(text):
            for sample in metric.samples:
                if sample.name == family:
                    found[tuple(sample.labels[label] for label in labels)] += int(sample.value)
        return found


def _event(facts: dict[str, Any]) -> Event:
    return Event(facts["kind"], facts["profile"], facts.get("user"))


@pytest.fixture
def replicas(
    profiles: dict[str, Any],
    hub: Hub,
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[Replica]]:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", redis_server.url)
    with ExitStack() as stack:
        made = []
        for number in range(2):
            made.append(replica := Replica(tmp_path / f"{number}.log"))
            stack.callback(replica.process.communicate)
            stack.callback(replica.process.kill)
            stack.callback(replica.client.close)
        yield made


def test_each_writes_what_it_answered_and_together_they_show_each_event_once(
    replicas: list[Replica], sandbox: Sandbox
) -> None:
    one, other = replicas
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(replica.token, token, user, profile)
            for _ in range(TIMES)
            for replica in replicas
            for token, user, profile in ((ALICE, "alice", "oneaccess"), (BOB, "bob", "pai-dlc"))
        ]
    for each in asked:
        each.result()
    handle = Handle.new("oneaccess", {})
    issued = one.call(ALICE, "POST", "v1/handles", id=handle.id, key=handle.key.hex(), profile="oneaccess")
    assert issued.status_code == httpx.codes.OK
    one.asks[Event("handle", "oneaccess", "alice")] += 1
    for replica in (one, other, other):
        replica.work(handle)
    assert other.call(ALICE, "DELETE", f"v1/handles/{handle.id}").status_code == httpx.codes.NO_CONTENT
    other.asks[Event("handle", "oneaccess", "alice")] += 1
    one.token(BOB, "bob", "oneaccess", kind="refused")
    other.token("nobody's", None, "oneaccess", kind="refused")
    assert other.call(ALICE, "DELETE", "v1/profiles/oneaccess/token").status_code == httpx.codes.NO_CONTENT
    other.asks[Event("forgotten", "oneaccess", "alice")] += 1

    calls = [replica.counted("jupyter_tokens_fetches_total", "provider") for replica in replicas]
    # The line is written before the answer, so that nothing has to be waited for.
    logged = [replica.logged() for replica in replicas]
    fetched = [Counter({event: n for event, n in lines.items() if event.kind == "fetched"}) for lines in logged]
    assert [lines - calls_of for lines, calls_of in zip(logged, fetched, strict=True)] == [r.asks for r in replicas]
    # There was one call for both; the replica that made it logs it.
    assert sum(fetched, Counter()) == {Event("fetched", name, None): 1 for name in ("oneaccess", "pai-dlc")}
    assert [sum(found.values()) for found in calls] == [sum(found.values()) for found in fetched]
    assert sandbox.requests.total() == 2
    for replica in replicas:
        answers = {"served": "served", "not_granted": "refused"}
        found = replica.counted("jupyter_tokens_service_asks_total", "outcome", "profile", "user")
        asks = {event: n for event, n in replica.asks.items() if event.kind in answers.values() and event.by}
        assert {Event(answers[outcome], *names): n for (outcome, *names), n in found.items()} == asks

    kept = sum(logged, Counter())
    for event in [*kept]:
        # The page has no line for each answer, and none of strangers.
        if event.kind == "served" or event == Event("refused", None, None):
            del kept[event]
    records = TokenStore.configured().open_records(SystemClock())
    deadline = time.monotonic() + 60
    # They are noted behind the answers.
    while (shown := Counter(_event(dict(event)) for event in records.events())) != kept:
        assert time.monotonic() < deadline, (shown, kept)
    held = Counter((record.facts["user"], record.facts["profile"]) for record in records.all("held"))
    records.close()
    assert held == {("alice", "oneaccess"): 1, ("bob", "pai-dlc"): 1}
