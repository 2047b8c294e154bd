"""`get_token` and its siblings: the client in front of its source."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import jupyter_tokens
from jupyter_tokens import client as module
from jupyter_tokens.client import (
    Client,
    aget_token,
    create_token,
    get_token,
    issue_handle,
    revoke_handle,
    shared_client,
)
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ConfigurationError, ParameterError, TokenError, Unauthorized, UnknownProfile
from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.sources.handles import HandleSource
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.sources.opening import HANDLE_VARIABLE
from jupyter_tokens.token import Token
from jupyter_tokens.transport import Transport

from .doubles import CANARY, Clock, answer, loopback, raw_answer, together, told

ENDPOINT = "https://acme.example.com"
ONEACCESS = {"provider": "oneaccess", "endpoint": ENDPOINT, "client_id": "i", "client_secret": CANARY}
PAI = {
    "provider": "pai-dlc",
    "region": "cn-hangzhou",
    "access_key_id": "AKID",
    "access_key_secret": CANARY,
    "params": {"TargetType": "job", "ExpireTime": 100},
}
ASTRA = {"provider": "astra", "endpoint": ENDPOINT, "api_token": CANARY, "allow_create": True}


class Vendor(httpx.BaseTransport):
    """Numbers its answers; refuses whom it is told to."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.refusal: httpx.Response | None = None
        self.life = 100

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.refusal is not None:
            return self.refusal
        number = len(self.requests)
        if request.url.path.endswith("/tokens") and request.method == "GET":
            return answer(200, {"Token": f"t{number}"})
        if request.url.path.endswith("/tokens"):
            return answer(201, {"type": "application/astra-token", "id": "1", "token": f"t{number}"})
        return answer(200, {"access_token": f"t{number}", "expires_in": self.life})


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.vendor = Vendor()
        transport = Transport(clock=self.clock, sleep=self.clock.advance, rng=lambda: 1.0, transport=self.vendor)
        profiles = Profiles.from_settings({"mine": ONEACCESS, "job": PAI, "stored": ASTRA})
        self.client = Client(profiles, clock=self.clock, transport=transport)

    def get(self, profile: str = "mine", /, *, refresh: bool = False, **params: Any) -> str:
        return self.client.get(profile, params, refresh=refresh).reveal()

    def aget(self, profile: str = "mine", /, *, refresh: bool = False, **params: Any) -> str:
        return asyncio.run(self.client.aget(profile, params, refresh=refresh)).reveal()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def shared(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "_shared", bench.client)
    return bench


both = pytest.mark.parametrize("way", ["get", "aget"])


@both
def test_a_second_call_is_served_from_the_cache(bench: Bench, way: str) -> None:
    get = getattr(bench, way)
    assert [get() for _ in range(3)] == ["t1"] * 3
    assert len(bench.vendor.requests) == 1


@both
def test_a_hit_is_the_same_object_and_looks_at_no_file(bench: Bench, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    params = {"TargetId": "dlc1"}
    first = [bench.client.get("mine"), bench.client.get("job", params)]

    async def with_tasks() -> list[Token]:
        return [await bench.client.aget("mine"), await bench.client.aget("job", params)]

    def touched(*args: object, **options: object) -> None:
        raise AssertionError("the disk was looked at")

    loop = asyncio.new_event_loop()
    with monkeypatch.context() as guarded:
        for name in ("stat", "scandir", "listdir", "open"):
            guarded.setattr(os, name, touched)
        if way == "get":
            again = [bench.client.get("mine"), bench.client.get("job", params)]
        else:
            again = loop.run_until_complete(with_tasks())
    loop.close()
    assert [new is old for new, old in zip(again, first, strict=True)] == [True, True]


@both
def test_refresh_fetches_and_what_it_brings_is_served(bench: Bench, way: str) -> None:
    get = getattr(bench, way)
    assert [get(), get(refresh=True), get()] == ["t1", "t2", "t2"]


def test_a_refresh_counts_for_the_same_parameters_however_they_are_written(bench: Bench) -> None:
    assert bench.get("job") == "t1"
    assert bench.get("job", TargetType="job", ExpireTime="100") == "t1"
    assert bench.get("job", refresh=True) == "t2"
    assert bench.get("job", TargetType="job", ExpireTime="100") == "t2"


def test_parameters_in_any_order_are_the_same(bench: Bench) -> None:
    assert bench.get("job", TargetId="a", ExpireTime=5) == bench.get("job", ExpireTime=5, TargetId="a")
    assert bench.get("job", TargetId="b", ExpireTime=5) == "t2"


def test_a_token_is_refreshed_ahead_of_its_end(bench: Bench) -> None:
    refreshed = threading.Event()
    bench.client.source.watch(lambda key, token: refreshed.set() if token.reveal() == "t2" else None)
    assert bench.get() == "t1"
    bench.clock.advance(79)
    assert bench.get() == "t1"
    bench.clock.advance(1)
    assert bench.get() == "t1"
    assert refreshed.wait(30)
    assert bench.get() == "t2"


def test_an_expired_token_is_not_served(bench: Bench) -> None:
    bench.get()
    bench.clock.advance(100)
    assert bench.get() == "t2"


def test_a_token_that_ended_on_arrival_is_not_kept(bench: Bench) -> None:
    assert [bench.get("job", ExpireTime=0) for _ in range(2)] == ["t1", "t2"]


def test_forget(bench: Bench) -> None:
    bench.get()
    key = bench.client.source.key("mine")
    bench.client.source.forget(key)
    assert bench.client.source.held(key) is None
    assert bench.get() == "t2"


def test_a_401_at_a_user_brings_a_newer_token_for_everybody(bench: Bench) -> None:
    token = bench.client.get("mine")
    bench.clock.advance(1)
    seen: list[str] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(401 if request.headers["Authorization"] == "Bearer t1" else 200)

    with httpx.Client(transport=httpx.MockTransport(api), auth=token.auth) as user:
        assert [user.get("https://x/").status_code for _ in range(2)] == [200, 200]
    assert seen == ["Bearer t1", "Bearer t2", "Bearer t2"]
    assert bench.get() == "t2"
    assert len(bench.vendor.requests) == 2


def test_threads_share_one_fetch(bench: Bench) -> None:
    tokens = together(64, lambda: bench.client.get("mine"))
    assert len({id(token) for token in tokens}) == 1
    assert len(bench.vendor.requests) == 1


def test_the_source_is_opened_once_and_only_when_it_is_needed(bench: Bench) -> None:
    opened = Client(Profiles.from_settings({}))
    opened.close()
    assert opened._source is None
    sources = together(16, lambda: bench.client.source)
    assert len({id(source) for source in sources}) == 1


def test_who_waited_while_another_opened_the_source_gets_that(bench: Bench) -> None:
    class Late:
        """A lock behind which another thread has opened the source meanwhile."""

        def __enter__(self) -> None:
            bench.client._lock = lock
            assert bench.client.source is not None

        def __exit__(self, *args: object) -> None:
            pass

    lock, bench.client._lock = bench.client._lock, Late()  # type: ignore[assignment]
    first = bench.client.source
    assert first is bench.client.source


@both
@pytest.mark.parametrize(
    ("profile", "params", "kind"),
    [
        ("none", {}, UnknownProfile),
        ("mine", {"x": 1}, ParameterError),
        ("job", {"ExpireTime": -1}, ParameterError),
        ("job", {"TargetId": "a/b"}, ParameterError),
        ("job", {"TargetId": ["a"]}, ParameterError),
        ("job", {"TargetId": {"a": 1}}, ParameterError),
        ("stored", {"account_id": "a"}, ParameterError),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(
    *, bench: Bench, way: str, profile: str, params: dict[str, object], kind: type[TokenError]
) -> None:
    with pytest.raises(kind):
        getattr(bench, way)(profile, **params)
    assert bench.vendor.requests == []


@both
def test_errors_hold_neither_credential_nor_frames_of_the_fetch(bench: Bench, way: str) -> None:
    bench.vendor.refusal = answer(401, {"error": "invalid_client", "error_description": f"Wrong: {CANARY}"})
    with pytest.raises(Unauthorized, match="mine: Wrong: …") as caught:
        getattr(bench, way)()
    assert len(bench.vendor.requests) == 1
    assert caught.value.__context__ is None
    assert CANARY not in told(caught.value)


def test_a_refused_create_holds_no_frames_of_the_call(bench: Bench) -> None:
    bench.vendor.refusal = answer(401, {"title": CANARY})
    with pytest.raises(Unauthorized) as caught:
        bench.client.source.create("stored", {"account_id": "a", "user_id": "u", "name": "n"})
    assert CANARY not in told(caught.value)
    assert caught.value.__context__ is None


def test_the_face(shared: Bench) -> None:
    assert get_token("mine").reveal() == "t1"
    assert asyncio.run(aget_token("mine")).reveal() == "t1"
    assert get_token("mine", refresh=True).reveal() == "t2"
    assert get_token("job", TargetId="dlc1").reveal() == "t3"
    assert create_token("stored", account_id="a", user_id="u", name="n").reveal() == "t4"
    assert create_token("stored", account_id="a", user_id="u", name="n").reveal() == "t5"
    assert jupyter_tokens.get_token is get_token


def test_a_parameter_may_be_named_profile(shared: Bench) -> None:
    with pytest.raises(ParameterError, match="'profile'"):
        get_token("mine", profile="x")


def test_the_shared_client_is_one() -> None:
    assert shared_client() is shared_client()


def test_a_child_starts_with_nothing_of_the_parents(shared: Bench) -> None:
    before = shared.get("mine")
    client, source = shared.client, shared.client.source
    module._after_fork()
    assert shared_client() is client  # which a session of the child goes on using
    assert client.source.keys() == []
    assert client.source is not source
    assert shared.get("mine") is not before


def test_it_knows_what_it_holds(bench: Bench) -> None:
    for number in range(3):
        bench.get("job", TargetId=f"dlc{number}")
    assert len(bench.client.source.keys()) == 3
    bench.client.source.forget(bench.client.source.keys()[0])
    left = bench.client.source.keys()
    assert [dict(key.params)["TargetId"] for key in left] == ["dlc1", "dlc2"]


# Configuration


def configure(folder: Path, profiles: dict[str, dict[str, Any]]) -> None:
    file = folder / "jupyter_tokens_config.json"
    file.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}}))
    file.chmod(0o600)


@pytest.fixture
def configured(bench: Bench, config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    configure(config_dir, {"a": ONEACCESS, "b": ONEACCESS})
    transport = Transport(clock=bench.clock, transport=bench.vendor)
    bench.client = Client(clock=bench.clock, transport=transport)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # literal secrets
        yield bench
    bench.client.close()


def test_an_edited_configuration_forgets_only_what_changed(configured: Bench, config_dir: Path) -> None:
    assert (configured.get("a"), configured.get("b")) == ("t1", "t2")
    configure(config_dir, {"a": ONEACCESS, "b": {**ONEACCESS, "client_id": "other"}, "c": ONEACCESS})
    assert configured.get("c") == "t3"
    assert (configured.get("a"), configured.get("b")) == ("t1", "t4")
    assert b"client_id=other" in configured.vendor.requests[3].read()


def test_a_removed_profile_is_gone(configured: Bench, config_dir: Path) -> None:
    configured.get("a")
    configure(config_dir, {"b": ONEACCESS})
    configured.clock.advance(1)
    with pytest.raises(UnknownProfile):
        configured.get("a")


def test_a_configuration_that_breaks_is_told_and_what_is_fresh_still_serves(
    configured: Bench, config_dir: Path
) -> None:
    configured.get("a")
    (config_dir / "jupyter_tokens_config.json").write_text("{")
    assert configured.get("a") == "t1"
    configured.clock.advance(1)
    with pytest.raises(ConfigurationError):
        configured.get("b")


# Which way serves


def in_mode(folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch, me: object) -> Client:
    (folder / "jupyter_tokens_config.json").write_text(json.dumps({"TokenProfiles": {"mode": mode}}))
    monkeypatch.setattr("jupyter_tokens.sources.opening.identity", lambda: me)
    monkeypatch.setattr("jupyter_tokens.sources.opening.RemoteSource", Served)
    return Client()


class Served:
    """Stands in for the server that started this kernel."""

    def __init__(self, me: object, *, fallback: LocalSource | None, clock: object) -> None:
        self.me, self.fallback = me, fallback

    def watch(self, arrived: object, lost: object) -> None:
        pass


@pytest.mark.parametrize(("mode", "falls_back"), [("auto", True), ("server", False)])
def test_the_server_that_started_the_kernel_serves(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch, mode: str, falls_back: bool
) -> None:
    source: Any = in_mode(config_dir, mode, monkeypatch, "me").source
    assert isinstance(source, Served)
    assert source.me == "me"
    assert isinstance(source.fallback, LocalSource) is falls_back


@pytest.mark.parametrize(("mode", "me"), [("auto", None), ("direct", None), ("direct", "me")])
def test_without_a_server_or_by_configuration_the_process_serves_itself(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch, mode: str, me: object
) -> None:
    assert isinstance(in_mode(config_dir, mode, monkeypatch, me).source, LocalSource)


def test_a_server_that_is_asked_for_and_is_not_there_is_told(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="mode is 'server'"):
        _ = in_mode(config_dir, "server", monkeypatch, None).source


SCRIPT = """
import os, sys, threading
from jupyter_tokens import get_token
from jupyter_tokens import client

assert get_token("a").reveal() == "t0k3n"
held, done = threading.Event(), threading.Event()

def hold():
    shared = client.shared_client()
    source = shared.source
    with shared._lock, source._opening, source._lock:
        held.set()
        done.wait(30)

thread = threading.Thread(target=hold)
thread.start()
held.wait(30)
child = os.fork()
if not child:
    os._exit(0 if get_token("a").reveal() == "t0k3n" else 1)
done.set()
thread.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_gets_tokens_though_locks_were_held_when_it_began(config_dir: Path) -> None:
    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall(raw_answer(b'{"access_token": "t0k3n", "expires_in": 1800}'))

    with loopback(handle) as served:
        configure(config_dir, {"a": {**ONEACCESS, "endpoint": served.url}})
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT], check=False, capture_output=True, timeout=300
        )
    assert done.returncode == 0, done.stderr.decode()
    assert (len(served.requests), served.connections) == (2, 2)


class TestPickledAuth:
    def test_is_names_alone(self, shared: Bench) -> None:
        pickled = pickle.dumps(get_token("job", TargetId="dlc1").auth)
        assert b"dlc1" in pickled
        assert b"t1" not in pickled.replace(b"dlc1", b"")
        assert CANARY.encode() not in pickled

    def test_asks_the_one_source_of_the_process(self, shared: Bench) -> None:
        pickled = pickle.dumps(get_token("mine").auth)
        seen = []
        with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as api:
            for _ in range(3):
                auth = pickle.loads(pickle.dumps(pickle.loads(pickled)))
                assert repr(auth) == "<TokenAuth mine>"
                seen.append(api.get("https://api.example.com", auth=auth).request.headers["Authorization"])
        assert seen == ["Bearer t1"] * 3
        assert len(shared.vendor.requests) == 1

    def test_fetches_a_newer_token_after_a_401(self, shared: Bench) -> None:
        auth = pickle.loads(pickle.dumps(get_token("mine").auth))
        answers = iter([401, 200])
        with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(next(answers)))) as api:
            shared.clock.advance(1)
            assert api.get("https://api.example.com", auth=auth).request.headers["Authorization"] == "Bearer t2"

    def test_an_unknown_profile_is_an_error_at_the_first_request(self, shared: Bench) -> None:
        pickled = pickle.dumps(get_token("mine").auth).replace(b"mine", b"nine")
        with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as api:
            auth = pickle.loads(pickled)
            with pytest.raises(UnknownProfile):
                api.get("https://api.example.com", auth=auth)

    def test_a_copy_is_itself(self, bench: Bench) -> None:
        # Another client than the process's one.
        auth = bench.client.get("mine").auth
        assert copy.copy(auth) is auth
        assert copy.deepcopy({"auth": auth})["auth"] is auth

    def test_a_created_token_can_be_fetched_by_nobody(self, shared: Bench) -> None:
        with pytest.raises(TypeError, match="create_token"):
            pickle.dumps(create_token("stored", account_id="a", user_id="u", name="n").auth)

    def test_a_token_names_what_to_ship_instead(self, shared: Bench) -> None:
        with pytest.raises(TypeError, match=r"token\.auth.*issue_handle\('mine'\)"):
            pickle.dumps(get_token("mine"))


class Issuing(LocalSource):
    """A source with an issuer, which a test can have at any address."""

    url = "https://hub.example.com/jupyter-tokens"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked: list[str] = []

    def issue(self, handle: Handle, lease: float) -> Handle:
        self.asked.append(f"issue {lease:g}")
        return replace(handle, url=self.url)

    def revoke(self, handle: Handle) -> None:
        self.asked.append("revoke")


class TestIssuing:
    @pytest.fixture
    def source(self, shared: Bench) -> Iterator[Issuing]:
        shared.client._source = source = Issuing(
            Profiles.from_settings({"mine": ONEACCESS, "job": PAI}), clock=shared.clock
        )
        yield source
        shared.client.close()

    def test_from_issue_to_revocation(self, source: Issuing) -> None:
        handle = issue_handle("job", lease=60, TargetId="dlc1", params={"ExpireTime": 60})
        assert dict(handle.params) == {"TargetId": "dlc1", "ExpireTime": "60"}
        assert shared_client().leases.has(handle)
        assert shared_client().leases.handles == [handle]
        revoke_handle(handle)
        assert source.asked == ["issue 60", "revoke"]
        assert not shared_client().leases.has(handle)
        assert shared_client().leases.handles == []

    def test_all_are_revoked_when_the_client_is_closed(self, source: Issuing) -> None:
        issue_handle("mine")
        issue_handle("mine")
        shared_client().close()
        assert source.asked == ["issue 900", "issue 900", "revoke", "revoke"]

    @pytest.mark.parametrize(
        "url", ["http://hub.example.com/jupyter-tokens", "http://10.0.0.5:8888/x", "http://[::2]/x"]
    )
    def test_not_over_plain_http_to_other_machines(self, source: Issuing, url: str) -> None:
        with pytest.raises(ConfigurationError, match="plain HTTP"):
            issue_handle("mine", url=url)
        assert source.asked == ["issue 900", "revoke"]
        assert issue_handle("mine", url=url, allow_plain=True).url == url

    @pytest.mark.parametrize("allow_plain", [False, True])
    @pytest.mark.parametrize("url", ["htps://h/x", "10.0.0.5:8888/x", "my.host:8888/x", "//h/x", "x"])
    def test_not_over_what_is_no_scheme_of_an_issuer(self, source: Issuing, *, url: str, allow_plain: bool) -> None:
        with pytest.raises(ConfigurationError, match="must begin with https://"):
            issue_handle("mine", url=url, allow_plain=allow_plain)
        assert source.asked == ["issue 900", "revoke"]

    @pytest.mark.parametrize(
        "url",
        ["http://127.0.0.1:8888/x", "http://localhost/x", "http://[::1]/x", "http+unix://%2Frun%2Fx", "https://h/x"],
    )
    def test_over_what_others_cannot_read(self, source: Issuing, url: str) -> None:
        assert issue_handle("mine", url=url).url == url

    def test_a_wrong_name_or_parameter_is_an_error_here(self, source: Issuing) -> None:
        with pytest.raises(UnknownProfile):
            issue_handle("nobody")
        with pytest.raises(ParameterError):
            issue_handle("job", NoSuch="x")
        assert source.asked == []

    def test_without_an_issuer_it_only_names(self, shared: Bench) -> None:
        handle = issue_handle("mine")
        assert handle.url == ""
        # There is no lease to end.
        revoke_handle(handle)

    def test_the_driver_itself_does_not_use_it(self, source: Issuing) -> None:
        handle = issue_handle("mine")
        shared_client().install(handle)
        assert shared_client().source is source
        # A forked child does.
        shared_client().after_fork()
        shared_client().install(handle)
        assert isinstance(shared_client().source, HandleSource)
        shared_client().source.close()


class TestInstalling:
    HANDLE = Handle("mine", (), "0" * 32, b"k" * 32)

    def test_before_the_first_use(self, bench: Bench) -> None:
        bench.client.install(self.HANDLE)
        assert bench.client.opened is None
        assert bench.get() == "t1"
        assert isinstance(bench.client.source, HandleSource)

    def test_after_it(self, bench: Bench) -> None:
        before = bench.client.source
        bench.client.install(self.HANDLE)
        assert bench.get() == "t1"
        assert isinstance(bench.client.source, HandleSource)
        assert bench.client.source.entries() == before.entries()

    def test_several_and_away_again(self, bench: Bench) -> None:
        other = replace(self.HANDLE, id="1" * 32)
        bench.client.uninstall(other)
        for handle in (self.HANDLE, other):
            bench.client.install(handle)
            bench.client.source.about("mine")
        for handle in (self.HANDLE, other):
            bench.client.uninstall(handle)
        assert bench.get() == "t1"

    def test_whoever_hears_of_the_loss_may_read_the_source(self, bench: Bench) -> None:
        bench.client.install(self.HANDLE)
        bench.client.source.about("mine")
        read: list[object] = []
        bench.client.source.watch(lambda *_: None, lambda: read.append(bench.client.source))
        removal = threading.Thread(target=bench.client.uninstall, args=(self.HANDLE,), daemon=True)
        removal.start()
        removal.join(60)
        assert not removal.is_alive()
        assert read

    def test_a_forked_child_of_a_worker_keeps_it(self, bench: Bench) -> None:
        bench.client.install(self.HANDLE)
        bench.client.after_fork()
        assert isinstance(bench.client.source, HandleSource)

    def test_by_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "handle.json"
        file.write_text(self.HANDLE.to_json())
        monkeypatch.setenv(HANDLE_VARIABLE, str(file))
        client = Client()
        assert isinstance(client.source, HandleSource)
        with pytest.raises(UnknownProfile, match="mine"):
            client.get("mine")

    def test_by_a_file_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(HANDLE_VARIABLE, str(tmp_path / "nothing.json"))
        with pytest.raises(ConfigurationError, match="cannot be read"):
            Client().get("mine")
