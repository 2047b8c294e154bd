"""`Token.auth` under real clients: httpx and httpx2 over a scripted transport, requests against a loopback server."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import requests

from jupyter_tokens import auth
from jupyter_tokens.clock import utc
from jupyter_tokens.token import Token

from .doubles import CANARY, NOW, Loopback, Script, loopback, raw_answer

URL = "https://api.example.com/things"


class Source:
    """Tokens with ascending numbers, as a source would hand them out."""

    def __init__(self) -> None:
        self.number = 0
        self.refused: list[Token | None] = []
        self.threads: set[int] = set()

    def token(self) -> Token:
        made = Token(f"{CANARY}-{self.number}", profile="mine", provider="astra", obtained_at=utc(NOW))
        return made.renewed_by(self.renew)

    def renew(self, refused: Token | None) -> Token:
        self.threads.add(threading.get_ident())
        self.refused.append(refused)
        self.number += refused is not None
        return self.token()


@pytest.fixture
def source() -> Source:
    return Source()


def bearers(script: Script) -> list[str]:
    return [request.headers["Authorization"].removeprefix(f"Bearer {CANARY}-") for request in script.requests]


def call_sync(script: Script, token: Token, **options: Any) -> httpx.Response:
    with httpx.Client(transport=script) as client:
        return client.request("POST", URL, auth=token.auth, **options)


def call_async(script: Script, token: Token, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=script) as client:
            return await client.request("POST", URL, auth=token.auth, **options)

    return asyncio.run(go())


class Script2(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A script's answers for httpx2, which has classes of its own."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.SyncByteStream)
        return self._answer(request, b"".join(request.stream))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        return self._answer(request, b"".join([part async for part in request.stream]))

    def _answer(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        headers = [pair for pair in request.headers.raw if pair[0].lower() != b"transfer-encoding"]
        same = httpx.Request(request.method, str(request.url), headers=headers, content=body)
        return httpx2.Response(self.script.handle_request(same).status_code)


def call_httpx2(script: Script, token: Token, **options: Any) -> httpx2.Response:
    with httpx2.Client(transport=Script2(script), auth=token.auth) as client:
        return client.request("POST", URL, **options)


def call_httpx2_async(script: Script, token: Token, **options: Any) -> httpx2.Response:
    async def go() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=Script2(script), auth=token.auth) as client:
            return await client.request("POST", URL, **options)

    return asyncio.run(go())


both = pytest.mark.parametrize("call", [call_sync, call_async, call_httpx2, call_httpx2_async])
Call = Callable[..., httpx.Response]


def statuses(*numbers: int) -> Script:
    return Script(*(httpx.Response(number) for number in numbers))


@both
def test_a_fresh_token_is_asked_for_at_each_request(call: Call, source: Source) -> None:
    token = source.token()
    source.number = 5
    script = statuses(200, 200)
    call(script, token)
    source.number = 6
    call(script, token)
    assert bearers(script) == ["5", "6"]
    assert source.refused == [None, None]


@both
def test_a_401_is_answered_once_with_a_token_newer_than_the_refused_one(call: Call, source: Source) -> None:
    script = statuses(401, 200)
    response = call(script, source.token(), content=b"body")
    assert response.status_code == 200
    assert bearers(script) == ["0", "1"]
    assert [request.content for request in script.requests] == [b"body", b"body"]
    refused = source.refused[1]
    assert refused is not None
    assert refused.reveal() == f"{CANARY}-0"


@both
def test_a_second_401_is_the_users_answer(call: Call, source: Source) -> None:
    script = statuses(401, 401)
    assert call(script, source.token()).status_code == 401
    assert len(script.requests) == 2


@both
@pytest.mark.parametrize("status", [400, 403, 500])
def test_other_refusals_are_not_answered(call: Call, source: Source, status: int) -> None:
    script = statuses(status)
    assert call(script, source.token()).status_code == status
    assert source.refused == [None]


@both
def test_without_a_source_the_token_itself_is_used_and_a_401_stands(call: Call) -> None:
    script = statuses(401)
    token = Token(f"{CANARY}-9", profile="mine", provider="astra", obtained_at=utc(NOW))
    assert call(script, token).status_code == 401
    assert bearers(script) == ["9"]


@pytest.mark.parametrize("call", [call_sync, call_httpx2])
def test_a_body_that_cannot_be_sent_again_leaves_the_401_and_renews_for_the_next_request(
    call: Call, source: Source
) -> None:
    script = statuses(401, 200)
    token = source.token()
    response = call(script, token, content=iter([b"once"]))
    assert response.status_code == 401
    assert source.number == 1
    call(script, token)
    assert bearers(script) == ["0", "1"]


WITHOUT = """
import sys
sys.modules["httpx2"] = None
import httpx
from jupyter_tokens.auth import TokenAuth
assert TokenAuth.__mro__[1:] == (httpx.Auth, object)
"""
IN_ITS_PLACE = """
import sys
import httpx2
sys.modules["httpx"] = httpx2
from jupyter_tokens.auth import TokenAuth
assert TokenAuth.__mro__[1:] == (httpx2.Auth, object)
"""
LATE = """
from datetime import datetime, timezone
from jupyter_tokens.token import Token
auth = Token("t0k3n", profile="p", provider="x", obtained_at=datetime.now(timezone.utc)).auth
import httpx2
seen = []
transport = httpx2.MockTransport(lambda request: seen.append(request.headers) or httpx2.Response(200))
httpx2.Client(transport=transport, auth=auth).get("https://api.example.com")
assert seen[0]["authorization"] == "Bearer t0k3n"
"""


@pytest.mark.parametrize("code", [WITHOUT, IN_ITS_PLACE, LATE], ids=["without", "in httpx's place", "imported later"])
def test_httpx2_is_no_condition_and_may_come_at_any_time(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_httpx2_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    spec = importlib.util.spec_from_file_location("jupyter_tokens.auth_alone", auth.__file__)
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    assert isinstance(alone.TokenAuth("mine", {}, None), httpx.Auth)


def test_an_async_body_that_cannot_be_sent_again_leaves_the_401(source: Source) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"once"

    script = statuses(401)
    assert call_async(script, source.token(), content=once()).status_code == 401
    assert source.number == 1


def test_a_refresh_does_not_block_the_event_loop(source: Source) -> None:
    call_async(statuses(401, 200), source.token())
    assert threading.get_ident() not in source.threads


def test_repr_names_the_profile_only(source: Source) -> None:
    assert repr(source.token().auth) == "<TokenAuth mine>"


# requests


def status_of(request: bytes) -> str:
    return "200 OK" if f"{CANARY}-1".encode() in request else "401 Unauthorized"


@pytest.fixture
def guarded() -> Iterator[Loopback]:
    """Accepts the token number 1 alone."""

    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall(raw_answer(b"told", status_of(request)))

    with loopback(handle) as served:
        yield served


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


def test_requests_answers_a_401_once_with_a_newer_token(
    guarded: Loopback, session: requests.Session, source: Source
) -> None:
    response = session.post(guarded.url, data=b"body", auth=source.token().auth)
    assert response.status_code == 200
    assert [earlier.status_code for earlier in response.history] == [401]
    assert [request.endswith(b"\r\n\r\nbody") for request in guarded.requests] == [True, True]
    assert guarded.connections == 1


def test_requests_leaves_a_second_401_to_the_user(guarded: Loopback, session: requests.Session, source: Source) -> None:
    source.number = 5
    response = session.get(guarded.url, auth=source.token().auth)
    assert response.status_code == 401
    assert len(guarded.requests) == 2
    assert len(source.refused) == 2


def test_requests_does_not_retry_success(guarded: Loopback, session: requests.Session, source: Source) -> None:
    source.number = 1
    assert session.get(guarded.url, auth=source.token().auth).status_code == 200
    assert source.refused == [None]


def test_requests_asks_for_a_fresh_token_each_time(
    guarded: Loopback, session: requests.Session, source: Source
) -> None:
    auth = source.token().auth
    source.number = 1
    for _ in range(3):
        assert session.get(guarded.url, auth=auth).status_code == 200
    assert source.refused == [None] * 3


def test_requests_without_a_source_leaves_a_401(guarded: Loopback, session: requests.Session) -> None:
    token = Token("x", profile="mine", provider="astra", obtained_at=utc(NOW))
    assert session.get(guarded.url, auth=token.auth).status_code == 401
    assert len(guarded.requests) == 1


def test_requests_sends_a_file_again_from_where_it_stood(
    guarded: Loopback, session: requests.Session, source: Source, tmp_path: Path
) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"skipped-sent")
    with file.open("rb") as body:
        body.seek(8)
        assert session.post(guarded.url, data=body, auth=source.token().auth).status_code == 200
    assert [request.rpartition(b"\r\n\r\n")[2] for request in guarded.requests] == [b"sent", b"sent"]


class OneWay(io.BytesIO):
    """A file that does not know where it stands."""

    def tell(self) -> int:
        raise OSError("a pipe")


@pytest.mark.parametrize("body", [OneWay(b"once"), iter([b"once"])], ids=["pipe", "iterator"])
def test_requests_does_not_send_again_what_is_gone_but_renews(
    session: requests.Session, source: Source, body: Iterable[bytes]
) -> None:
    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall(raw_answer(b"", "401 Unauthorized"))

    with loopback(handle) as served:
        headers = {"Transfer-Encoding": "chunked"}
        response = session.post(served.url, data=body, auth=source.token().auth, headers=headers)
    assert response.status_code == 401
    assert len(served.requests) == 1
    assert source.number == 1


def redirect_to(url: Callable[[], str], status: str) -> Callable[[socket.socket, bytes], None]:
    def handle(connection: socket.socket, request: bytes) -> None:
        if b" /next " in request:
            connection.sendall(raw_answer(b"", status_of(request)))
        else:
            connection.sendall(raw_answer(b"", status, Location=url() + "/next"))

    return handle


@pytest.mark.parametrize("renewed", [False, True])
def test_requests_hands_another_host_no_token_in_a_header_of_its_own(
    guarded: Loopback, session: requests.Session, *, renewed: bool
) -> None:
    """Of itself requests keeps Authorization alone from another host."""
    made = Token(CANARY, profile="mine", provider="x", obtained_at=utc(NOW), scheme="", header="X-Auth-Token")

    def handle(connection: socket.socket, request: bytes) -> None:
        # To another path of this host first, and from there to the other one.
        here = request.split(b" ")[1] == b"/"
        connection.sendall(raw_answer(b"", "302 Found", Location="/second" if here else f"{guarded.url}/next"))

    with loopback(handle) as first:
        response = session.get(first.url, auth=(made.renewed_by(lambda _refused: made) if renewed else made).auth)
    assert response.status_code == 401
    assert [b"X-Auth-Token: " + CANARY.encode() in request for request in first.requests] == [True, True]
    assert [CANARY.encode() in request for request in guarded.requests] == [False]


def test_requests_hands_another_host_no_token(guarded: Loopback, session: requests.Session, source: Source) -> None:
    with loopback(redirect_to(lambda: guarded.url, "302 Found")) as first:
        response = session.get(first.url, auth=source.token().auth)
    assert response.status_code == 401
    assert CANARY.encode() in first.requests[0]
    assert [CANARY.encode() in request for request in guarded.requests] == [False]
    assert source.refused == [None]


def test_requests_answers_a_401_behind_a_redirect_of_the_same_host(
    session: requests.Session, source: Source, tmp_path: Path
) -> None:
    """After 303 the body is gone, which must not be gone back to."""
    file = tmp_path / "data"
    file.write_bytes(b"body")
    urls: list[str] = []
    with loopback(redirect_to(lambda: urls[0], "303 See Other")) as served, file.open("rb") as body:
        urls.append(served.url)
        response = session.post(served.url, data=body, auth=source.token().auth)
    assert response.status_code == 200
    assert [request.split(b" ")[0] for request in served.requests] == [b"POST", b"GET", b"GET"]


@pytest.mark.parametrize(("behind", "status"), [("200 OK", 200), ("401 Unauthorized", 401)])
def test_requests_follows_a_redirect_with_the_newer_token_and_asks_for_no_third(
    session: requests.Session, source: Source, behind: str, status: int
) -> None:
    def handle(connection: socket.socket, request: bytes) -> None:
        if b" /next " in request:
            connection.sendall(raw_answer(b"", behind))
        elif f"{CANARY}-1".encode() in request:
            connection.sendall(raw_answer(b"", "302 Found", Location="/next"))
        else:
            connection.sendall(raw_answer(b"", "401 Unauthorized"))

    with loopback(handle) as served:
        response = session.get(served.url, auth=source.token().auth)
    assert response.status_code == status
    assert [request.split(b" ")[1] for request in served.requests] == [b"/", b"/", b"/next"]
    assert f"{CANARY}-1".encode() in served.requests[2]
    assert source.number == 1
