"""The vendors' own SDKs pointed at the proxy of a real Jupyter server, with made-up keys of their own."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from alibabacloud_pai_dlc20201203.client import Client as PaiClient
from alibabacloud_pai_dlc20201203.models import GetJobRequest, GetTokenRequest, TokenSettings
from alibabacloud_tea_openapi.exceptions import ClientException, ThrottlingException
from huaweicloudsdkcore.exceptions import exceptions as huawei

from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.sandbox.astra import TOKEN, USER
from jupyter_tokens.sandbox.modelarts import INSTANCE as NOTEBOOK

from ..doubles import loopback
from ..labextension.served import Served, serving
from .test_official_sdks import alibaba_config, demanager, eiam, notebook, pai, toolkit

LOGIN = Served.token
OWN = ("LTAIofthesdk", "secret-of-the-sdk")
KEYS: dict[str, Any] = dict(zip(("access_key_id", "access_key_secret"), OWN, strict=True))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running() as served:
        yield served


@pytest.fixture(scope="module")
def proxy(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server's proxy URL, to which a profile's name is added."""
    profiles = sandbox.profiles(tmp_path_factory.mktemp("secrets"))
    without = {name: {**profiles[name], "params": {}} for name in ("modelarts", "pai-dlc")}
    with serving("jupyterlab", tmp_path_factory.mktemp("server"), sandbox, without) as served:
        yield f"{served.url}/jupyter-tokens/proxy"


@pytest.fixture(autouse=True)
def _counted(sandbox: Sandbox) -> Iterator[None]:
    sandbox.requests.clear()
    yield
    sandbox.clear_faults()


@contextmanager
def host_of(url: str) -> Iterator[str]:
    """A host that stands for a profile's proxy, for SDKs whose endpoint has no path: prefix and login are added."""
    place = urlsplit(url)

    def forward(connection: socket.socket, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        headers = {name: value for name, value in headers.items() if name.lower() not in ("host", "authorization")}
        server = http.client.HTTPConnection(place.netloc)
        server.request(method, place.path + target, body, {**headers, "Authorization": f"token {LOGIN}"})
        answer = server.getresponse()
        content = answer.read()
        told = [f"{name}: {value}" for name, value in answer.getheaders() if name.lower() != "transfer-encoding"]
        connection.sendall("\r\n".join([f"HTTP/1.1 {answer.status} {answer.reason}", *told, "", ""]).encode() + content)
        server.close()

    with loopback(forward) as served:
        yield served.url


def test_pai_dlc_with_all_of_its_parameters(sandbox: Sandbox, proxy: str) -> None:
    settings = TokenSettings(enable_cross_account_access=True, enable_log_download_job=False)
    wanted = GetTokenRequest(target_type="job", target_id="dlc 1*~é", expire_time=60, token_settings=settings)
    with host_of(f"{proxy}/pai-dlc") as url:
        answer = pai(url, request=wanted, **KEYS)
    assert (answer.status_code, answer.body.token[:4]) == (200, "eyJh")
    assert answer.body.request_id
    assert sandbox.requests["pai-dlc"] == 1


def test_eiam(sandbox: Sandbox, proxy: str) -> None:
    with host_of(f"{proxy}/eiam") as url:
        token = eiam(url, **KEYS).body.application_token
    assert (token.status, token.application_token[:4]) == ("enabled", "SATF")
    assert sandbox.requests["eiam"] == 1


def test_alibabas_refusals_are_read_by_its_sdk(sandbox: Sandbox, proxy: str) -> None:
    with host_of(f"{proxy}/pai-dlc") as url:
        sandbox.plan({"api": "pai-dlc", "kind": 403})
        with pytest.raises(ClientException) as refused:
            pai(url, request=GetTokenRequest(), **KEYS)
        sandbox.plan({"api": "pai-dlc", "kind": "throttle", "retry_after": 2})
        with pytest.raises(ThrottlingException) as throttled:
            pai(url, request=GetTokenRequest(), **KEYS)
    assert (refused.value.status_code, refused.value.code) == (403, "NoPermission")
    assert refused.value.request_id
    assert (throttled.value.code, throttled.value.retry_after) == ("Throttling.User", 2000)


def test_another_call_of_the_sdk_ends_at_the_server(sandbox: Sandbox, proxy: str) -> None:
    with host_of(f"{proxy}/pai-dlc") as url, pytest.raises(ClientException) as refused:
        PaiClient(alibaba_config(url, **KEYS)).get_job("dlc1", GetJobRequest())
    assert refused.value.status_code == 404
    assert sum(sandbox.requests.values()) == 0


def test_modelarts_in_both_forms(sandbox: Sandbox, proxy: str) -> None:
    with host_of(f"{proxy}/modelarts") as url:
        shown, told = notebook(url, access=OWN), demanager(url, access=OWN)
    assert (shown.id, shown.status) == (NOTEBOOK, "RUNNING")
    assert set(told) == {"token"}
    assert sandbox.requests["modelarts"] == 2


def test_huaweis_refusals_are_read_by_its_sdk(sandbox: Sandbox, proxy: str) -> None:
    sandbox.plan({"api": "modelarts", "kind": 403})
    with host_of(f"{proxy}/modelarts") as url, pytest.raises(huawei.ClientRequestException) as refused:
        notebook(url, access=OWN)
    assert (refused.value.status_code, refused.value.error_code) == (403, "ModelArts.0108")


def test_the_astra_toolkit_with_the_servers_token_as_its_bearer(sandbox: Sandbox, proxy: str) -> None:
    tokens = toolkit(f"{proxy}/astra", LOGIN)
    stored = tokens.jsonifyResults(tokens.call("get", f"/{TOKEN}"))
    assert (stored["id"], stored["userID"]) == (TOKEN, USER)
    assert sandbox.requests["astra"] == 1
    assert tokens.call("get").status_code == 404
    assert sandbox.requests["astra"] == 1


def test_oneaccess_as_documented_is_called_once(sandbox: Sandbox, proxy: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": OWN[0], "client_secret": OWN[1]}
    with httpx.Client(headers={"Authorization": f"token {LOGIN}"}) as client:
        first, second = (client.post(f"{proxy}/oneaccess/api/v2/tenant/token", data=form) for _ in range(2))
    assert (first.status_code, first.json()["token_type"]) == (200, "Bearer")
    assert second.json()["access_token"] == first.json()["access_token"]
    assert [answer.headers["X-Jupyter-Tokens-Cache"] for answer in (first, second)] == ["miss", "hit"]
    assert sandbox.requests["oneaccess"] == 1


def test_a_post_by_cookie_needs_the_servers_own_xsrf_token(sandbox: Sandbox, proxy: str) -> None:
    url, form = f"{proxy}/oneaccess/api/v2/tenant/token", {"grant_type": "client_credentials"}
    server = proxy.partition("/jupyter-tokens")[0]
    with httpx.Client() as browser:
        browser.get(f"{server}/login").raise_for_status()
        browser.post(f"{server}/login", data={"password": LOGIN, "_xsrf": browser.cookies["_xsrf"]})
        refused = browser.post(url, data=form)
        # Its body was not read, so the server closes the connection.
        assert (refused.status_code, refused.headers["Connection"]) == (403, "close")
        own = {"X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post(url, data=form, headers=own).status_code == 200
    assert sandbox.requests["oneaccess"] <= 1
