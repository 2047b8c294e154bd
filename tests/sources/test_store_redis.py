"""The store in a real Redis: its fences, its death, its silence, and what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.store import StoreApp
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ConfigurationError
from jupyter_tokens.protocol.records import Record
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.sources.stores import Store, StoreUnavailable, TokenStore

from ..cli.running import runner
from ..doubles import Clock
from ..hearing import free_port
from .conftest import PASSWORD, RedisServer, begin, warnings

Open = Callable[..., LocalSource]


@pytest.fixture(autouse=True)
def _in_redis(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", redis_server.url)


@pytest.fixture
def store(clock: Clock) -> Iterator[Store]:
    opened = TokenStore.configured().open(clock)
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture
def open_source(sandbox: Sandbox, tmp_path: Path) -> Iterator[Open]:
    """Opens a source that has nothing in common with the others but Redis."""
    profiles = sandbox.profiles(tmp_path)
    opened: list[LocalSource] = []

    def open_source(**more: Any) -> LocalSource:
        opened.append(LocalSource(Profiles.from_settings(profiles), **more))
        return opened[-1]

    yield open_source
    for source in opened:
        source.close()


def value(source: LocalSource, **asked: Any) -> str:
    return source.get(source.key("oneaccess"), **asked).reveal()


def test_machines_whose_clocks_differ_share_by_the_time_that_is_left(sandbox: Sandbox, open_source: Open) -> None:
    right, wrong = open_source(), open_source(clock=Clock())
    token = right.get(right.key("oneaccess"))
    same = wrong.get(wrong.key("oneaccess"))
    assert same.reveal() == token.reveal()
    left = same.expires_at.timestamp() - wrong.clock.now()  # type: ignore[union-attr]
    assert left == pytest.approx(token.expires_at.timestamp() - right.clock.now(), abs=5)  # type: ignore[union-attr]
    new = value(right, refresh=True)
    # Its clock is behind by far, but the fence is higher.
    assert value(wrong, newer_than=same.obtained_at) == new
    assert sandbox.requests["oneaccess"] == 2


def test_a_holder_that_comes_back_late_does_not_replace_what_is_newer(store: Store) -> None:
    with store.lock("slot", seconds=1) as early:
        pass
    with store.lock("slot", seconds=1) as late:
        store.put("slot", b"new", life=60, fence=late)
    assert late > early
    store.put("slot", b"old", life=60, fence=early)
    kept = store.get("slot")
    assert kept is not None
    assert (kept.sealed, kept.fence) == (b"new", late)
    assert 0 < kept.left <= 60


def test_a_lock_is_one_holders(store: Store) -> None:
    with store.lock("slot", seconds=1):
        with pytest.raises(StoreUnavailable, match="was not free"), store.lock("slot", seconds=0.1):
            pass
        with store.lock("other", seconds=1):
            pass
    with store.lock("slot", seconds=1):
        pass


def test_a_lock_is_free_again_if_nothing_could_renew_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(StoreUnavailable, match="another thread"), store.lock("slot", seconds=1):
            pass
    with store.lock("slot", seconds=0.1):
        pass


def test_a_living_holder_renews_its_lock(store: Store, redis_server: RedisServer) -> None:
    client = redis_server.client()
    with store.lock("slot", seconds=1):
        (lock,) = client.keys("*:lock")
        client.pexpire(lock, 2500)
        # Of its own it would be at most 2.5 s.
        while 0 < client.pttl(lock) <= 2500:
            pass
        assert client.pttl(lock) > 2500
    client.close()


def test_a_record_stays_one_with_its_marks_when_a_new_key_is_put_first(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLD_KEY", "o" * 32)
    monkeypatch.setenv("NEW_KEY", "n" * 32)
    before = TokenStore(keys=["env:OLD_KEY"]).open_records(clock)
    after = TokenStore(keys=["env:NEW_KEY", "env:OLD_KEY"]).open_records(clock)
    before.put("handle", "a", {"lease": 1}, seconds=60)
    before.mark("handle", "a", {}, counts="uses")
    assert not after.add("handle", "a", {"lease": 2}, seconds=60)
    # As a renewal that had read the record before it was revoked.
    after.mark("handle", "a", {"revoked": 1})
    after.put("handle", "a", {"lease": 3}, seconds=60)
    after.mark("handle", "a", {}, counts="uses")
    expected = Record({"lease": 3}, {"uses": 2, "revoked": 1})
    assert after.all("handle") == [expected]
    assert after.get("handle", "a") == expected
    # A replica that has only the old key writes it again; what the others write is what counts.
    before.put("handle", "a", {"lease": 4}, seconds=60)
    after.put("handle", "a", {"lease": 5}, seconds=60)
    found = after.get("handle", "a")
    assert found is not None
    assert found.facts == {"lease": 5}
    before.close()
    after.close()


@pytest.mark.parametrize("damage", ["wrong kind", "no fence", "not a number", "not sealed"])
def test_a_damaged_slot_is_replaced(
    sandbox: Sandbox, open_source: Open, redis_server: RedisServer, damage: str
) -> None:
    old = value(open_source())
    client = redis_server.client()
    (slot,) = client.keys("*:slot")
    if damage == "wrong kind":
        client.set(slot, "x")
    elif damage == "no fence":
        client.hdel(slot, "fence")
    else:
        client.hset(slot, "fence" if damage == "not a number" else "sealed", "x")
    client.pexpire(slot, 60_000)
    client.close()
    new = value(open_source())
    assert new != old
    assert value(open_source()) == new
    assert sandbox.requests["oneaccess"] == 2


def test_a_redis_that_was_killed_costs_only_the_sharing_and_is_used_again(
    sandbox: Sandbox, open_source: Open, redis_server: RedisServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_source(clock=clock)
    value(source)
    redis_server.kill()
    assert value(source, refresh=True)
    assert value(source, refresh=True)
    (said,) = warnings(caplog)
    assert "failed" in said
    assert PASSWORD not in said
    redis_server.process = begin(redis_server.folder, redis_server.port)
    # For ten seconds it is not asked again.
    value(source, refresh=True)
    client = redis_server.client()
    assert client.keys("*") == []
    clock.advance(10)
    last = value(source, refresh=True)
    assert client.keys("*:slot") != []
    client.close()
    assert value(open_source(clock=clock)) == last


def test_a_redis_that_hangs_is_waited_for_once(
    sandbox: Sandbox, open_source: Open, redis_server: RedisServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.stop()
    source = open_source(clock=clock)
    for _ in range(20):
        assert value(source, refresh=True)
    (said,) = warnings(caplog)
    assert "TimeoutError" in said
    assert sandbox.requests["oneaccess"] == 20


def test_redis_is_told_neither_secret_nor_token_nor_whose_they_are(
    sandbox: Sandbox, open_source: Open, redis_server: RedisServer, tmp_path: Path
) -> None:
    with redis_server.monitored() as told:
        token = value(open_source())
        assert value(open_source()) == token
    dump = redis_server.dump
    assert any("EVALSHA" in text for text in told)
    assert b":slot" in dump
    secret = (
        Path(str(sandbox.profiles(tmp_path)["oneaccess"]["client_secret"]).removeprefix("file:")).read_text().strip()
    )
    for hidden in (token, secret, "oneaccess", "access_token", sandbox.url):
        assert not any(hidden in text for text in told)
        assert hidden.encode() not in dump


def test_the_command_shows_and_empties_it(
    sandbox: Sandbox, open_source: Open, redis_server: RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    old = value(open_source())
    run = runner(StoreApp, capfd)
    shown = run("show", "--json")
    told = json.loads(shown.out)
    assert told["store"] == f"redis://127.0.0.1:{redis_server.port}"
    (slot,) = told["slots"]
    assert 0 <= slot["age"] < 300
    assert slot["expires_in"] > 0
    assert slot["size"] > 100
    assert PASSWORD not in shown.out + shown.err
    assert "Entries removed: 1." in run("clear").err
    assert value(open_source()) != old
    redis_server.kill()
    done = run("show")
    assert done.code == 1
    assert PASSWORD not in done.err


@pytest.mark.parametrize("url", ["redis://:pa55word@host:port", "redis://:pa55word@[::1"], ids=["port", "host"])
def test_a_url_that_is_none_is_said_without_quoting_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", url)
    with pytest.raises(ConfigurationError) as caught:
        TokenStore.configured().open()
    assert "pa55word" not in str(caught.value)


def test_nobody_listening_is_no_reason_to_refuse(
    open_source: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", f"redis://127.0.0.1:{free_port()}")
    assert value(open_source())
    assert len(warnings(caplog)) == 1
