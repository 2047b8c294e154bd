"""The vendors' own SDKs pointed at the proxy of a real Jupyter server, with made-up keys of their own."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from alibabacloud_eiam20211201.client import Client as EiamClient
from alibabacloud_eiam20211201.models import ObtainApplicationTokenRequest
from alibabacloud_pai_dlc20201203.client import Client as PaiClient
from alibabacloud_pai_dlc20201203.models import GetJobRequest, GetTokenRequest, TokenSettings
from alibabacloud_tea_openapi.exceptions import ClientException, ThrottlingException
from alibabacloud_tea_openapi.utils_models import Config
from astraSDK.common import SDKCommon
from huaweicloudsdkcore.exceptions import exceptions as huawei

from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.sandbox.astra import ACCOUNT, TOKEN, USER
from jupyter_tokens.sandbox.eiam import APPLICATION, INSTANCE
from jupyter_tokens.sandbox.eiam import TOKEN as APPLICATION_TOKEN
from jupyter_tokens.sandbox.modelarts import INSTANCE as NOTEBOOK

from ..cli.machine import jupyter_server, write_profiles
from ..doubles import loopback
from .test_official_sdks import demanager, notebook

LOGIN = "jupyter-server-token-of-the-user"
OWN = ("LTAIofthesdk", "secret-of-the-sdk")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running() as served:
        yield served


@pytest.fixture(scope="module")
def proxy(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server's proxy URL, to which a profile's name is added."""
    home = tmp_path_factory.mktemp("server")
    secrets = home / "secrets"
    secrets.mkdir()
    profiles = sandbox.profiles(secrets)
    for name in ("modelarts", "pai-dlc"):
        profiles[name]["params"] = {}
    write_profiles(home, profiles)
    places = dict.fromkeys(("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"), str(home))
    options = ["--ServerApp.base_url=/team/", f"--ServerApp.root_dir={home}", f"--IdentityProvider.token={LOGIN}"]
    with jupyter_server(home / "server.log", *options, environment={**os.environ, **places}) as url:
        yield f"{url}/team/jupyter-tokens/proxy"
    log = (home / "server.log").read_text()
    for secret in secrets.iterdir():
        assert secret.read_text() not in log


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


# --- Alibaba -----------------------------------------------------------------------------------------------------


def config(url: str) -> Config:
    return Config(access_key_id=OWN[0], access_key_secret=OWN[1], endpoint=url.removeprefix("http://"), protocol="HTTP")


def test_pai_dlc_with_all_of_its_parameters(sandbox: Sandbox, proxy: str) -> None:
    settings = TokenSettings(enable_cross_account_access=True, enable_log_download_job=False)
    wanted = GetTokenRequest(target_type="job", target_id="dlc 1*~é", expire_time=60, token_settings=settings)
    with host_of(f"{proxy}/pai-dlc") as url:
        answer = PaiClient(config(url)).get_token(wanted)
    assert (answer.status_code, answer.body.token[:4]) == (200, "eyJh")
    assert answer.body.request_id
    assert sandbox.requests["pai-dlc"] == 1


def test_eiam(sandbox: Sandbox, proxy: str) -> None:
    wanted = ObtainApplicationTokenRequest(
        instance_id=INSTANCE, application_id=APPLICATION, application_token_id=APPLICATION_TOKEN
    )
    with host_of(f"{proxy}/eiam") as url:
        token = EiamClient(config(url)).obtain_application_token(wanted).body.application_token
    assert (token.status, token.application_token[:4]) == ("enabled", "SATF")
    assert sandbox.requests["eiam"] == 1


def test_alibabas_refusals_are_read_by_its_sdk(sandbox: Sandbox, proxy: str) -> None:
    with host_of(f"{proxy}/pai-dlc") as url:
        client = PaiClient(config(url))
        sandbox.plan({"api": "pai-dlc", "kind": 403})
        with pytest.raises(ClientException) as refused:
            client.get_token(GetTokenRequest())
        sandbox.plan({"api": "pai-dlc", "kind": "throttle", "retry_after": 2})
        with pytest.raises(ThrottlingException) as throttled:
            client.get_token(GetTokenRequest())
    assert (refused.value.status_code, refused.value.code) == (403, "NoPermission")
    assert refused.value.request_id
    assert (throttled.value.code, throttled.value.retry_after) == ("Throttling.User", 2000)


def test_another_call_of_the_sdk_ends_at_the_server(sandbox: Sandbox, proxy: str) -> None:
    with host_of(f"{proxy}/pai-dlc") as url, pytest.raises(ClientException) as refused:
        PaiClient(config(url)).get_job("dlc1", GetJobRequest())
    assert refused.value.status_code == 404
    assert sum(sandbox.requests.values()) == 0


# --- Huawei ------------------------------------------------------------------------------------------------------


def test_modelarts_in_both_forms(sandbox: Sandbox, proxy: str) -> None:
    with host_of(f"{proxy}/modelarts") as url:
        shown = notebook(url, access=OWN)
        answer = demanager(url, access=OWN)
    assert (shown.id, shown.status) == (NOTEBOOK, "RUNNING")
    assert set(answer) == {"token"}
    assert sandbox.requests["modelarts"] == 2


def test_huaweis_refusals_are_read_by_its_sdk(sandbox: Sandbox, proxy: str) -> None:
    sandbox.plan({"api": "modelarts", "kind": 403})
    with host_of(f"{proxy}/modelarts") as url, pytest.raises(huawei.ClientRequestException) as refused:
        notebook(url, access=OWN)
    assert (refused.value.status_code, refused.value.error_code) == (403, "ModelArts.0108")


# --- those that take a whole address -----------------------------------------------------------------------------


class Tokens(SDKCommon):
    """The toolkit has no class for tokens; this is how its others call the API."""

    def call(self, path: str) -> requests.Response:
        answer: requests.Response = self.apicall("get", f"{self.base}{path}", {}, self.headers, {}, quiet=True)
        return answer


def test_the_astra_toolkit_with_the_servers_token_as_its_bearer(sandbox: Sandbox, proxy: str) -> None:
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {LOGIN}"
    base = f"{proxy}/astra/accounts/{ACCOUNT}/"
    tokens = Tokens({"base": base, "session": session, "domain": proxy, "account_id": ACCOUNT})
    stored = tokens.jsonifyResults(tokens.call(f"core/v1/users/{USER}/tokens/{TOKEN}"))
    assert (stored["id"], stored["userID"]) == (TOKEN, USER)
    assert sandbox.requests["astra"] == 1
    assert tokens.call(f"core/v1/users/{USER}/tokens").status_code == 404
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
