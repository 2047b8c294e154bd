"""Tokens from the Jupyter server: proof, kept connections, errors as they were, and what happens without a server."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import MappingProxyType
from typing import Any

import httpx
import pytest
import trustme

from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ConfigurationError,
    LoginNeeded,
    ParameterError,
    ResponseError,
    ServerGone,
    ServerUntrusted,
    Throttled,
    TimedOut,
    TokenError,
    Unauthorized,
    UnknownProfile,
)
from jupyter_tokens.protocol.messages import About, ProfileEntry
from jupyter_tokens.protocol.proof import HEADER, Identity, Proof
from jupyter_tokens.sources import connection, remote
from jupyter_tokens.sources.base import TokenSource
from jupyter_tokens.sources.cache import Ask, Key
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.sources.remote import RemoteSource
from jupyter_tokens.token import Token

from ..doubles import CANARY, Clock, loopback
from ..hearing import free_port

KERNEL = "0b8e2a5e-6e0b-4c53-a0a1-6c3f1f2c7a11"
KEY = b"connection-key"
Make = Callable[..., RemoteSource]


def told(**changes: Any) -> dict[str, Any]:
    """The server's answer for a token."""
    return {
        "profile": "oneaccess",
        "provider": "oneaccess",
        "title": "Huawei Cloud OneAccess",
        "env": "ONEACCESS_TOKEN",
        "sandbox": True,
        "scheme": "Bearer",
        "base_url": None,
        "header": "Authorization",
        "has_value": True,
        "value": CANARY,
        "expires_at": "2026-01-15T09:00:00+00:00",
        "expires_in": 1800.0,
        "obtained_at": "2026-01-15T08:30:00+00:00",
        "metadata": {"scope": "all"},
    } | changes


class Server:
    """Answers like the extension, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.nonces: set[str] = set()
        self.connections: set[Any] = set()
        self.reply: Callable[[dict[str, Any]], tuple[int, Any]] = lambda _: (200, told())
        self.close_after = False

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proof = Proof.parse(self.headers[HEADER])
                *_, kernels, kernel, action = self.path.split("/")
                assert (kernels, kernel) == ("kernels", KERNEL)
                assert proof.matches(KEY, kernel, action, body)
                assert proof.nonce not in server.nonces
                server.nonces.add(proof.nonce)
                server.connections.add(self.connection)
                server.asked.append({"action": action, "path": self.path, **json.loads(body)})
                status, reply = server.reply(server.asked[-1])
                raw = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                # Who asked may have given up.
                with suppress(ConnectionError):
                    self.wfile.write(raw)
                self.close_connection = self.close_connection or server.close_after

            def log_message(self, *_: object) -> None:
                """Silent."""

        return Handler


def web_of(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    web = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    web.daemon_threads = True
    return web


@contextmanager
def serving(server: HTTPServer | UnixStreamServer) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def me(server: Server) -> Iterator[Identity]:
    with serving(web_of(server.handler())) as (_, port):
        yield Identity(f"http://127.0.0.1:{port}/base/jupyter-tokens/", None, KERNEL, KEY)


@pytest.fixture
def opened() -> Iterator[Callable[..., RemoteSource]]:
    """Makes sources, and closes them."""
    sources: list[RemoteSource] = []

    def make(me: Identity, **options: Any) -> RemoteSource:
        sources.append(RemoteSource(me, **options))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def nobody() -> Identity:
    return Identity(f"http://127.0.0.1:{free_port()}/jupyter-tokens", None, KERNEL, KEY)


def test_a_list_of_texts_is_sent_as_one(opened: Make, server: Server, me: Identity) -> None:
    source = opened(me)
    keys = {source.key("oneaccess", {"s": given}) for given in (["a", "b c"], ("a", "b c"))}
    (key,) = keys
    source.get(key)
    assert server.asked[0]["params"] == {"s": ["a", "b c"]}
    assert str(key) == "oneaccess s=a b c"


def test_a_token_comes_by_proof_and_is_held(opened: Make, server: Server, me: Identity, clock: Clock) -> None:
    source = opened(me, clock=clock)
    key = source.key("oneaccess", {"b": 1, "a": "x"})
    token = source.get(key)
    assert token.reveal() == CANARY
    assert (token.profile, token.provider, dict(token.metadata)) == ("oneaccess", "oneaccess", {"scope": "all"})
    assert source.get(key) is token
    assert len(server.asked) == 1
    assert server.asked[0] == {
        "action": "token",
        "path": f"/base/jupyter-tokens/kernels/{KERNEL}/token",
        "profile": "oneaccess",
        "params": {"a": "x", "b": "1"},
        "refresh": False,
        "newer_than": None,
    }
    assert source.about("oneaccess") == About("Huawei Cloud OneAccess", "ONEACCESS_TOKEN", sandbox=True)
    assert source.mode == "server"


def test_what_is_left_of_a_life_counts_by_this_clock(opened: Make, me: Identity, server: Server, clock: Clock) -> None:
    server.reply = lambda _: (200, told(expires_in=600.0))
    clock.wall += 86_400
    source = opened(me, clock=clock)
    token = source.get(source.key("oneaccess"))
    assert token.expires_at == datetime.fromtimestamp(clock.wall, UTC) + timedelta(seconds=600)


def test_a_refresh_asks_for_one_that_is_newer_than_the_one_held(
    opened: Make, server: Server, me: Identity, clock: Clock
) -> None:
    source = opened(me, clock=clock)
    key = source.key("oneaccess")
    source.get(key)
    clock.advance(1790)
    source.get(key)
    assert server.asked[1]["newer_than"] == "2026-01-15T08:30:00+00:00"
    assert server.asked[1]["refresh"] is False


def test_an_asked_for_refresh_is_told_to_the_server(opened: Make, server: Server, me: Identity) -> None:
    source = opened(me)
    source.get(source.key("oneaccess"), refresh=True)
    assert server.asked[0]["refresh"] is True


def sent(token: Token, *, refused: bool) -> list[str]:
    """What reaches a consumer that refuses the first request, or none."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(401 if refused and len(seen) == 1 else 200)

    with httpx.Client(transport=httpx.MockTransport(answer), auth=token.auth) as consumer:
        consumer.get("https://consumer.example")
    return seen


def test_auth_asks_for_one_newer_than_the_refused(opened: Make, server: Server, me: Identity) -> None:
    source = opened(me)
    token = source.get(source.key("oneaccess"))
    assert sent(token, refused=True) == [f"Bearer {CANARY}"] * 2
    assert [asked.get("newer_than") for asked in server.asked] == [None, token.obtained_at.isoformat()]
    # The renewed one is what it goes on with.
    assert sent(token, refused=False)
    assert len(server.asked) == 2


def test_one_connection_serves_many_calls(opened: Make, server: Server, me: Identity) -> None:
    source = opened(me)
    for _ in range(5):
        source.get(source.key("oneaccess"), refresh=True)
    assert len(server.connections) == 1
    source.close()
    source.get(source.key("oneaccess"), refresh=True)
    assert len(server.connections) == 2


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_connection_that_the_server_closed_is_replaced(
    *, opened: Make, server: Server, me: Identity, tmp_path: Path, secure: bool
) -> None:
    server.close_after = True  # without saying so in a header, as a server that restarts does
    with over_tls(server, tmp_path) if secure else nullcontext(me) as caller:
        source = opened(caller)
        for number in range(3):
            source.get(source.key("oneaccess"), refresh=True)
            assert len(server.asked) == number + 1
            while any(one.fileno() != -1 for one in server.connections):
                time.sleep(0.01)


def test_a_login_that_is_done_ends_the_refusal_of_the_one_before(opened: Make, server: Server, me: Identity) -> None:
    source = opened(me)
    key = source.key("oneaccess")
    source.get(key)
    server.reply = lambda _: (403, LoginNeeded("The login has ended.").to_dict())
    with pytest.raises(LoginNeeded):
        source.get(key, refresh=True)
    states = iter(["waiting", "done"])
    server.reply = lambda _: (200, {"id": "7", "state": next(states), "interval": 0, "error": None})
    begun = source.login("oneaccess")
    assert isinstance(source.standing(key).error, LoginNeeded)
    source.login("oneaccess", begun["id"])
    assert (source.standing(key).error, source.keys()) == (None, [])


def test_creating_is_sent_once_on_a_new_connection(opened: Make, server: Server, me: Identity) -> None:
    source = opened(me)
    source.get(source.key("oneaccess"))
    server.reply = lambda _: (200, told(profile="astra", value="created"))
    created = source.create("astra", {"name": "n"})
    assert created.reveal() == "created"
    assert server.asked[1] == server.asked[1] | {"profile": "astra", "params": {"name": "n"}, "create": True}
    assert len(server.connections) == 2
    assert source.held(source.key("astra")) is None


def test_the_vendors_error_arrives_as_the_error_it_was(opened: Make, server: Server, me: Identity) -> None:
    told_error = {
        "message": "Bad client credentials.",
        "reason": "unauthorized",
        "code": "invalid_client",
        "request_id": "rid-1",
        "retryable": False,
    }
    server.reply = lambda _: (502, told_error)
    with pytest.raises(Unauthorized, match="Bad client credentials") as caught:
        opened(me).get(Key("oneaccess"))
    assert (caught.value.code, caught.value.request_id, caught.value.retryable) == ("invalid_client", "rid-1", False)


def test_a_retryable_error_stays_retryable(opened: Make, server: Server, me: Identity) -> None:
    server.reply = lambda _: (503, Throttled("m", retry_after=30.0).to_dict() | {"code": 5})
    with pytest.raises(Throttled) as caught:
        opened(me).get(Key("oneaccess"))
    assert caught.value.retryable
    assert caught.value.retry_after == 30.0
    assert caught.value.code is None


def test_a_reason_that_is_not_known_is_a_token_error(opened: Make, server: Server, me: Identity) -> None:
    server.reply = lambda _: (418, {"reason": "teapot"})
    with pytest.raises(TokenError, match="HTTP 418"):
        opened(me).get(Key("oneaccess"))


@pytest.mark.parametrize(
    "changes",
    [{"value": 5, "obtained_at": None}, {"obtained_at": "yesterday"}, {"expires_in": "soon"}, {"expires_in": 1e300}],
)
def test_an_answer_of_another_form_is_refused_without_its_content(
    opened: Make, server: Server, me: Identity, changes: dict[str, Any]
) -> None:
    server.reply = lambda _: (200, told(**changes))
    with pytest.raises(ResponseError, match="same version") as caught:
        opened(me).get(Key("oneaccess"))
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[1]", b"[" * 100_000])
def test_something_else_at_the_address_is_no_server_of_ours(
    opened: Make, server: Server, me: Identity, raw: bytes
) -> None:
    server.reply = lambda _: (200, raw)
    with pytest.raises(ServerGone, match="something other than jupyter_tokens"):
        opened(me).get(Key("oneaccess"))


@pytest.fixture
def hung(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What has to be set before the server answers; it is looked at soon."""
    monkeypatch.setattr(connection, "_QUIET_SECONDS", 0.05)
    going_on = threading.Event()
    yield going_on
    going_on.set()


@pytest.mark.parametrize("kept", [True, False], ids=["kept connection", "new connection"])
def test_a_server_that_hangs_is_told_soon(
    *, opened: Make, server: Server, me: Identity, hung: threading.Event, kept: bool
) -> None:
    source = opened(me)
    key = source.key("oneaccess")
    token = source.get(key)
    server.reply = lambda _: (200, told() if hung.wait(60) else None)
    if not kept:
        source.close()
    asks = (partial(source.get, key, refresh=True), partial(source.create, "astra", {}), source.entries)
    for ask in asks:
        source.connection_error = None
        # Long before a vendor's time is up.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(remote, "_QUICK_SECONDS", 0.02)
            with pytest.raises(TimedOut, match="The Jupyter server does not answer"):
                ask()
        assert isinstance(source.connection_error, TimedOut)
    # What lives is served.
    assert source.get(key) is token
    hung.set()
    assert source.get(key, refresh=True) is not token
    assert source.connection_error is None


@pytest.mark.parametrize("status", [200, 500], ids=["all is well", "it has another trouble"])
def test_a_slow_vendor_is_waited_for_while_the_server_answers_what_needs_none(
    *, opened: Make, server: Server, me: Identity, hung: threading.Event, status: int
) -> None:
    class Running(Clock):
        def elapsed(self) -> float:
            self.advance(3.0)
            return self.ticks

    def reply(asked: dict[str, Any]) -> tuple[int, Any]:
        if asked["action"] == "token":
            return (200, told()) if hung.wait(60) else (500, {})
        if len(server.asked) == 4:
            hung.set()
        return status, listed() if status == 200 else {"reason": "error"}

    server.reply = reply
    assert opened(me, clock=Running()).create("oneaccess", {}).reveal() == CANARY
    assert [asked["action"] for asked in server.asked][:4] == ["token", "profiles", "profiles", "profiles"]


def test_a_server_that_has_just_answered_somebody_is_not_looked_at(
    opened: Make, server: Server, me: Identity, hung: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(me, clock=Clock())
    look, looks = source._check_alive, []

    def counted() -> None:
        look()
        looks.append(1)
        if len(looks) == 3:
            hung.set()

    monkeypatch.setattr(source, "_check_alive", counted)
    server.reply = lambda asked: (200, listed() if asked["action"] == "profiles" else told())
    source.entries()
    server.reply = lambda _: (200, told()) if hung.wait(60) else (500, {})
    assert source.create("oneaccess", {}).reveal() == CANARY
    assert [asked["action"] for asked in server.asked] == ["profiles", "token"]


def test_a_server_that_forgets_the_kernel_meanwhile_is_not_waited_for(
    opened: Make, server: Server, me: Identity, hung: threading.Event
) -> None:
    def reply(asked: dict[str, Any]) -> tuple[int, Any]:
        if asked["action"] == "token":
            return (200, told()) if hung.wait(60) else (500, {})
        return 403, {"reason": "unknown_kernel"}

    server.reply = reply
    with pytest.raises(ServerGone, match="does not know this kernel"):
        opened(me).create("oneaccess", {})


def test_a_vendor_that_takes_too_long_is_not_waited_for_for_ever(
    opened: Make, server: Server, me: Identity, hung: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote.RemoteSource, "token_seconds", 0.15)
    server.reply = lambda asked: (200, listed() if asked["action"] == "profiles" or not hung.wait(60) else told())
    with pytest.raises(TimedOut):
        opened(me).create("oneaccess", {})


def test_the_longest_timeout_of_a_profile_ends_before_the_wait_for_the_server() -> None:
    longest = remote.RemoteSource.token_seconds - 1
    with pytest.raises(ConfigurationError, match="timeout"):
        Profiles.from_settings({"p": {"provider": "static", "token": "env:T", "timeout": longest}})["p"]


def test_another_scheme_is_not_plain_http(opened: Make, server: Server, me: Identity) -> None:
    with pytest.raises(ServerGone, match="InvalidURL"):
        opened(replace(me, url=me.url.replace("http:", "htps:"))).get(Key("oneaccess"))
    assert server.asked == []


def test_a_call_that_broke_off_may_have_reached_the_vendor(opened: Make) -> None:
    with loopback(lambda connection, _: connection.shutdown(socket.SHUT_RDWR)) as server:
        source = opened(Identity(f"{server.url}/jupyter-tokens", None, KERNEL, KEY))
        with pytest.raises(ServerGone, match="RemoteDisconnected") as caught:
            source.create("astra", {})
    assert not caught.value.unsent


@pytest.mark.parametrize("value", [["x", 5], {"a": 1}, b"x", object()])
def test_a_parameter_that_is_no_plain_value_is_refused_before_anything_is_sent(opened: Make, value: object) -> None:
    with pytest.raises(ParameterError, match="Parameter p must be"):
        opened(nobody()).key("oneaccess", {"p": value})


class Direct(TokenSource):
    """A fallback that counts."""

    mode = "direct"

    def __init__(self, *, error: TokenError | None = None) -> None:
        super().__init__()
        self.asked: list[tuple[Key, Ask]] = []
        self.error = error

    def key(self, profile: str, params: Mapping[str, Any] = MappingProxyType({})) -> Key:
        return Key(profile, tuple(params.items()))

    def fetch(self, key: Key, ask: Ask) -> Token:
        self.asked.append((key, ask))
        if self.error is not None:
            raise self.error
        return Token("direct", profile=key.profile, provider="oneaccess", obtained_at=datetime.now(UTC))

    def create(self, profile: str, params: Mapping[str, Any]) -> Token:
        raise NotImplementedError

    def entries(self) -> list[ProfileEntry]:
        return []

    def about(self, profile: str) -> About:
        return About("Direct", "DIRECT", sandbox=False)

    def close(self) -> None:
        pass


def test_without_a_server_the_fallback_serves_and_the_card_says_so(opened: Make) -> None:
    direct = Direct()
    source = opened(nobody(), fallback=direct)
    token = source.get(source.key("oneaccess", {"a": 1}))
    assert token.reveal() == "direct"
    assert direct.asked == [(Key("oneaccess", (("a", "1"),)), Ask())]
    assert source.mode.startswith("direct (the Jupyter server cannot be reached")
    assert source.about("oneaccess") == About("Direct", "DIRECT", sandbox=False)
    assert sent(token, refused=False) == ["Bearer direct"]


def test_a_fallback_and_a_new_connection_are_logged_at_debug_and_no_value_is(
    opened: Make, server: Server, me: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "jupyter_tokens"):
        alone = opened(nobody(), fallback=Direct())
        alone.get(alone.key("oneaccess"))
        server.close_after = True
        source = opened(me)
        tokens = [source.get(source.key("oneaccess"), refresh=True) for _ in range(2)]
    assert any("no answer from the Jupyter server (" in message for message in caplog.messages)
    assert "the Jupyter server has closed a kept connection; connecting again" in caplog.messages
    assert not [token for token in tokens if token.reveal() in caplog.text]
    assert me.connection_key.decode() not in caplog.text


def test_a_server_that_does_not_know_the_kernel_is_fallen_back_from_until_it_does(
    opened: Make, server: Server, me: Identity
) -> None:
    source = opened(me, fallback=Direct())
    server.reply = lambda _: (403, {"message": "m", "reason": "unknown_kernel"})
    assert source.get(source.key("oneaccess")).reveal() == "direct"
    why = "the Jupyter server does not know this kernel (HTTP 403)"
    assert source.mode == f"direct ({why})"
    server.reply = lambda _: (200, told())
    assert source.get(source.key("oneaccess"), refresh=True).reveal() == CANARY
    assert source.mode == "server"


def test_an_error_of_the_vendor_is_not_fallen_back_from(opened: Make, server: Server, me: Identity) -> None:
    direct = Direct()
    server.reply = lambda _: (502, {"message": "m", "reason": "unauthorized"})
    with pytest.raises(Unauthorized):
        opened(me, fallback=direct).get(Key("oneaccess"))
    assert direct.asked == []


def test_without_a_fallback_a_missing_server_is_an_error_that_may_pass(opened: Make) -> None:
    with pytest.raises(ServerGone, match="cannot be reached") as caught:
        opened(nobody()).get(Key("oneaccess"))
    assert caught.value.retryable
    assert caught.value.unsent


def test_a_token_that_lives_is_served_on_while_the_server_is_gone(
    opened: Make, server: Server, me: Identity, clock: Clock
) -> None:
    source = opened(me, clock=clock)
    key = source.key("oneaccess")
    token = source.get(key)
    server.reply = lambda _: (403, {"message": "m", "reason": "unknown_kernel"})
    clock.advance(1790)
    assert source.get(key) is token
    held = source.held(key)
    assert held is not None
    assert isinstance(held.error, ServerGone)
    server.reply = lambda _: (200, told(value="new", obtained_at="2026-01-15T09:00:00+00:00"))
    clock.advance(100)
    assert source.get(key).reveal() == "new"


def test_a_profile_that_was_never_served_is_known_by_name_only(opened: Make) -> None:
    assert opened(nobody()).about("x") == About("x", None, sandbox=False)


# Profiles


def listed(**changes: Any) -> dict[str, Any]:
    """The server's answer for profiles: one, and one that is wrong."""
    one = {
        "name": "oneaccess",
        "provider": "oneaccess",
        "title": "Huawei Cloud OneAccess",
        "env": "ONEACCESS_TOKEN",
        "params": {"scope": "all"},
        "sandbox": True,
        "state": "failed",
        "expires_at": None,
        "has_value": None,
        "error": {"message": "Too many calls.", "reason": "throttled"},
    }
    fact = {"message": "It is wrong.", "reason": "configuration", "code": None, "request_id": None, "retryable": False}
    wrong = dict.fromkeys(one) | {"name": "wrong", "sandbox": False, "params": {}, "error": fact}
    return {"profiles": [one, wrong], "params": {"oneaccess": {"properties": {}}}, "may_reveal": False} | changes


def test_the_profiles_are_those_that_the_server_allows(opened: Make, server: Server, me: Identity) -> None:
    server.reply = lambda _: (200, listed())
    good, wrong = opened(me).entries()
    assert good == ProfileEntry(
        "oneaccess",
        title="Huawei Cloud OneAccess",
        provider="oneaccess",
        env="ONEACCESS_TOKEN",
        sandbox=True,
        params={"scope": "all"},
        schema={"properties": {}},
        # What failed is a fetch of the server's, and says nothing of this kernel's token.
        error=None,
        may_reveal=False,
        state="failed",
        failing=True,
    )
    assert (wrong.name, wrong.title, wrong.provider, wrong.schema) == ("wrong", "", None, {})
    assert isinstance(wrong.error, ConfigurationError)
    assert str(wrong.error) == "wrong: It is wrong."
    assert [asked["action"] for asked in server.asked] == ["profiles"]


def test_without_a_server_the_profiles_are_the_fallbacks_if_it_has_any(opened: Make) -> None:
    class Fallback:
        known: list[ProfileEntry]

        def entries(self) -> list[ProfileEntry]:
            return self.known

    fallback = Fallback()
    source = opened(nobody(), fallback=fallback)
    fallback.known = [ProfileEntry("mine")]
    assert source.entries() == fallback.known
    assert isinstance(source.connection_error, ServerGone)
    fallback.known = []
    for without in (source, opened(nobody())):
        with pytest.raises(ServerGone):
            without.entries()


def test_a_profile_that_only_the_server_knows_is_not_unknown_but_the_server_gone(opened: Make) -> None:
    source = opened(nobody(), fallback=Direct(error=UnknownProfile("There is no profile.")))
    with pytest.raises(ServerGone):
        source.get(source.key("oneaccess"))
    assert source.mode == "server"


def test_it_knows_whether_the_server_is_gone(opened: Make, server: Server, me: Identity) -> None:
    source = opened(me)
    before = source.connection_error
    server.reply = lambda _: (404, {"reason": "unknown_kernel", "message": "No such kernel."})
    with pytest.raises(ServerGone):
        source.entries()
    during = source.connection_error
    server.reply = lambda _: (503, {"reason": "throttled", "message": "Too many calls."})
    with pytest.raises(Throttled):
        source.get(source.key("oneaccess"))
    assert before is source.connection_error is None
    assert isinstance(during, ServerGone)


def test_a_unix_socket_is_spoken_to(opened: Make, server: Server, tmp_path: Path) -> None:
    class UnixServer(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            request, _ = super().get_request()
            return request, ("local", 0)

    path = str(tmp_path / "s")
    with serving(UnixServer(path, server.handler())):
        quoted = path.replace("/", "%2F")
        source = opened(Identity(f"http+unix://{quoted}/jupyter-tokens", None, KERNEL, KEY))
        assert source.get(source.key("oneaccess")).reveal() == CANARY


@contextmanager
def over_tls(server: Server, folder: Path) -> Iterator[Identity]:
    """A server with a certificate of its own, issued for its public name and used by address."""
    authority = trustme.CA()
    web = web_of(server.handler())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("notebooks.example.com").configure_cert(context)
    web.socket = context.wrap_socket(web.socket, server_side=True)
    cert = folder / "server.pem"
    authority.cert_pem.write_to_path(str(cert))
    with serving(web) as (_, port):
        yield Identity(f"https://127.0.0.1:{port}/jupyter-tokens", str(cert), KERNEL, KEY)


def test_a_servers_own_certificate_is_trusted_and_no_other(opened: Make, server: Server, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    with over_tls(server, tmp_path) as me:
        trusting = opened(me)
        assert trusting.get(trusting.key("oneaccess")).reveal() == CANARY
        trusting.close()
        for cert in (str(stranger), None):
            wary = opened(replace(me, cert=cert))
            with pytest.raises(ServerUntrusted, match="SSLCertVerificationError"):
                wary.get(wary.key("oneaccess"))


@contextmanager
def asking_for_certificates(server: Server, folder: Path, authority: trustme.CA) -> Iterator[Identity]:
    """A server that talks only to clients with a certificate of the authority, as with JupyterHub's internal_ssl."""
    web = web_of(server.handler())
    # A client that is refused is no news.
    web.handle_error = lambda *_: None  # type: ignore[method-assign]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    web.socket = context.wrap_socket(web.socket, server_side=True, do_handshake_on_connect=False)
    cert = folder / "server.pem"
    authority.cert_pem.write_to_path(str(cert))
    with serving(web) as (_, port):
        yield Identity(f"https://127.0.0.1:{port}/jupyter-tokens", str(cert), KERNEL, KEY, shows_cert=True)


def given(monkeypatch: pytest.MonkeyPatch, folder: Path, authority: trustme.CA) -> None:
    """A certificate where JupyterHub puts it."""
    leaf = authority.issue_cert("user")
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    monkeypatch.setenv("JUPYTERHUB_SSL_CERTFILE", str(folder / "cert.pem"))
    monkeypatch.setenv("JUPYTERHUB_SSL_KEYFILE", str(folder / "key.pem"))


def test_the_certificate_of_the_hub_is_shown_to_a_server_that_asks_for_one(
    opened: Make, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    given(monkeypatch, tmp_path, authority)
    with asking_for_certificates(server, tmp_path, authority) as me:
        source = opened(me, fallback=Direct())
        assert source.get(source.key("oneaccess")).reveal() == CANARY
        source.close()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("none", "asks for a client certificate, and this process has none"),
        ("missing", "client certificate in JUPYTERHUB_SSL_CERTFILE and JUPYTERHUB_SSL_KEYFILE cannot be read"),
        ("stranger", "probably refuses the certificate in JUPYTERHUB_SSL_CERTFILE"),
    ],
)
def test_without_the_right_certificate_the_secret_stays_with_the_server(
    opened: Make, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    authority = trustme.CA()
    if kind != "none":
        given(monkeypatch, tmp_path, trustme.CA())
    if kind == "missing":
        (tmp_path / "key.pem").unlink()
    with asking_for_certificates(server, tmp_path, authority) as me:
        direct = Direct()
        source = opened(me, fallback=direct)
        for ask in (partial(source.get, source.key("oneaccess")), source.entries):
            with pytest.raises(ServerUntrusted, match=message) as caught:
                ask()
            assert "JUPYTERHUB_SSL" in caught.value.hint
    assert direct.asked == []
    assert server.asked == []


def test_plain_http_where_tls_is_expected_is_not_fallen_back_from(opened: Make, me: Identity) -> None:
    with pytest.raises(ServerUntrusted, match="cannot be reached over TLS"):
        opened(replace(me, url=me.url.replace("http:", "https:")), fallback=Direct()).get(Key("oneaccess"))


def choose(monkeypatch: pytest.MonkeyPatch, config_dir: Path, mode: str, me: Identity | None) -> Client:
    (config_dir / "jupyter_tokens_config.json").write_text(json.dumps({"TokenProfiles": {"mode": mode}}))
    monkeypatch.setattr("jupyter_tokens.sources.opening.identity", lambda: me)
    return Client()


@pytest.mark.parametrize(
    ("mode", "known", "kind"),
    [
        ("auto", True, RemoteSource),
        ("server", True, RemoteSource),
        ("auto", False, LocalSource),
        ("direct", True, LocalSource),
    ],
)
def test_the_configuration_chooses_who_serves(
    monkeypatch: pytest.MonkeyPatch, config_dir: Path, mode: str, known: bool, kind: type
) -> None:
    source = choose(monkeypatch, config_dir, mode, nobody() if known else None).source
    assert type(source) is kind
    if isinstance(source, RemoteSource):
        assert (source._fallback is None) == (mode == "server")
    else:
        # A card gives the reason.
        reason = (
            "no Jupyter server with jupyter_tokens started this process" if mode == "auto" else "TokenProfiles.mode"
        )
        assert source.mode == f"direct ({reason})"


def test_mode_server_without_a_server_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    with pytest.raises(ConfigurationError, match="no Jupyter server"):
        choose(monkeypatch, config_dir, "server", None).get("oneaccess")
