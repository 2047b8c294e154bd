"""The vendor-shaped proxy on a real server, with the sandbox or a recording socket behind it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.httpclient import HTTPResponse

from jupyter_tokens.errors import TokenError
from jupyter_tokens.providers import base
from jupyter_tokens.sandbox import Sandbox, app
from jupyter_tokens.sandbox.astra import ACCOUNT, OTHER_TOKEN, TOKEN, USER
from jupyter_tokens.sandbox.eiam import APPLICATION, DISABLED, INSTANCE
from jupyter_tokens.sandbox.eiam import TOKEN as APPLICATION_TOKEN
from jupyter_tokens.sandbox.messages import Request, Response
from jupyter_tokens.sandbox.modelarts import INSTANCE as NOTEBOOK
from jupyter_tokens.sandbox.modelarts import NOT_RUNNING, PROJECT
from jupyter_tokens.sandbox.server import Server
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.base import MAX_BODY_BYTES
from jupyter_tokens.server.vendor_proxy import CACHE_HEADER

from ..doubles import CANARY, Loopback, loopback, raw_answer
from .conftest import SECRETS, Call, told

DEMANAGER = f"v1/{PROJECT}/demanager/instances/{NOTEBOOK}/token"
NOTEBOOKS = f"v1/{PROJECT}/notebooks/{NOTEBOOK}"
ASTRA = f"accounts/{ACCOUNT}/core/v1/users/{USER}/tokens/{TOKEN}"
EIAM = f"?InstanceId={INSTANCE}&ApplicationId={APPLICATION}&ApplicationTokenId={APPLICATION_TOKEN}"
DLC = "api/v1/tokens?TargetType=job&TargetId=dlc1a2b3c4d5e6f7"
ONEACCESS = "api/v2/tenant/token"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = b"grant_type=client_credentials"

IAM_PASSWORD = "c4n4ry-iam-password"

CALLS = {
    "modelarts": ("GET", f"proxy/modelarts/{DEMANAGER}", lambda body: body["token"]),
    "pai-dlc": ("GET", f"proxy/pai-dlc/{DLC}&ExpireTime=60", lambda body: body["Token"]),
    "astra": ("GET", f"proxy/astra/{ASTRA}", lambda body: body["id"]),
    "eiam": ("POST", f"proxy/eiam/{EIAM}", lambda body: body["ApplicationToken"]["ApplicationToken"]),
}
Passed = Callable[[bytes], Awaitable[HTTPResponse]]
every_pass = pytest.mark.parametrize("name", list(CALLS))


@pytest.fixture
def asked(call: Call, jp_auth_header: dict[str, str]) -> Call:
    """Asks with the server's token and these headers besides."""

    async def asked(method: str, path: str, body: bytes | None = None, **headers: str) -> HTTPResponse:
        return await call(method, path, body, headers={**jp_auth_header, **headers})

    return asked


@pytest.fixture
def passed(asked: Call, write_profiles: Callable[..., Path]) -> Passed:
    """What a client gets if the vendor gives this answer."""

    async def passed(answer: bytes) -> HTTPResponse:
        with upstream(answer) as vendor:
            write_profiles({"astra": astra(vendor.url)})
            return await asked("GET", f"proxy/astra/{ASTRA}")

    return passed


@contextmanager
def upstream(*answers: bytes, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """A vendor who gives these answers, one a request, and then the last again."""
    left = list(answers)

    def handle(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    with loopback(handle, tls=tls) as served:
        yield served


def astra(url: str, **other: Any) -> dict[str, Any]:
    return {"provider": "astra", "endpoint": url, "api_token": "env:ASTRA", **other}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    # A literal secret in a file is warned of, and a warning is an error here.
    monkeypatch.setenv("ASTRA", SECRETS["astra"])
    monkeypatch.setenv("ONEACCESS", SECRETS["oneaccess"])
    monkeypatch.setenv("PASSWORD", IAM_PASSWORD)


class TestDocumentedCalls:
    pytestmark = pytest.mark.usefixtures("profiles")

    @every_pass
    async def test_are_signed_and_answered_as_the_vendor_does(self, asked: Call, sandbox: Sandbox, name: str) -> None:
        method, path, value = CALLS[name]
        first, second = await asked(method, path), await asked(method, path)
        assert (first.code, second.code) == (200, 200)
        assert value(told(first))
        assert first.headers[CACHE_HEADER] == "pass"
        assert sandbox.requests[name] == 2

    async def test_content_type_and_request_id_come_as_they_are(self, asked: Call) -> None:
        shown = await asked("GET", CALLS["astra"][1])
        assert shown.headers["Content-Type"] == "application/astra-token+json"
        assert (await asked("GET", CALLS["modelarts"][1])).headers["X-Request-Id"]
        for name in ("pai-dlc", "eiam"):
            answer = await asked(*CALLS[name][:2])
            assert answer.headers.get("X-Acs-Request-Id", told(answer)["RequestId"]) == told(answer)["RequestId"]

    async def test_what_the_sdks_send_along_is_taken(self, asked: Call, sandbox: Sandbox) -> None:
        # The astra toolkit sends a body with its GET, Alibaba's SDKs name the call.
        assert (await asked("GET", f"proxy/astra/{ASTRA}", b"{}")).code == 200
        named = {"x-acs-action": "ObtainApplicationToken", "x-acs-version": "2021-12-01"}
        assert (await asked("POST", f"proxy/eiam/{EIAM}", b"", **named)).code == 200
        assert sandbox.requests["eiam"] == 1

    async def test_a_login_by_query_is_the_servers_and_goes_no_further(
        self, call: Call, jp_serverapp: Any, write_profiles: Callable[..., Path]
    ) -> None:
        with upstream(raw_answer()) as vendor:
            write_profiles({"astra": astra(vendor.url)})
            token = jp_serverapp.identity_provider.token
            answer = await call("GET", f"proxy/astra/{ASTRA}?token={token}", headers={})
        assert answer.code == 200
        assert token.encode() not in vendor.requests[0]

    async def test_both_calls_of_modelarts_are_taken_and_made_as_they_come(self, asked: Call, sandbox: Sandbox) -> None:
        shown = told(await asked("GET", f"proxy/modelarts/{NOTEBOOKS}"))
        assert (shown["id"], shown["status"]) == (NOTEBOOK, "RUNNING")
        assert set(told(await asked("GET", f"proxy/modelarts/{DEMANAGER}"))) == {"token"}
        # The vendor's 404 is the client's: the proxy makes no other call in its stead.
        sandbox.plan({"api": "modelarts", "kind": 404})
        assert (await asked("GET", f"proxy/modelarts/{NOTEBOOKS}")).code == 404
        assert sandbox.requests["modelarts"] == 3

    async def test_a_profile_for_one_call_of_modelarts_does_not_open_the_other(
        self, asked: Call, profiles: dict[str, Any], write_profiles: Callable[..., Path]
    ) -> None:
        write_profiles({api: {**profiles["modelarts"], "api": api} for api in ("notebooks", "demanager")})
        for path, opened, shut in ((NOTEBOOKS, "notebooks", "demanager"), (DEMANAGER, "demanager", "notebooks")):
            assert (await asked("GET", f"proxy/{opened}/{path}")).code == 200
            assert (await asked("GET", f"proxy/{shut}/{path}")).code == 404

    @pytest.mark.parametrize(
        ("query", "status", "words"),
        [
            ("&ScopeValues.1=a&ScopeValues.2=b%20c", 200, ""),
            ("&ScopeValues.2=b%20c&ScopeValues.1=a&SubjectToken=theirs", 200, ""),
            ("&ScopeValues.1=a", 403, "fixes ScopeValues"),
            ("", 400, "ScopeValues is missing"),
            ("&ScopeValues.1=a&ScopeValues.3=b", 400, "ScopeValues.2 is missing"),
            ("&ScopeValues.0=a", 400, "not a parameter"),
            ("&ScopeValues.01=a", 400, "not a parameter"),
            ("&ScopeValues=a", 400, "not a parameter"),
            ("&Audience.1=a&ScopeValues.1=a", 400, "not a parameter"),
            ("&ScopeValues.1=a&ScopeValues.1=a", 400, "given twice"),
        ],
    )
    async def test_a_list_is_taken_as_the_vendor_writes_it(
        self, *, asked: Call, write_profiles: Callable[..., Path], query: str, status: int, words: str
    ) -> None:
        with upstream(raw_answer(b'{"TokenResponse": {}}', Content_Type="application/json")) as vendor:
            profile = {
                "provider": "eiam-oauth",
                "endpoint": vendor.url,
                "access_key_id": "AKID",
                "access_key_secret": "env:ASTRA",
                "params": {"ScopeValues": ["a", "b c"]},
            }
            write_profiles({"eiam-oauth": profile})
            ids = "InstanceId=i&ApplicationId=a&Audience=https%3A%2F%2Fexample.com"
            answer = await asked("POST", f"proxy/eiam-oauth/?{ids}{query}", b"")
        assert answer.code == status
        if status == 200:
            assert told(answer) == {"TokenResponse": {}}
            (sent,) = vendor.requests
            written = b"Audience=https%3A%2F%2Fexample.com&InstanceId=i&ScopeValues.1=a&ScopeValues.2=b%20c"
            assert sent.startswith(b"POST /?ApplicationId=a&" + written + b" ")
        else:
            assert words in told(answer)["message"]
            assert vendor.requests == []

    async def test_a_disabled_token_comes_as_the_vendor_sends_it(
        self, asked: Call, profiles: dict[str, Any], write_profiles: Callable[..., Path]
    ) -> None:
        write_profiles({"free": {**profiles["eiam"], "params": {}}})
        answer = await asked("POST", f"proxy/free/{EIAM.replace(APPLICATION_TOKEN, DISABLED)}")
        assert told(answer)["ApplicationToken"]["Status"] == "disabled"


class TestErrors:
    pytestmark = pytest.mark.usefixtures("profiles")

    @every_pass
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 503])
    async def test_of_the_vendor_come_as_they_are(self, asked: Call, sandbox: Sandbox, name: str, status: int) -> None:
        sandbox.plan({"api": name, "kind": status, "body": '{"said": "by the vendor"}', "retry_after": 7})
        answer = await asked(*CALLS[name][:2])
        assert (answer.code, json.loads(answer.body)) == (status, {"said": "by the vendor"})
        assert answer.headers[CACHE_HEADER] == "pass"
        wait = answer.headers.get("Retry-After") or answer.headers["X-Acs-Retry-After"]
        assert wait == ("7000" if name in ("pai-dlc", "eiam") else "7")
        assert sandbox.requests[name] == 1

    async def test_a_vendors_own_error_is_read_by_its_clients(
        self, asked: Call, write_profiles: Callable[..., Path], profiles: dict[str, Any]
    ) -> None:
        write_profiles({"free": {**profiles["modelarts"], "params": {}}})
        answer = await asked("GET", f"proxy/free/{DEMANAGER.replace(NOTEBOOK, NOT_RUNNING)}")
        assert (answer.code, json.loads(answer.body)["error_code"]) == (400, "ModelArts.6327")

    async def test_a_status_without_a_body_and_one_without_a_name(self, asked: Call, sandbox: Sandbox) -> None:
        for status in (204, 304, 299, 499):
            sandbox.plan({"api": "astra", "kind": status})
            assert (await asked("GET", f"proxy/astra/{ASTRA}")).code == status

    @pytest.mark.parametrize(
        ("fault", "status", "reason", "retryable"),
        [
            ({"kind": "redirect", "location": "http://127.0.0.1:1/"}, 502, "response", False),
            ({"kind": "huge", "bytes": 2_000_000}, 502, "response", False),
            ({"kind": "gzip-bomb", "bytes": 100_000}, 502, "response", False),
            ({"kind": "reset"}, 502, "network", True),
            ({"kind": "reset-mid"}, 502, "network", True),
            ({"kind": "truncated"}, 502, "network", True),
        ],
    )
    async def test_of_the_transport_are_the_servers_own(
        self, asked: Call, sandbox: Sandbox, fault: dict[str, Any], status: int, reason: str, retryable: bool
    ) -> None:
        # On a kept connection, where aiohttp by itself would try again.
        assert (await asked("GET", f"proxy/astra/{ASTRA}")).code == 200
        sandbox.plan({"api": "astra", **fault})
        answer = await asked("GET", f"proxy/astra/{ASTRA}")
        error = told(answer)
        assert (answer.code, error["reason"], error["retryable"]) == (status, reason, retryable)
        assert CACHE_HEADER not in answer.headers
        assert sandbox.requests["astra"] == 2

    @pytest.mark.parametrize("kind", ["hang", "hang-mid"])
    async def test_a_vendor_who_hangs_ends_at_the_deadline_and_keeps_nobody_else_waiting(
        self, asked: Call, sandbox: Sandbox, profiles: dict[str, Any], write_profiles: Callable[..., Path], kind: str
    ) -> None:
        write_profiles({**profiles, "astra": {**profiles["astra"], "timeout": 0.3}})
        sandbox.plan({"api": "astra", "kind": kind})
        hanging = asyncio.ensure_future(asked("GET", f"proxy/astra/{ASTRA}"))
        assert (await asked("GET", f"proxy/modelarts/{DEMANAGER}")).code == 200
        answer = await hanging
        assert (answer.code, told(answer)["retryable"]) == (504, True)

    async def test_no_vendor_no_host_no_http(self, asked: Call, write_profiles: Callable[..., Path]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with upstream(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as other:
            write_profiles(
                {
                    "refused": astra(f"http://127.0.0.1:{port}"),
                    "nowhere": astra("https://astra.invalid"),
                    "other": astra(other.url),
                }
            )
            for name, words in (
                ("refused", "cannot be reached"),
                ("nowhere", "cannot be found"),
                ("other", "not speak HTTP"),
            ):
                answer = await asked("GET", f"proxy/{name}/{ASTRA}")
                error = told(answer)
                assert (answer.code, error["reason"], error["retryable"]) == (502, "network", True), name
                assert words in error["message"]

    async def test_tls_is_verified_as_the_profile_says(
        self, extension: TokensExtension, asked: Call, write_profiles: Callable[..., Path], tmp_path: Path
    ) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        bundle = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(bundle))
        with upstream(raw_answer(), tls=context) as vendor:
            write_profiles(
                {
                    "known": astra(vendor.url, verify=str(bundle)),
                    "unknown": astra(vendor.url),
                    "off": astra(vendor.url, verify=False),
                    "broken": astra(vendor.url, verify=str(tmp_path / "none.pem")),
                }
            )
            codes = {name: (await asked("GET", f"proxy/{name}/{ASTRA}")).code for name in ("known", "off")}
            unknown = told(await asked("GET", f"proxy/unknown/{ASTRA}"))
            broken = told(await asked("GET", f"proxy/broken/{ASTRA}"))
            extension.source.close()
        assert codes == {"known": 200, "off": 200}
        assert "TLS with 127.0.0.1 failed" in unknown["message"]
        assert "CA bundle" in broken["message"]
        assert len(vendor.requests) == 2

    async def test_a_secret_that_cannot_be_had_or_sent(
        self, asked: Call, write_profiles: Callable[..., Path], tmp_path: Path
    ) -> None:
        broken = tmp_path / "secret"
        broken.write_text("bad\x7fsecret-é")
        broken.chmod(0o600)
        write_profiles(
            {
                "missing": {**astra("http://127.0.0.1:9"), "api_token": "env:NO_SUCH_VARIABLE"},
                "unwritable": {**astra("http://127.0.0.1:9"), "api_token": f"file:{broken}"},
            }
        )
        missing = await asked("GET", f"proxy/missing/{ASTRA}")
        assert (missing.code, told(missing)["reason"]) == (409, "secret")
        unwritable = await asked("GET", f"proxy/unwritable/{ASTRA}")
        assert unwritable.code == 409
        assert b"bad" not in unwritable.body


class TestCached:
    pytestmark = pytest.mark.usefixtures("profiles")

    async def test_a_token_is_shared_with_everyone_else(self, asked: Call, call: Call, sandbox: Sandbox) -> None:
        form = GRANT + b"&client_id=mine&client_secret=" + CANARY.encode()
        first = await asked("POST", f"proxy/oneaccess/{ONEACCESS}", form, **FORM)
        assert (first.code, first.headers[CACHE_HEADER]) == (200, "miss")
        body = told(first)
        assert set(body) == {"access_token", "token_type", "expires_in", "scope", "id_token"}
        assert 1700 < body["expires_in"] <= 1800
        # As with HTTP Basic: the grant in the query.
        again = await asked("POST", f"proxy/oneaccess/{ONEACCESS}?{GRANT.decode()}", b"")
        assert (again.code, again.headers[CACHE_HEADER]) == (200, "hit")
        assert told(again)["access_token"] == body["access_token"]
        held = told(await call("POST", "profiles/oneaccess/token", {"reveal": True}))
        assert held["value"] == body["access_token"]
        assert sandbox.requests["oneaccess"] == 1

    async def test_many_at_once_are_one_call(self, asked: Call, sandbox: Sandbox) -> None:
        path = f"proxy/oneaccess/{ONEACCESS}"
        answers = await asyncio.gather(*(asked("POST", path, GRANT, **FORM) for _ in range(50)))
        assert len({json.loads(answer.body)["access_token"] for answer in answers}) == 1
        assert sandbox.requests["oneaccess"] == 1

    async def test_a_refusal_has_the_vendors_status_and_form(self, asked: Call, sandbox: Sandbox) -> None:
        sandbox.plan({"api": "oneaccess", "kind": 403})
        answer = await asked("POST", f"proxy/oneaccess/{ONEACCESS}", GRANT, **FORM)
        assert (answer.code, answer.headers[CACHE_HEADER]) == (403, "miss")
        assert json.loads(answer.body) == {
            "error_code": "access_denied",
            "error_msg": "The application is not allowed to call this API.",
        }

    async def test_what_is_no_refusal_is_the_servers_own_error(
        self, asked: Call, sandbox: Sandbox, profiles: dict[str, Any], write_profiles: Callable[..., Path]
    ) -> None:
        write_profiles({"oneaccess": {**profiles["oneaccess"], "timeout": 0.2}})
        sandbox.plan({"api": "oneaccess", "kind": "hang"})
        answer = await asked("POST", f"proxy/oneaccess/{ONEACCESS}", GRANT, **FORM)
        assert (answer.code, told(answer)["reason"]) == (504, "timeout")

    async def test_an_answer_with_less_in_it(self, asked: Call, write_profiles: Callable[..., Path]) -> None:
        body = json.dumps({"access_token": "short", "token_type": "Bearer", "expires_in": 60}).encode()
        with upstream(raw_answer(body, content_type="application/json")) as vendor:
            write_profiles(
                {
                    "one": {
                        "provider": "oneaccess",
                        "endpoint": vendor.url,
                        "client_id": "id",
                        "client_secret": "env:ONEACCESS",
                    }
                }
            )
            answer = told(await asked("POST", f"proxy/one/{ONEACCESS}", GRANT, **FORM))
        assert set(answer) == {"access_token", "token_type", "expires_in"}


class TestIamLogin:
    @pytest.fixture
    def login(self, sandbox: Sandbox, write_profiles: Callable[..., Path]) -> dict[str, Any]:
        profile = {
            "provider": "modelarts",
            "endpoint": sandbox.url,
            "iam_endpoint": sandbox.url,
            "username": "user",
            "password": "env:PASSWORD",
            "domain_name": "domain",
        }
        write_profiles({"iam": profile})
        return profile

    @pytest.mark.usefixtures("login")
    async def test_is_made_once_and_again_after_a_401(self, asked: Call, sandbox: Sandbox) -> None:
        for _ in range(2):
            assert (await asked("GET", f"proxy/iam/{DEMANAGER}")).code == 200
        assert (sandbox.requests["iam"], sandbox.requests["modelarts"]) == (1, 2)
        sandbox.plan({"api": "modelarts", "kind": 401})
        assert (await asked("GET", f"proxy/iam/{DEMANAGER}")).code == 200
        assert (sandbox.requests["iam"], sandbox.requests["modelarts"]) == (2, 4)

    @pytest.mark.usefixtures("login")
    async def test_a_refused_one_is_the_servers_own_error(self, asked: Call, sandbox: Sandbox) -> None:
        sandbox.plan({"api": "iam", "kind": 401})
        answer = await asked("GET", f"proxy/iam/{DEMANAGER}")
        assert (answer.code, told(answer)["reason"]) == (502, "unauthorized")
        assert told(answer)["message"].startswith("IAM: ")
        assert sandbox.requests["modelarts"] == 0

    async def test_its_token_is_not_echoed(
        self, asked: Call, login: dict[str, Any], write_profiles: Callable[..., Path]
    ) -> None:
        iam = raw_answer(
            json.dumps({"token": {"expires_at": "2999-01-01T00:00:00Z"}}).encode(),
            "201 Created",
            content_type="application/json",
            x_subject_token=CANARY,
        )
        with upstream(iam, raw_answer(f"you sent {CANARY}".encode(), content_type="text/plain")) as vendor:
            write_profiles({"iam": {**login, "endpoint": vendor.url, "iam_endpoint": vendor.url}})
            answer = await asked("GET", f"proxy/iam/{DEMANAGER}")
        assert answer.body == b"you sent ***"
        assert f"X-Auth-Token: {CANARY}".lower().encode() in vendor.requests[1].lower()


class TestNothingElse:
    pytestmark = pytest.mark.usefixtures("profiles")

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", f"proxy/nobody/{ASTRA}", 404),
            ("GET", f"proxy/wrong/{ASTRA}", 409),
            ("GET", f"proxy/astra/{ASTRA}/", 404),
            ("GET", f"proxy/astra//{ASTRA}", 404),
            ("GET", f"proxy/astra/{ASTRA.removesuffix('/' + TOKEN)}", 404),
            ("POST", f"proxy/astra/{ASTRA.removesuffix('/' + TOKEN)}", 404),
            ("POST", f"proxy/astra/{ASTRA}", 405),
            ("PUT", f"proxy/astra/{ASTRA}", 405),
            ("DELETE", f"proxy/astra/{ASTRA}", 405),
            ("HEAD", f"proxy/astra/{ASTRA}", 405),
            ("PATCH", f"proxy/astra/{ASTRA}", 405),
            ("GET", f"proxy/astra/{ASTRA}?include=name", 400),
            ("GET", f"proxy/astra/{ASTRA.replace(TOKEN, '..')}", 404),
            ("GET", f"proxy/astra/{ASTRA.replace(TOKEN, '%2e%2e')}", 404),
            ("GET", f"proxy/astra/{ASTRA.replace(TOKEN, 'a%2fb')}", 404),
            ("GET", f"proxy/astra/{ASTRA.replace(TOKEN, 'a%00b')}", 404),
            ("GET", f"proxy/astra/{ASTRA.replace(TOKEN, 'a%252fb')}", 404),
            ("GET", f"proxy/astra/{ASTRA.replace(TOKEN, OTHER_TOKEN)}", 403),
            ("GET", "proxy/astra/http://127.0.0.1:1/", 404),
            ("GET", f"proxy/modelarts/v1/{PROJECT}/notebooks", 404),
            ("GET", f"proxy/modelarts/{NOTEBOOKS}/lease", 404),
            ("POST", f"proxy/modelarts/{NOTEBOOKS}", 405),
            ("GET", f"proxy/modelarts/{NOTEBOOKS.replace(NOTEBOOK, NOT_RUNNING)}", 403),
            ("GET", f"proxy/modelarts/{NOTEBOOKS}?x=1", 400),
            ("GET", f"proxy/modelarts/v2/{PROJECT}/demanager/instances/{NOTEBOOK}/token", 404),
            ("GET", f"proxy/modelarts/{DEMANAGER}?x=1", 400),
            ("GET", f"proxy/pai-dlc/{DLC}&TargetId=other", 400),
            ("GET", f"proxy/pai-dlc/{DLC}&Target%49d=other", 400),
            ("GET", f"proxy/pai-dlc/{DLC}&ExpireTime=-1", 400),
            ("GET", f"proxy/pai-dlc/{DLC}&ExpireTime=soon", 400),
            ("GET", f"proxy/pai-dlc/{DLC}&Nothing=1", 400),
            ("GET", f"proxy/pai-dlc/{DLC}&ExpireTime=%ff", 400),
            ("GET", "proxy/pai-dlc/api/v1/tokens?TargetType=job", 403),
            ("GET", "proxy/pai-dlc/api/v1/tokens?TargetType=job&TargetId=another", 403),
            ("GET", "proxy/pai-dlc/api/v1/jobs", 404),
            ("POST", f"proxy/eiam/{EIAM}&InstanceId=x", 400),
            ("POST", f"proxy/eiam/?InstanceId={INSTANCE}", 400),
            ("POST", "proxy/eiam", 404),
            ("GET", f"proxy/eiam/{EIAM}", 405),
            ("POST", f"proxy/oneaccess/{ONEACCESS}", 400),
            ("POST", f"proxy/oneaccess/{ONEACCESS}?grant_type=password", 400),
            ("GET", f"proxy/oneaccess/{ONEACCESS}?{GRANT.decode()}", 405),
            ("GET", "proxy/oneaccess/api/v2/tenant/users", 404),
        ],
    )
    async def test_is_reached(self, asked: Call, sandbox: Sandbox, method: str, path: str, status: int) -> None:
        answer = await asked(method, path, b"" if method in ("POST", "PUT", "PATCH") else None)
        assert answer.code == status
        if method != "HEAD" and path != "proxy/eiam":
            assert told(answer)["message"]
        if status == 405 and method in ("GET", "POST"):
            assert answer.headers["Allow"] == {"GET": "POST", "POST": "GET"}[method]
        assert sum(sandbox.requests.values()) == 0

    @pytest.mark.parametrize(
        ("path", "body", "headers", "status"),
        [
            (f"eiam/{EIAM}", b"", {"x-acs-action": "DeleteApplicationToken"}, 404),
            (f"eiam/{EIAM}", b"", {"X-Acs-Version": "2020-12-03"}, 404),
            (f"eiam/{EIAM}", b"InstanceId=x", {}, 400),
            (f"eiam/{EIAM}", b"InstanceId=x", FORM, 400),
            (f"eiam/{EIAM}", b" " * (MAX_BODY_BYTES + 1), {}, 413),
            (f"oneaccess/{ONEACCESS}", GRANT, {"Content-Type": "application/json"}, 400),
            (f"oneaccess/{ONEACCESS}", GRANT + b"&" + GRANT, FORM, 400),
            (f"oneaccess/{ONEACCESS}", GRANT + b"&scope=all", FORM, 400),
            (f"oneaccess/{ONEACCESS}?{GRANT.decode()}", GRANT, FORM, 400),
        ],
    )
    async def test_is_said(
        self, *, asked: Call, sandbox: Sandbox, path: str, body: bytes, headers: dict[str, str], status: int
    ) -> None:
        answer = await asked("POST", f"proxy/{path}", body, **headers)
        assert answer.code == status
        assert told(answer)["message"]
        assert sum(sandbox.requests.values()) == 0

    async def test_a_provider_that_documents_no_call(
        self, asked: Call, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
    ) -> None:
        monkeypatch.setattr("jupyter_tokens.providers.astra.Astra.documented", None)
        answer = await asked("GET", f"proxy/astra/{ASTRA}")
        assert (answer.code, told(answer)["reason"]) == (404, "no_proxy")
        assert sandbox.requests["astra"] == 0

    async def test_where_tokens_may_not_be_revealed(
        self, asked: Call, extension: TokensExtension, sandbox: Sandbox
    ) -> None:
        extension.allow_reveal = False
        answer = await asked("GET", f"proxy/astra/{ASTRA}")
        assert (answer.code, told(answer)["reason"]) == (403, "reveal_off")
        assert sandbox.requests["astra"] == 0


# --- whatever a client writes ------------------------------------------------------------------------------------

_PIECES = [
    "..", ".", "/", "//", "%2f", "%2F", "%2e%2e", "%252f", "%00", "\\", "@", ":", ";", "?", "#", "&", "=", "%", "é",
    "http://127.0.0.1:1", "https:", "tokens", "api", "v1", "v2", "accounts", "token", "GetToken", "users", "_sandbox",
    "requests", "TargetId", "InstanceId", "grant_type=client_credentials", PROJECT, NOTEBOOK, ACCOUNT, TOKEN, "x",
]  # fmt: skip
_TARGETS = [DEMANAGER, DLC, ASTRA, EIAM, f"{ONEACCESS}?{GRANT.decode()}", NOTEBOOKS, ""]
_ALLOWED = re.compile(
    rf"GET /v1/{PROJECT}/demanager/instances/{NOTEBOOK}/token"
    rf"|GET /v1/{PROJECT}/notebooks/{NOTEBOOK}"
    r"|GET /api/v1/tokens\?(ExpireTime=\d+&)?TargetId=dlc1a2b3c4d5e6f7&TargetType=job"
    r"(&TokenSettings\.\w+=(True|False))*"
    rf"|GET /{ASTRA}"
    rf"|POST /\?ApplicationId={APPLICATION}&ApplicationTokenId={APPLICATION_TOKEN}&InstanceId={INSTANCE}"
    r"|POST /api/v2/tenant/token"
)


@st.composite
def _paths(draw: st.DrawFn) -> str:
    """A documented path with some pieces put in, or pieces alone."""
    path = draw(st.sampled_from(_TARGETS))
    for piece in draw(st.lists(st.sampled_from(_PIECES) | st.text(max_size=4), max_size=4)):
        place = draw(st.integers(0, len(path)))
        path = path[:place] + piece + path[place + draw(st.integers(0, 6)) :]
    return path


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of a sandbox that is started after this."""
    requests: list[str] = []

    class Noting(Server):
        def __init__(self, handle: Callable[[Request], Response], *options: Any) -> None:
            def noted(request: Request) -> Response:
                requests.append(f"{request.method} {request.target}")
                return handle(request)

            super().__init__(noted, *options)

    monkeypatch.setattr(app, "Server", Noting)
    return requests


def test_nothing_but_documented_calls_reaches_a_vendor(
    reached: list[str],
    jp_serverapp: Any,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
    http_server: Any,
    http_server_port: tuple[Any, int],
    profiles: dict[str, Any],
) -> None:
    token = jp_serverapp.identity_provider.token

    async def send(method: str, target: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", http_server_port[-1])
        head = b"%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: token %s\r\nContent-Length: 0\r\n"
        writer.write(head % (method.encode(), target, token.encode()) + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(300):
            received = await reader.read()
        writer.close()
        return received

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        method=st.sampled_from(["GET", "POST", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT"]),
        name=st.sampled_from([name for name in profiles if name != "wrong"]),
        path=_paths(),
    )
    def check(method: str, name: str, path: str) -> None:
        # On the wire a target has neither spaces nor line ends; anything else can be written.
        target = f"{jp_serverapp.base_url}jupyter-tokens/proxy/{name}/{path}".encode("utf-8", "replace")
        target = re.sub(rb"[\x00-\x20\x7f]", b"", target)
        received = jp_asyncio_loop.run_until_complete(send(method, target))
        assert not received.startswith(b"HTTP/1.1 5"), received
        assert all(_ALLOWED.fullmatch(request) for request in reached), reached[-1]

    check()
    # It was no test of a closed door.
    opened = [*zip(profiles, (DEMANAGER, DLC, _TARGETS[4], ASTRA, EIAM), strict=False), ("modelarts", NOTEBOOKS)]
    for name, target in opened:
        url = f"{jp_serverapp.base_url}jupyter-tokens/proxy/{name}/{target}".encode()
        method = "POST" if name in ("eiam", "oneaccess") else "GET"
        assert jp_asyncio_loop.run_until_complete(send(method, url)).startswith(b"HTTP/1.1 200"), name
    assert {request.split("?")[0] for request in reached} == {
        f"GET /{DEMANAGER}", f"GET /{NOTEBOOKS}", f"GET /{ASTRA}",
        "GET /api/v1/tokens", "POST /api/v2/tenant/token", "POST /",
    }  # fmt: skip


# --- what goes out -----------------------------------------------------------------------------------------------

_CLIENTS_OWN = {
    "X-Auth-Token": CANARY,
    "Cookie": f"session={CANARY}",
    "X-Sdk-Date": CANARY,
    "X-Sdk-Content-Sha256": CANARY,
    "X-Security-Token": CANARY,
    "X-Project-Id": CANARY,
    "X-Acs-Security-Token": CANARY,
    "X-Acs-Bearer-Token": CANARY,
    "X-Acs-Signature-Nonce": CANARY,
    "X-Acs-Accesskey-Id": CANARY,
    "X-Acs-Date": CANARY,
    "Proxy-Authorization": CANARY,
    "Te": "trailers",
    "Keep-Alive": CANARY,
    "Upgrade-Insecure-Requests": CANARY,
    "Referer": f"http://localhost/{CANARY}",
    "X-Forwarded-For": CANARY,
    "If-None-Match": CANARY,
    "User-Agent": CANARY,
    "Accept": f"application/{CANARY}",
}


@every_pass
async def test_nothing_that_a_client_sends_along_reaches_the_vendor(
    asked: Call,
    profiles: dict[str, Any],
    write_profiles: Callable[..., Path],
    jp_serverapp: Any,
    name: str,
) -> None:
    with upstream(raw_answer(b'{"Token": 1}', content_type="application/json")) as vendor:
        write_profiles({name: {**profiles[name], "endpoint": vendor.url}})
        method, path, _ = CALLS[name]
        answer = await asked(method, path, b"" if method == "POST" else None, **_CLIENTS_OWN)
    assert answer.code == 200
    (sent,) = vendor.requests
    assert CANARY.encode() not in sent
    assert jp_serverapp.identity_provider.token.encode() not in sent
    names = {line.partition(b":")[0].lower() for line in sent.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]}
    assert not names & {b"cookie", b"te", b"keep-alive", b"referer", b"upgrade-insecure-requests", b"x-forwarded-for"}
    assert b"accept-encoding: identity" in sent.lower()


async def test_a_clients_own_form_is_not_sent_on(
    asked: Call, profiles: dict[str, Any], write_profiles: Callable[..., Path]
) -> None:
    body = json.dumps({"access_token": "short", "expires_in": 60}).encode()
    with upstream(raw_answer(body, content_type="application/json")) as vendor:
        write_profiles({"oneaccess": {**profiles["oneaccess"], "endpoint": vendor.url}})
        form = GRANT + b"&client_id=mine&client_secret=" + CANARY.encode()
        assert (await asked("POST", f"proxy/oneaccess/{ONEACCESS}", form, **FORM)).code == 200
    assert CANARY.encode() not in vendor.requests[0]
    assert SECRETS["oneaccess"].encode() in vendor.requests[0]


async def test_of_the_vendors_headers_only_those_that_are_meant_for_clients_come_back(passed: Passed) -> None:
    headers = {
        "set_cookie": f"a={CANARY}",
        "location": "http://127.0.0.1:1/",
        "server": CANARY,
        "access_control_expose_headers": "*",
        "content_security_policy": "default-src *",
        "www_authenticate": "Basic",
        "x_request_id": "request-1",
        "x_correlation_id": "with\x01control",
        "content_type": "text/html; charset=utf-8",
    }
    answer = await passed(raw_answer(b"<script>", f"200 {CANARY}", **headers))
    assert (answer.code, answer.reason, answer.headers["X-Request-Id"]) == (200, "OK", "request-1")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("Location", "Access-Control-Expose-Headers", "WWW-Authenticate", "X-Correlation-Id"):
        assert name not in answer.headers
    assert CANARY not in str(answer.headers)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/astra-token+json",
    ],
)
async def test_json_comes_with_the_kind_that_the_vendor_gives_it(passed: Passed, kind: str) -> None:
    answer = await passed(raw_answer(b"{}", content_type=kind))
    assert (answer.code, answer.headers["Content-Type"]) == (200, kind)
    assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "503 Oops"])
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "text/html+json",
        "image/svg+xml",
        "application/xhtml+xml",
        "application/jsonp",
        "application/json, text/html",
        "application/json; charset=utf-8; a=b",
        "text/html\r\nContent-Type: application/json",
        "application/json\r\nContent-Type: text/html",
    ],
)
async def test_anything_else_than_json_is_a_file_and_no_page_of_jupyters_origin(
    passed: Passed, kind: str | None, status: str
) -> None:
    given = {} if kind is None else {"content_type": kind}
    answer = await passed(raw_answer(b"<script>alert(1)</script>", status, **given))
    assert (answer.code, answer.body) == (int(status[:3]), b"<script>alert(1)</script>")
    assert answer.headers.get_list("Content-Type") == ["application/octet-stream"]
    assert answer.headers["Content-Disposition"] == "attachment"
    assert "sandbox" in answer.headers["Content-Security-Policy"].split("; ")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("status", ["000 Zero", "101 Switching Protocols", "600 More", "999 Most"])
async def test_a_status_that_no_answer_has_is_the_servers_own_error(passed: Passed, status: str) -> None:
    answer = await passed(raw_answer(b"{}", status, content_type="application/json"))
    assert answer.code == 502
    assert told(answer)["reason"] in {"response", "network"}
    assert CACHE_HEADER not in answer.headers


async def test_a_header_that_holds_a_secret_is_left_out(passed: Passed) -> None:
    secret = SECRETS["astra"]
    headers = {"x_request_id": f"id-{secret}", "x_correlation_id": "kept", "retry_after": secret.encode().hex()}
    kind = f"application/{secret}+json"
    answer = await passed(raw_answer(b"{}", "429 Slow", **headers, content_type=kind))
    assert (answer.code, answer.headers["X-Correlation-Id"]) == (429, "kept")
    assert not {"X-Request-Id", "Retry-After"} & set(answer.headers)
    assert secret not in str(answer.headers)


async def test_no_secret_is_echoed_logged_or_told(
    asked: Call,
    profiles: dict[str, Any],
    write_profiles: Callable[..., Path],
    extension: TokensExtension,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for status in ("200 OK", "400 Bad Request", "500 Oops"):
        for name, (method, path, _) in CALLS.items():
            sent = SECRETS[{"modelarts": "huawei", "astra": "astra"}.get(name, "alibaba")].encode()
            with upstream(raw_answer(b"you sent " + sent, status, content_type="text/plain")) as vendor:
                write_profiles({name: {**profiles[name], "endpoint": vendor.url}})
                extension.source.expire_config()
                answer = await asked(method, path)
                assert sent not in answer.body
                assert b"***" in answer.body
    for secret in SECRETS.values():
        assert secret not in caplog.text


async def test_successes_are_served_and_failures_are_told(
    asked: Call, sandbox: Sandbox, extension: TokensExtension, profiles: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    seen: list[tuple[str, Any]] = []
    monkeypatch.setattr(extension.activity, "served", lambda _, profile, **how: seen.append((profile, how)))
    end = extension.source.observe(lambda fetched: seen.append((fetched.key.profile, fetched.error)))
    assert (await asked("GET", f"proxy/astra/{ASTRA}")).code == 200
    sandbox.plan({"api": "astra", "kind": 503})
    assert (await asked("GET", f"proxy/astra/{ASTRA}")).code == 503
    sandbox.plan({"api": "astra", "kind": "reset"})
    assert (await asked("GET", f"proxy/astra/{ASTRA}")).code == 502
    end()
    assert seen[0] == ("astra", {"to": "proxy", "cached": False})
    assert [error.reason for _, error in seen[1:]] == ["unavailable", "network"]
    assert profiles


def test_a_provider_by_itself_has_no_call_to_pass_on() -> None:
    class Plain(base.Provider):
        title = "Plain"

    plain = Plain()
    assert (plain.documented, plain.caches) == (None, False)
    with pytest.raises(TokenError, match="cannot be reached through the proxy"):
        plain.exchange(None)  # type: ignore[arg-type]
    with pytest.raises(TokenError, match="does not ask to cache"):
        plain.answer(None, 0.0)  # type: ignore[arg-type]
