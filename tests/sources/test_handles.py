"""The worker's source: which handle fits which call, and what happens without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ConfigurationError,
    HandleRefused,
    ParameterError,
    ServerGone,
    TokenError,
    UnknownProfile,
)
from jupyter_tokens.protocol.handles import Handle, Handles
from jupyter_tokens.protocol.messages import About, token_to_dict
from jupyter_tokens.protocol.proof import HEADER
from jupyter_tokens.sources.handles import HandleSource
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Token

from ..doubles import CANARY, Clock
from ..hearing import free_port
from .test_remote import serving, web_of


class Issuer:
    """Serves holders of handles over HTTP, by the table that all issuers use."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.handles = Handles(clock)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.url = ""

    def issue(self, profile: str = "oneaccess", **params: Any) -> Handle:
        handle = replace(Handle.new(profile, params), url=self.url)
        self.handles.issue("user", handle_id=handle.id, key=handle.key.hex(), profile=profile, params=params)
        return handle

    def handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                handle_id, action = self.path.split("/")[-2:]
                try:
                    issued = issuer.handles.check(handle_id, action, self.headers[HEADER], body)
                    asked = json.loads(body)
                    params = issued.call_params(asked["profile"], asked["params"])
                except TokenError as error:
                    self._answer(403, error.to_dict())
                else:
                    token = issuer.token(issued.profile)
                    issuer.asked.append((issued.profile, params))
                    self._answer(200, token)

            def _answer(self, status: int, facts: dict[str, Any]) -> None:
                raw = json.dumps(facts).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                """Silent."""

        return Handler

    def token(self, profile: str) -> dict[str, Any]:
        now = self.clock.now()
        token = Token(
            f"{CANARY}-{len(self.asked)}",
            profile=profile,
            provider="oneaccess",
            obtained_at=utc(now),
            expires_at=utc(now + 100),
        )
        return token_to_dict(token, About("OneAccess", "VARIABLE", sandbox=True), scheme="Bearer", now=now, value=True)


@pytest.fixture
def issuer(clock: Clock) -> Iterator[Issuer]:
    issuer = Issuer(clock)
    with serving(web_of(issuer.handler())) as (_, port):
        issuer.url = f"http://127.0.0.1:{port}/services/jupyter-tokens/v1"
        yield issuer


@pytest.fixture
def opened(clock: Clock) -> Iterator[Callable[..., HandleSource]]:
    sources: list[HandleSource] = []
    own = {"provider": "static", "token": f"{CANARY}-own", "env": "OWN"}

    def make(*handles: Handle, profiles: tuple[str, ...] = ()) -> HandleSource:
        local = LocalSource(Profiles.from_settings(dict.fromkeys(profiles, own)), clock=clock)
        sources.append(HandleSource(lambda: local, handles, clock=clock))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def value(source: HandleSource, profile: str = "oneaccess", **params: Any) -> str:
    return source.get(source.key(profile, params)).reveal()


def test_asks_the_issuer_once_for_each_life(issuer: Issuer, opened: Any, clock: Clock) -> None:
    source = opened(issuer.issue())
    assert {value(source) for _ in range(3)} == {f"{CANARY}-0"}
    clock.advance(100)
    assert value(source) == f"{CANARY}-1"
    assert len(issuer.asked) == 2
    assert source.about("oneaccess").env == "VARIABLE"
    # A later handle, which has fetched nothing yet, hides none of it.
    source.add(issuer.issue())
    assert source.about("oneaccess").env == "VARIABLE"


def test_the_handle_whose_parameters_fit(issuer: Issuer, opened: Any) -> None:
    source = opened(issuer.issue("pai-dlc", TargetId="a"), issuer.issue("pai-dlc", TargetId="b", ExpireTime=60))
    value(source, "pai-dlc", TargetId="a")
    value(source, "pai-dlc", TargetId="b")
    value(source, "pai-dlc", ExpireTime=60)
    assert [params["TargetId"] for _, params in issuer.asked] == ["a", "b", "b"]
    with pytest.raises(HandleRefused, match="not for calls with these parameters"):
        value(source, "pai-dlc", TargetId="c")


def test_a_handle_that_has_ended_is_refused_with_what_to_do(issuer: Issuer, opened: Any, clock: Clock) -> None:
    handle = issuer.issue()
    source = opened(handle)
    value(source)
    issuer.handles.revoke(handle.id)
    # What is held stays valid.
    value(source)
    clock.advance(100)
    with pytest.raises(HandleRefused, match="revoked") as caught:
        value(source)
    assert caught.value.hint
    # A newer one takes its place.
    newer = issuer.issue()
    source.add(newer)
    assert value(source) == f"{CANARY}-1"
    # If that ends first, an older one that has not ended is used again.
    latest = issuer.issue()
    source.add(latest)
    issuer.handles.revoke(latest.id)
    clock.advance(100)
    assert value(source) == f"{CANARY}-2"
    issuer.handles.revoke(newer.id)
    clock.advance(100)
    with pytest.raises(HandleRefused, match="revoked"):
        value(source)
    # If all handles are refused, the error comes from the latest handle.
    source.add(replace(Handle.new("oneaccess", {}), url=latest.url))
    with pytest.raises(HandleRefused, match="does not know this handle"):
        value(source)


def test_one_that_is_removed_is_used_no_more(issuer: Issuer, opened: Any) -> None:
    handle = issuer.issue()
    source = opened(handle, profiles=("oneaccess",))
    assert value(source) == f"{CANARY}-0"
    source.remove(handle)
    source.remove(handle)
    assert value(source) == f"{CANARY}-own"


def test_other_profiles_are_the_processs_own(issuer: Issuer, opened: Any) -> None:
    source = opened(issuer.issue(), profiles=("mine",))
    assert value(source, "mine") == f"{CANARY}-own"
    assert [entry.name for entry in source.entries()] == ["mine"]
    assert source.about("mine").env == "OWN"
    with pytest.raises(UnknownProfile) as caught:
        value(source, "nobody")
    assert "driver" not in caught.value.hint
    assert issuer.asked == []


def test_without_an_issuer_the_names_lead_to_the_own_configuration(opened: Any) -> None:
    handle = Handle.new("mine", {})
    assert value(opened(handle, profiles=("mine",)), "mine") == f"{CANARY}-own"
    with pytest.raises(UnknownProfile) as caught:
        value(opened(handle), "mine")
    assert "The handle has no issuer" in caught.value.hint


def test_without_an_issuer_the_own_configuration_decides_on_parameters(opened: Any) -> None:
    with pytest.raises(ParameterError):
        value(opened(Handle.new("mine", {}), profiles=("mine",)), "mine", TargetId="a")


def test_an_issuer_that_is_gone_is_an_error_and_not_another_source(opened: Any) -> None:
    handle = replace(Handle.new("mine", {}), url=f"http://127.0.0.1:{free_port()}/jupyter-tokens")
    with pytest.raises(ServerGone, match="issuer of the handle") as caught:
        value(opened(handle, profiles=("mine",)), "mine")
    assert handle.url in str(caught.value)


def test_a_worker_neither_creates_nor_lists_nor_issues(issuer: Issuer, opened: Any) -> None:
    source = opened(issuer.issue())
    with pytest.raises(HandleRefused, match="cannot create"):
        source.create("oneaccess", {})
    with pytest.raises(ConfigurationError, match="cannot be listed in this process"):
        source.list_values("oneaccess", "scope", {})
    with pytest.raises(ConfigurationError, match="cannot issue"):
        source.issue(Handle.new("oneaccess", {}), 900.0)


def test_the_key_is_in_no_request(issuer: Issuer, opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    handle = issuer.issue()
    value(opened(handle))
    assert handle.key.hex() not in caplog.text + repr(issuer.asked)
