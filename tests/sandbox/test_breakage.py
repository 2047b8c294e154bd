"""Every kind of fault, seen by a client that looks at the raw connection."""

from __future__ import annotations

import contextlib
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.sandbox.modelarts import INSTANCE as NOTEBOOK

from .client import (
    NOW,
    PROJECT,
    Answer,
    Clock,
    acs3,
    address,
    call,
    dashscope,
    dsw,
    eiam,
    eiam_oauth,
    form,
    login,
    oneaccess,
    openid,
    raw_request,
    read_answer,
    sdk_hmac,
)
from .test_alibaba_sts import ROLE, sts
from .test_astra import TOKENS, astra
from .test_eiam import IDS
from .test_eiam_oauth import OAUTH
from .test_huawei_sts import assume
from .test_pai_dsw import DSW

CALLS: dict[str, Callable[[str], Answer]] = {
    "modelarts": lambda url: sdk_hmac(url, f"/v1/{PROJECT}/demanager/instances/{NOTEBOOK}/token"),
    "iam": login,
    "pai-dlc": acs3,
    "oneaccess": oneaccess,
    "astra": astra,
    "eiam": lambda url: eiam(url, IDS),
    "pai-dsw": lambda url: dsw(url, DSW),
    "eiam-oauth": lambda url: eiam_oauth(url, OAUTH),
    "dashscope": dashscope,
    "alibaba-sts": lambda url: sts(url, ROLE),
    "huawei-sts": assume,
    "openid": openid,
}
every_api = pytest.mark.parametrize("api", CALLS)


def code_of(answer: Answer) -> str:
    """The code in the vendor's own form of an error: for Keystone the status, for Astra the problem's number."""
    return answer.code or str(answer.json()["title"])


def struck(sandbox: Sandbox, kind: str, **options: Any) -> socket.socket:
    """A connection on which a call to OneAccess was sent that a fault hits."""
    sandbox.plan({"api": "oneaccess", "kind": kind, **options})
    body = form(grant_type="client_credentials", client_id="x", client_secret="y").encode()
    headers = {"Host": "x", "Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    sock = socket.create_connection(address(sandbox.url), timeout=300)
    sock.sendall(raw_request("POST", "/api/v2/tenant/token", headers, body))
    return sock


def until_the_body(sock: socket.socket) -> bytes:
    """Reads status line and headers, and no more."""
    seen = b""
    while not seen.endswith(b"\r\n\r\n"):
        seen += sock.recv(1)
    return seen


@every_api
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 504])
def test_a_status_comes_in_the_vendors_own_form(sandbox: Sandbox, api: str, status: int) -> None:
    sandbox.plan({"api": api, "kind": str(status)})
    answer = CALLS[api](sandbox.url)
    assert answer.status == status
    assert code_of(answer)
    assert "retry-after" not in answer.headers
    assert CALLS[api](sandbox.url).status < 300
    assert sandbox.requests[api] == 2


@pytest.mark.parametrize(
    ("api", "code"),
    [
        ("modelarts", "APIGW.9999"),
        ("iam", "500"),
        ("pai-dlc", "InternalError"),
        ("oneaccess", "system_error"),
        ("astra", "about:blank"),
        ("eiam", "InternalError"),
        ("pai-dsw", "InternalError"),
        ("eiam-oauth", "InternalError"),
        ("dashscope", "SystemError"),
        ("alibaba-sts", "InternalError"),
        ("huawei-sts", "STS5.0003"),
        ("openid", "server_error"),
    ],
)
def test_a_500_has_a_plausible_code(sandbox: Sandbox, api: str, code: str) -> None:
    sandbox.plan({"api": api, "kind": 500})
    assert CALLS[api](sandbox.url).code == code


def test_body_headers_and_wait_of_a_status_can_be_given(sandbox: Sandbox) -> None:
    extra = {"X-Extra": "1", "content-type": "text/plain"}
    sandbox.plan({"api": "oneaccess", "kind": 503, "body": "later", "headers": extra, "retry_after": 1.5})
    answer = oneaccess(sandbox.url)
    assert (answer.status, answer.body) == (503, b"later")
    assert answer.headers["retry-after"] == "2"
    assert (answer.headers["x-extra"], answer.headers["content-type"]) == ("1", "text/plain")
    sandbox.plan({"api": "eiam", "kind": 503, "retry_after": 1.5})
    assert eiam(sandbox.url, IDS).headers["x-acs-retry-after"] == "1500"


@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_status_below_400_is_bare(sandbox: Sandbox, status: int) -> None:
    sandbox.plan({"api": "oneaccess", "kind": status})
    answer = oneaccess(sandbox.url)
    assert (answer.status, answer.body) == (status, b"")
    sandbox.plan({"api": "oneaccess", "kind": status, "body": "text"})
    assert oneaccess(sandbox.url).body == (b"text" if status == 200 else b"")


@every_api
@pytest.mark.parametrize("wait", [None, 0, 3])
def test_throttling_is_the_vendors_own(sandbox: Sandbox, api: str, wait: int | None) -> None:
    sandbox.plan({"api": api, "kind": "throttle", "retry_after": wait})
    answer = CALLS[api](sandbox.url)
    seconds = 1 if wait is None else wait
    if api in ("pai-dlc", "eiam", "pai-dsw", "eiam-oauth", "alibaba-sts"):
        assert (answer.status, answer.code) == (400, "Throttling.User")
        assert answer.headers["x-acs-retry-after"] == str(seconds * 1000)
        assert "retry-after" not in answer.headers
    else:
        assert answer.status == 429
        assert answer.headers["retry-after"] == str(seconds)


def test_reset_comes_before_any_answer(sandbox: Sandbox) -> None:
    with struck(sandbox, "reset") as sock, pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_reset_mid_comes_after_half_an_answer(sandbox: Sandbox) -> None:
    with struck(sandbox, "reset-mid") as sock:
        head = until_the_body(sock)
        assert head.startswith(b"HTTP/1.1 400 ")
        received = sock.recv(65536)
        with pytest.raises(ConnectionResetError):
            sock.recv(65536)
    assert 0 < len(received) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])


def test_hang_lasts_until_the_faults_are_cleared(sandbox: Sandbox) -> None:
    with struck(sandbox, "hang") as sock:
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(300)
        sandbox.clear_faults()
        assert sock.recv(1) == b""


def test_a_connection_that_was_kept_while_faults_were_cleared_can_hang_later(sandbox: Sandbox) -> None:
    with socket.create_connection(address(sandbox.url), timeout=300) as sock:
        for method in ("GET", "DELETE"):
            sock.sendall(raw_request(method, "/_sandbox/faults", {"Host": "x"}))
            assert read_answer(sock).status in (200, 204)
        sandbox.plan({"api": "oneaccess", "kind": "hang"})
        sock.sendall(raw_request("GET", "/api/v2/tenant/token", {"Host": "x"}))
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_hang_mid_lasts_until_the_client_leaves(sandbox: Sandbox) -> None:
    with struck(sandbox, "hang-mid") as sock:
        assert until_the_body(sock).startswith(b"HTTP/1.1 400 ")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(300)
        sock.sendall(b"more that nobody reads")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


def test_a_hanging_client_that_resets_is_forgotten(sandbox: Sandbox) -> None:
    with struck(sandbox, "hang") as sock:
        while sandbox.requests["oneaccess"] == 0:
            assert call(sandbox.url, "GET", "/_sandbox/requests").status == 200
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert oneaccess(sandbox.url).status == 200


def test_slow_is_one_byte_at_a_time(sandbox: Sandbox) -> None:
    with struck(sandbox, "slow", interval=0.002) as sock:
        start = time.monotonic()
        answer = read_answer(sock)
        took = time.monotonic() - start
    assert answer.code == "invalid_client"
    assert took >= 0.002 * (len(answer.body) - 1)


def test_slow_ends_when_the_faults_are_cleared(sandbox: Sandbox) -> None:
    with struck(sandbox, "slow") as sock:
        until_the_body(sock)
        assert sock.recv(1) == b"{"
        sandbox.clear_faults()
        assert sock.recv(65536) == b""


def test_huge_is_chunked_and_as_long_as_asked(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "huge", "bytes": 3_000_000})
    answer = oneaccess(sandbox.url)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert len(answer.body) == 3_000_000
    assert answer.body.startswith(b'{"token": "aaa')


def test_huge_survives_a_client_that_has_had_enough(sandbox: Sandbox) -> None:
    with struck(sandbox, "huge") as sock:
        assert len(sock.recv(65536)) > 0
    assert oneaccess(sandbox.url).status == 200


def test_a_gzip_bomb_is_small_until_it_is_unpacked(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "gzip-bomb", "bytes": 5_000_000})
    answer = oneaccess(sandbox.url)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 50_000
    assert len(zlib.decompress(answer.body, 31)) == 5_000_000


def test_content_type_is_wrong_on_a_right_answer(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "content-type"})
    answer = oneaccess(sandbox.url)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.json()["access_token"]


@pytest.mark.parametrize(
    ("kind", "media", "start"),
    [
        ("html", "text/html", b"<!DOCTYPE"),
        ("garbage", "application/json", b"\x00\xff"),
        ("empty", "application/json", b""),
    ],
)
def test_bodies_that_are_not_json(sandbox: Sandbox, kind: str, media: str, start: bytes) -> None:
    sandbox.plan({"api": "oneaccess", "kind": kind})
    answer = oneaccess(sandbox.url)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith(media)
    assert answer.body[: len(start) or None] == start
    with pytest.raises(ValueError, match=r"Expecting|decode"):
        answer.json()


def test_truncated_ends_before_its_length(sandbox: Sandbox) -> None:
    with struck(sandbox, "truncated") as sock:
        head = until_the_body(sock)
        body = b""
        while part := sock.recv(65536):
            body += part
    assert len(body) == int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) // 2


@every_api
def test_wrong_types_keep_the_names(sandbox: Sandbox, api: str) -> None:
    right = CALLS[api](sandbox.url)
    sandbox.plan({"api": api, "kind": "wrong-types"})
    wrong = CALLS[api](sandbox.url)
    assert wrong.status == right.status

    def compare(a: Any, b: Any) -> None:
        if isinstance(a, dict):
            assert set(a) == set(b)
            for name in a:
                compare(a[name], b[name])
        else:
            assert type(a) is not type(b)

    compare(right.json(), wrong.json())


@every_api
def test_half_json_is_a_whole_answer(sandbox: Sandbox, api: str) -> None:
    sandbox.plan({"api": api, "kind": "half-json"})
    half = CALLS[api](sandbox.url)
    assert half.headers["content-length"] == str(len(half.body))
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
        half.json()


@pytest.mark.parametrize(
    ("api", "told"),
    [
        ("modelarts", lambda body: body["token"]),
        ("pai-dlc", lambda body: body["Token"]),
        ("oneaccess", lambda body: body["token_type"]),
        ("astra", lambda body: body["type"]),
        ("eiam", lambda body: body["ApplicationToken"]["ApplicationTokenType"]),
        ("eiam-oauth", lambda body: body["TokenResponse"]["TokenType"]),
    ],
)
def test_another_type_of_token(sandbox: Sandbox, api: str, told: Callable[[Any], Any]) -> None:
    right = told(CALLS[api](sandbox.url).json())
    sandbox.plan({"api": api, "kind": "token-type"})
    other = told(CALLS[api](sandbox.url).json())
    assert type(other) is not type(right) if api in {"modelarts", "pai-dlc"} else other == "application/x-other"


def test_wrong_types_leave_an_answer_without_a_body_alone(sandbox: Sandbox) -> None:
    location = astra(sandbox.url, "POST", body={"type": "application/astra-token", "version": "1.0", "name": "n"})
    sandbox.plan({"api": "astra", "kind": "wrong-types"})
    assert astra(sandbox.url, "DELETE", location.headers["location"]).status == 204


def test_deep_is_too_deep_for_the_parser(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "deep"})
    with pytest.raises(RecursionError):
        oneaccess(sandbox.url).json()


def test_redirect_leads_elsewhere(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "astra", "kind": "redirect"})
    answer = astra(sandbox.url)
    assert (answer.status, answer.headers["location"]) == (301, f"https://elsewhere.invalid{TOKENS}")
    sandbox.plan({"api": "astra", "kind": "redirect", "location": "/loop"})
    assert astra(sandbox.url).headers["location"] == "/loop"


def test_expired_answers_are_over_already(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "*", "kind": "expired", "times": 4})
    assert oneaccess(sandbox.url).json()["expires_in"] == 0
    assert login(sandbox.url).json()["token"]["expires_at"] < "2026-01-15T08:30"
    assert eiam(sandbox.url, IDS).json()["ApplicationToken"]["ExpirationTime"] < NOW * 1000
    token = acs3(sandbox.url).json()["Token"]
    assert call(sandbox.url, "GET", "/_sandbox/whoami", {"Authorization": f"Bearer {token}"}).status == 401
    assert oneaccess(sandbox.url).json()["expires_in"] == 1800


def test_a_stalled_answer_ends_when_the_one_before_it_did(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.plan({"api": "*", "kind": "stalled", "times": 3})
    # Without one before it there is nothing to stand still.
    assert oneaccess(sandbox.url).json()["expires_in"] == 1800
    clock.now += 100
    assert oneaccess(sandbox.url).json()["expires_in"] == 1700
    assert oneaccess(sandbox.url).json()["expires_in"] == 1700
    assert oneaccess(sandbox.url).json()["expires_in"] == 1800


def test_a_disabled_application_token(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "eiam", "kind": "disabled"})
    assert eiam(sandbox.url, IDS).json()["ApplicationToken"]["Status"] == "disabled"
    assert eiam(sandbox.url, IDS).json()["ApplicationToken"]["Status"] == "enabled"


def test_stopping_ends_what_hangs() -> None:
    with running() as sandbox:
        sock = struck(sandbox, "hang")
        while sandbox.requests["oneaccess"] == 0:
            assert call(sandbox.url, "GET", "/_sandbox/requests").status == 200
    with sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""
