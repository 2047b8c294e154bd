"""A client that sends exactly what it is told; signatures come from the vendors' own SDKs, not from the project."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from alibabacloud_tea_openapi.utils import Utils
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

NOW = 1_768_465_800.0  # 2026-01-15T08:30:00Z, the date of the recorded vectors
PROJECT = "0123456789abcdef0123456789abcdef"
ALIBABA, ALIBABA_SECRET = "LTAItestAccessKeyId01", "testSecretKey0123456789abcdef"
HUAWEI, HUAWEI_SECRET = "HWAKTESTACCESSKEY001", "hwTestSecretKey0123456789abcdefghijklmno"
USER, PASSWORD = "user_name", "user_password"
CLIENT, CLIENT_SECRET = "ONtQq2igSggfFClyGgzmuXR8ubWEP", "Xdq+U/mJ pG=19&hé"
BEARER = "ASTRATOKEN"
API_KEY = "sk-sandbox-test"
PROGRAM, PROGRAM_SECRET = "sandbox-program", "pr0gram/s3cret+ é"
ID_TOKEN = "eyJ.e30.c2ln"
SECRETS = (ALIBABA_SECRET, HUAWEI_SECRET, PASSWORD, CLIENT_SECRET, BEARER, API_KEY, PROGRAM_SECRET)

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The vendor's code, in whichever form the vendor has."""
        body = self.json()
        code = body.get("Code") or body.get("code") or body.get("error_code") or body.get("error") or body.get("type")
        return str(code.get("code") if isinstance(code, dict) else code).rpartition("/")[2]


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def raw_request(method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines).encode() + body


def read_answer(sock: socket.socket, method: str = "GET") -> Answer:
    with http.client.HTTPResponse(sock, method=method) as response:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


def send(url: str, raw: bytes) -> Answer:
    with socket.create_connection(address(url), timeout=300) as sock:
        sock.sendall(raw)
        return read_answer(sock, raw.split(b" ", 1)[0].decode())


def call(url: str, method: str, target: str, headers: Headers = (), body: bytes | str = b"") -> Answer:
    """A plain call with a Host and, where there is a body, its length."""
    content = body.encode() if isinstance(body, str) else body
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    framing = [("Content-Length", str(len(content)))] if content else []
    return send(url, raw_request(method, target, [("Host", urlsplit(url).netloc), *given, *framing], content))


def form(**fields: str) -> str:
    return urlencode(fields)


_nonces = iter(range(10**9))


def acs3_request(
    url: str,
    method: str = "GET",
    path: str = "/api/v1/tokens",
    query: Mapping[str, str] | None = None,
    *,
    action: str = "GetToken",
    version: str = "2020-12-03",
    access_key: str = ALIBABA,
    secret: str = ALIBABA_SECRET,
    now: float = NOW,
    body: bytes = b"",
    **extra: str,
) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers as the official library signs them; `extra` adds or, with "", leaves out headers."""
    digest = Utils.hash(body, "ACS3-HMAC-SHA256").hex()
    headers = {
        "host": urlsplit(url).netloc,
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": f"nonce-{next(_nonces)}",
        "x-acs-content-sha256": digest,
        **{name.replace("_", "-"): value for name, value in extra.items()},
    }
    headers = {name: value for name, value in headers.items() if value}
    signing = SimpleNamespace(method=method, pathname=path, query=dict(query or {}), headers=headers)
    authorization = Utils.get_authorization(signing, "ACS3-HMAC-SHA256", digest, access_key, secret)
    target = path + ("?" + urlencode(query) if query else "")
    return method, target, {**headers, "Authorization": authorization}


def acs3(url: str, *args: Any, **options: Any) -> Answer:
    method, target, headers = acs3_request(url, *args, **options)
    body = options.get("body", b"")
    framing = {"Content-Length": str(len(body))} if body else {}
    return send(url, raw_request(method, target, {**headers, **framing}, body))


def eiam(url: str, query: Mapping[str, str], method: str = "POST", **options: Any) -> Answer:
    return acs3(url, method, "/", query, action="ObtainApplicationToken", version="2021-12-01", **options)


def dsw(url: str, query: Mapping[str, str], method: str = "GET") -> Answer:
    return acs3(url, method, "/api/v2/tokens", query, version="2022-01-01")


def eiam_oauth(url: str, query: Mapping[str, str], method: str = "POST") -> Answer:
    return acs3(url, method, "/", query, action="GenerateOauthToken", version="2021-12-01")


def dashscope(url: str, query: str = "", key: str = API_KEY) -> Answer:
    return call(url, "POST", f"/api/v1/tokens{query}", {"Authorization": f"Bearer {key}"})


def sdk_hmac_request(
    url: str,
    path: str,
    query: Sequence[tuple[str, str]] = (),
    *,
    method: str = "GET",
    access_key: str = HUAWEI,
    secret: str = HUAWEI_SECRET,
    now: float = NOW,
    body: str = "",
    headers: Mapping[str, str] | None = None,
) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers as the official SDK core signs them."""
    given = {"X-Sdk-Date": datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ"), **(headers or {})}
    request = SdkRequest(
        method=method,
        schema="http",
        host=urlsplit(url).netloc,
        resource_path=path,
        query_params=list(query),
        header_params=given,
        body=body,
    )
    signed = Signer(SimpleNamespace(ak=access_key, sk=secret)).sign(request)
    return method, signed.uri, dict(signed.header_params)


def sdk_hmac(url: str, *args: Any, **options: Any) -> Answer:
    method, target, headers = sdk_hmac_request(url, *args, **options)
    body = options.get("body", "").encode()
    framing = {"Content-Length": str(len(body))} if body else {}
    return send(url, raw_request(method, target, {**headers, **framing}, body))


def login(url: str, *, password: str = PASSWORD, scope: Any = ..., user: str = USER) -> Answer:
    """A Keystone password login, scoped to the default project unless told otherwise."""
    who = {"name": user, "password": password, "domain": {"name": "domain_name"}}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": who}}}
    auth["scope"] = {"project": {"id": PROJECT}} if scope is ... else scope
    if auth["scope"] is None:
        del auth["scope"]
    body = json.dumps({"auth": auth})
    return call(url, "POST", "/v3/auth/tokens", {"Content-Type": "application/json"}, body)


def oneaccess(url: str, **fields: str) -> Answer:
    given = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": CLIENT_SECRET, **fields}
    body = form(**{name: value for name, value in given.items() if value})
    return call(url, "POST", "/api/v2/tenant/token", {"Content-Type": "application/x-www-form-urlencoded"}, body)


def openid(url: str, **fields: str) -> Answer:
    """The token endpoint of the sandbox's OpenID provider; by default client credentials."""
    given = {"grant_type": "client_credentials", "client_id": PROGRAM, "client_secret": PROGRAM_SECRET, **fields}
    body = form(**{name: value for name, value in given.items() if value})
    return call(url, "POST", "/openid/token", {"Content-Type": "application/x-www-form-urlencoded"}, body)


def encoded(text: str) -> str:
    return quote(text, safe="")
