"""Whatever is sent to the sandbox: an answer of the API's own, never a failure of the sandbox itself."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import strategies as st

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sandbox.astra import ACCOUNT, TOKEN, USER

from ..sandbox.client import address, raw_request, read_answer
from ..sandbox.test_vectors import VECTORS
from .conftest import Fuzz
from .strange import DATES, NUMBERS, TEXTS, bodies, typed

pytestmark = pytest.mark.slow

PATHS = (
    "/api/v1/tokens?TargetType=job&TargetId=dlc1&ExpireTime=60",
    "/?InstanceId=i&ApplicationId=a&ApplicationTokenId=t",
    "/api/v2/tenant/token",
    f"/accounts/{ACCOUNT}/core/v1/users/{USER}/tokens/{TOKEN}",
    f"/accounts/{ACCOUNT}/core/v1/users/{USER}/tokens?limit=1&skip=0&filter=name",
    "/v1/p/demanager/instances/i/token",
    "/v3/auth/tokens",
    "/_sandbox/faults",
    "/_sandbox/whoami",
)
SECRET = "c4n4ry-s4ndbox-s3cret"
ACCOUNTS: dict[str, Any] = {
    "alibaba": {"LTAI": SECRET, **{made.access_key: made.secret for made in VECTORS.values() if made.acs3}},
    "huawei": {"HW": SECRET, **{made.access_key: made.secret for made in VECTORS.values() if not made.acs3}},
    "iam": {"ada": SECRET},
    "oneaccess": {"client": SECRET},
    "astra": [SECRET],
}
LOGIN: dict[str, Any] = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "ada", "password": SECRET, "domain": {"name": "acme"}}},
        },
        "scope": {"project": {"id": "0123456789abcdef0123456789abcdef"}},
    }
}
_BODIES = (
    bodies(LOGIN)
    | bodies({"type": "application/astra-token", "version": "1.0", "name": "n"})
    | bodies({"api": "astra", "kind": "500", "times": 1})
    | st.sampled_from([b"grant_type=client_credentials&client_id=client&client_secret=%ff", b"&&==&%&a=%zz"])
    | st.binary(max_size=40)
)
_FIELDS = TEXTS | DATES | NUMBERS.map(str)
_VALUES = st.one_of(
    _FIELDS,
    st.builds("ACS3-HMAC-SHA256 Credential={},SignedHeaders={},Signature={}".format, _FIELDS, _FIELDS, _FIELDS),
    st.builds(
        "ACS3-HMAC-SHA256 Credential=LTAI,SignedHeaders={},Signature={}".format,
        st.sampled_from(
            ["host", "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version", ";"]
        ),
        st.just("0" * 64) | _FIELDS,
    ),
    st.builds("SDK-HMAC-SHA256 Access=HW, SignedHeaders={}, Signature={}".format, _FIELDS, st.just("0" * 64) | _FIELDS),
    st.builds("Bearer {}".format, st.just(SECRET) | _FIELDS),
    st.binary(max_size=20).map(lambda data: "Basic " + base64.b64encode(data).decode()),
    st.just("Basic " + base64.b64encode(f"client:{SECRET}".encode()).decode()),
    st.sampled_from(
        ["application/json", "application/astra-token+json", "application/x-www-form-urlencoded", "UNSIGNED-PAYLOAD"]
    ),
    st.sampled_from(
        ["GetToken", "ObtainApplicationToken", "2020-12-03", "2021-12-01", "2026-01-15T08:30:00Z", "20260115T083000Z"]
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Authorization",
            "Content-Type",
            "Accept",
            "x-acs-action",
            "x-acs-version",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-content-sha256",
            "x-acs-security-token",
            "X-Sdk-Date",
            "X-Sdk-Content-Sha256",
            "X-Project-Id",
            "X-Auth-Token",
            "Origin",
        ]
    ),
    _VALUES.map(lambda text: "".join(mark for mark in text if mark.isprintable())),
    max_size=7,
)
METHODS = st.sampled_from(["GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(accounts=Accounts(**ACCOUNTS), clock=lambda: 1_768_465_800.0) as served:
        yield served


def no_failure(sandbox: Sandbox, method: str, target: str, headers: Any, body: bytes) -> None:
    raw = raw_request(method, target, {"Host": "localhost", **headers, "Content-Length": str(len(body))})
    with closing(socket.create_connection(address(sandbox.url), timeout=300)) as sock:
        sock.sendall(raw + body)
        answer = read_answer(sock, method)
    assert answer.status < 500, answer.body
    assert SECRET.encode() not in answer.body
    sandbox.clear_faults()


@st.composite
def targets(draw: Callable[..., Any]) -> str:
    """The path and query of a call, with something in it that the API does not know."""
    path, _, query = draw(st.sampled_from(PATHS)).partition("?")
    added = quote(draw(_FIELDS).encode("utf-8", "surrogatepass"), safe=draw(st.sampled_from(["", "/", "/&=;+"])))
    match draw(st.integers(0, 3)):
        case 0:
            return f"{path}?{query}"
        case 1:
            name = draw(st.sampled_from(["ExpireTime", "limit", "skip", "continue", "include", "x"]))
            return f"{path}?{query}&{name}={added}"
        case 2:
            return f"{path}/{added}?{query}"
    return f"{path.rpartition('/')[0]}/{added}?{query}"


def test_a_call_of_any_headers_and_body(fuzz: Fuzz, sandbox: Sandbox) -> None:
    def check(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        encoded = {name: value.encode("utf-8", "surrogatepass").decode("latin-1") for name, value in headers.items()}
        shown = {name: "".join(mark for mark in value if mark.isprintable()) for name, value in encoded.items()}
        no_failure(sandbox, method, target, shown, body)

    fuzz(check, METHODS, targets(), HEADERS, _BODIES, times=80)


def test_a_recorded_call_with_one_header_changed(fuzz: Fuzz, sandbox: Sandbox) -> None:
    def check(which: str, name: str, value: str, body: bytes) -> None:
        vector = VECTORS[which]
        headers = {
            **dict(vector.headers),
            name: "".join(mark for mark in value if mark.isascii() and mark.isprintable()),
        }
        kept = {key: text for key, text in headers.items() if key.lower() not in {"content-length", "host"}}
        no_failure(sandbox, vector.method, vector.target, kept, vector.body or body)

    names = st.sampled_from(["Authorization", "x-acs-date", "X-Sdk-Date", "x-acs-content-sha256", "Content-Type"])
    fuzz(check, st.sampled_from(sorted(VECTORS)), names, _VALUES, st.binary(max_size=9), times=40)


def test_bytes_that_are_no_http(fuzz: Fuzz, sandbox: Sandbox) -> None:
    def check(data: bytes) -> None:
        with closing(socket.create_connection(address(sandbox.url), timeout=300)) as sock:
            sock.sendall(data + b"\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            answered = b""
            while part := sock.recv(65536):
                answered += part
        assert b" 500 " not in answered.partition(b"\r\n")[0]

    near = st.sampled_from(
        [b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\nContent-Length: ", b"GET /\xff HTTP/1.1\r\nHost: x\r\n"]
    )
    fuzz(check, st.binary(max_size=60) | st.tuples(near, st.binary(max_size=30)).map(b"".join), times=40)


def test_a_file_of_accounts_of_any_content(fuzz: Fuzz, tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"

    def check(data: bytes) -> None:
        file.write_bytes(data)
        with typed(ValueError, untold=[SECRET]):
            assert SECRET not in repr(Accounts.from_file(file))

    fuzz(check, bodies(ACCOUNTS), times=40, known=[(b"[" * 20_000,)])


def test_the_sandbox_still_serves(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection(*address(sandbox.url), timeout=300)
    with closing(connection):
        connection.request("GET", "/_sandbox/requests")
        assert json.loads(connection.getresponse().read())
