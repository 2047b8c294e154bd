"""Whatever is sent to a real server: an answer in JSON that says why, never a failure of its own, never a secret.

What schemathesis makes of rest-api.yml is in tests/server; here are the bytes that no document describes.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import keyring.backend
import pytest
from hypothesis import strategies as st

from jupyter_tokens.protocol.proof import HEADER, prove
from jupyter_tokens.server.app import TokensExtension

from ...sandbox.client import Answer, raw_request, read_answer
from ...server.conftest import SECRETS, Kernel
from ...server.test_vendor_proxy import ASTRA, DEMANAGER, DLC, EIAM, ONEACCESS
from ..conftest import Fuzz
from ..strange import TEXTS, bodies
from ..test_configuration import URLS
from ..test_proof import HEADERS
from ..test_vendor_answers import PROFILES

pytestmark = pytest.mark.slow

# The vendors' trouble, which is told as it is; everything else is the client's.
VENDORS = {502, 503, 504}
Send = Callable[..., Answer]


@pytest.fixture
def send(http_server_client: Any, jp_base_url: str) -> Send:
    """Sends what it is told byte for byte; on a thread of its own, as the server has this one."""
    place = urlsplit(http_server_client.get_url(jp_base_url))

    def send(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        given = {"Host": place.netloc, "Connection": "close", **headers, "Content-Length": str(len(body))}
        raw = raw_request(method, f"{place.path}jupyter-tokens/{path}", given, body)
        with closing(socket.create_connection((place.hostname, place.port), timeout=300)) as sock:
            sock.sendall(raw)
            answer = read_answer(sock, method)
        assert answer.status < 500 or answer.status in VENDORS, (answer.status, answer.body)
        assert not [secret for secret in SECRETS.values() if secret.encode() in answer.body]
        if answer.status >= 400 and answer.body.startswith(b"{"):
            told = json.loads(answer.body)
            assert told.get("reason") != "http" or answer.status < 500
        return answer

    return send


TOKEN_BODY = {
    "profile": "oneaccess",
    "params": {"TargetId": "x"},
    "refresh": False,
    "newer_than": "2026-01-01T00:00:00Z",
}
HALF = b'{"profile": "oauth2", "params": {"scope": "' + b"\xed\xa0\x80" + b'"}}'
WIDE = '{"profile": "oauth2", "params": {"scope": "\\ud800"}}'.encode("utf-16")


@pytest.mark.usefixtures("profiles")
async def test_the_kernels_route_takes_any_bytes(
    fuzz: Fuzz, send: Send, kernel: Kernel, extension: TokensExtension, profiles: Any, write_profiles: Any
) -> None:
    write_profiles(
        {
            **profiles,
            "oauth2": {**PROFILES["oauth2"], "endpoint": "http://127.0.0.1:9/token", "client_secret": "env:HOME"},
        }
    )

    def proved(action: str, body: bytes) -> None:
        headers = {
            HEADER: prove(kernel.key, kernel.id, action, body, time=int(extension.clock.now()), nonce=uuid4().hex)
        }
        send("POST", f"kernels/{kernel.id}/{action}", headers, body)

    def claimed(header: str, body: bytes) -> None:
        shown = "".join(mark for mark in header.encode("utf-8", "replace").decode("latin-1") if mark.isprintable())
        assert send("POST", f"kernels/{kernel.id}/token", {HEADER: shown}, body).status == 403

    actions = st.sampled_from(["token", "token", "profiles"])
    names = st.sampled_from(["oneaccess", "astra", "pai-dlc", "wrong", "oauth2"])
    named = names.flatmap(lambda name: bodies({**TOKEN_BODY, "profile": name}))
    known = [
        ("token", HALF),
        ("token", WIDE),
        ("token", b"[" * 30_000),
        ("token", b'{"profile": ' + b"9" * 5000 + b"}"),
    ]
    await asyncio.to_thread(fuzz, proved, actions, named | bodies({}), times=40, known=known)
    await asyncio.to_thread(fuzz, claimed, HEADERS, st.binary(max_size=9), times=20)


PATHS = (
    f"proxy/modelarts/{DEMANAGER}",
    f"proxy/pai-dlc/{DLC}",
    f"proxy/astra/{ASTRA}",
    f"proxy/eiam/{EIAM}",
    f"proxy/oneaccess/{ONEACCESS}",
)
INTO = st.sampled_from(
    ["..", "%2e%2e", "%2f", "//", "/", ";", "%00", "%ff", "%", "?", "#", "&", "=", "+", "\\", "%5c", "é", "@h", ":80"]
)


@pytest.mark.usefixtures("profiles")
async def test_the_proxy_takes_any_path_query_and_form(
    fuzz: Fuzz, send: Send, jp_auth_header: dict[str, str], sandbox: Any
) -> None:
    forms = st.sampled_from([b"", b"{}", b"grant_type=client_credentials", b"grant_type=%ff", b"a=1&a=2", b"\xff=\xff"])
    kinds = st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain; charset=x", ""])
    documented = {"/" + path.split("/", 2)[2].partition("?")[0] for path in PATHS if not path.startswith("proxy/eiam")}

    def check(method: str, path: str, into: list[tuple[int, str]], kind: str, body: bytes) -> None:
        for at, what in into:
            place = at % (len(path) - 6) + 6
            path = path[:place] + what + path[place:]
        encoded = "".join(
            mark if 32 < ord(mark) < 127 else quote(mark.encode("utf-8", "surrogatepass")) for mark in path
        )
        before = dict(sandbox.requests)
        answer = send(method, encoded, {**jp_auth_header, "Content-Type": kind}, body)
        if dict(sandbox.requests) != before:
            # What reached the API is a call that it documents, and nothing of what stood beside it.
            assert any(encoded.partition("?")[0].endswith(known) for known in (*documented, "/")), (answer, encoded)

    methods = st.sampled_from(["GET", "POST", "GET", "POST", "PUT", "HEAD"])
    places = st.lists(st.tuples(st.integers(0, 200), INTO | TEXTS.map(lambda text: text[:30])), max_size=3)
    await asyncio.to_thread(
        fuzz, check, methods, st.sampled_from(PATHS), places, kinds, forms | st.binary(max_size=9), times=60
    )


@pytest.mark.usefixtures("profiles", "stored")
async def test_the_other_routes_take_any_bytes(
    fuzz: Fuzz,
    send: Send,
    jp_auth_header: dict[str, str],
    kernel: Kernel,
    extension: TokensExtension,
    stored: keyring.backend.KeyringBackend,
) -> None:
    extension.allow_edit = True
    right = {**PROFILES["oneaccess"], "client_secret": {"value": "typed-s3cret-v4lue", "store": "file"}}

    def check(method: str, route: str, name: str, body: bytes) -> None:
        path = route.format(name=quote(name.encode("utf-8", "surrogatepass"), safe=""), kernel=kernel.id)
        send(method, path, {**jp_auth_header, "Content-Type": "application/json"}, body)

    routes = st.sampled_from(["profiles/{name}", "profiles/{name}", "profiles/{name}/token", "kernels/{kernel}/inject"])
    settings = st.sampled_from(URLS).map(lambda url: {**right, "endpoint": url}).flatmap(bodies) | bodies(right)
    other = bodies({"reveal": True, "params": {"scope": "x"}}) | bodies({"profile": "oneaccess", "variable": "X"})
    typed = json.dumps({**right, "client_secret": {"value": "half", "store": "file"}}).encode()
    known = [("PUT", "profiles/{name}", "new", typed.replace(b"half", b"\xed\xa0\x80"))]
    methods = st.sampled_from(["PUT", "PUT", "POST", "GET", "DELETE"])
    names = st.sampled_from(["oneaccess", "astra", "new", "wrong"]) | TEXTS.map(lambda text: text[:30])
    await asyncio.to_thread(fuzz, check, methods, routes, names, settings | other, times=50, known=known)
