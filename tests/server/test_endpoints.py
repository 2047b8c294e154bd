"""Credential endpoints: what each SDK's own request is answered with, and who is not answered."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from tornado.httpclient import HTTPResponse

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension

from ..doubles import vector
from .conftest import Call, Kernel, told

Ask = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def neighbours() -> tuple[str, ...]:
    """A temporary access key among them."""
    return ("alibaba-sts",)


@pytest.fixture
def secret(by_proof: Call, profiles: Any) -> Callable[..., Awaitable[str]]:
    """The secret of the kernel and a profile."""

    async def secret(profile: str = "oneaccess", **params: Any) -> str:
        response = await by_proof("sdk", {"profile": profile, "params": params})
        assert response.code == 200
        return str(told(response)["secret"])

    return secret


@pytest.fixture
def ask(call: Call, kernel: Kernel) -> Ask:
    """Asks as the SDK whose request was recorded, with another address and secret."""

    async def ask(tool: str, shown: str, profile: str = "oneaccess", **other: Any) -> HTTPResponse:
        method, headers, query, body = AS_RECORDED[tool](shown)
        path = f"kernels/{other.get('kernel_id', kernel.id)}/sdk/{tool}/{profile}{'?' if query else ''}{query}"
        return await call(method, path, body, headers={**headers, **other.get("headers", {})})

    return ask


def recorded(name: str) -> dict[str, str]:
    left_out = {"host", "content-length", "accept-encoding", "connection"}
    return {name: value for name, value in vector(name)["request"]["headers"] if name.lower() not in left_out}


def aws(secret: str) -> Any:
    return "GET", {**recorded("aws_container_full_uri_token"), "Authorization": secret}, "", None


def alibaba(secret: str) -> Any:
    return "GET", recorded("alibaba_credentials_uri"), urlencode({"key": secret}), None


def huawei(secret: str) -> Any:
    return "POST", {**recorded("hw_container_full_uri_pod_identity"), "Authorization": secret}, "", b"{}"


def google(secret: str) -> Any:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": secret}
    return "POST", recorded("google_external_account_exchange"), "", urlencode(form).encode()


def azure(secret: str) -> Any:
    headers = {**recorded("azure_app_service_identity"), "X-IDENTITY-HEADER": secret}
    return "GET", headers, vector("azure_app_service_identity")["request"]["raw_query"], None


def databricks(secret: str) -> Any:
    headers = {"X-Databricks-Metadata-Version": "1", "X-Databricks-Host": "https://x.example"}
    return "GET", headers, urlencode({"key": secret}), None


AS_RECORDED: dict[str, Callable[[str], Any]] = {
    "aws": aws,
    "alibaba": alibaba,
    "huawei": huawei,
    "google": google,
    "azure": azure,
    "databricks": databricks,
}
ONE_VALUE = ("google", "azure", "databricks")
by_tool = pytest.mark.parametrize("tool", AS_RECORDED)


async def test_a_token_in_each_form(ask: Ask, secret: Any, sandbox: Sandbox, extension: TokensExtension) -> None:
    shown = await secret()
    answers = {tool: await ask(tool, shown) for tool in ONE_VALUE}
    assert {response.code for response in answers.values()} == {200}
    found = {tool: told(response) for tool, response in answers.items()}
    token = extension.source.held(extension.source.key("oneaccess")).token  # type: ignore[union-attr]
    assert token.expires_at is not None
    ends = int(token.expires_at.timestamp())
    value = token.reveal()
    assert found["azure"] == {
        "access_token": value,
        "expires_on": str(ends),
        "resource": "https://storage.azure.com",
        "token_type": "Bearer",
    }
    assert found["databricks"] == {"access_token": value, "token_type": "Bearer", "expires_on": ends}
    assert found["google"].pop("expires_in") > 0
    assert (
        found["google"].keys() < json.loads(vector("google_external_account_exchange")["response"]["body_text"]).keys()
    )
    assert sandbox.requests["oneaccess"] == 1


async def test_an_access_key_in_each_form(ask: Ask, secret: Any, sandbox: Sandbox, extension: TokensExtension) -> None:
    shown = await secret("alibaba-sts")
    found = {tool: told(await ask(tool, shown, "alibaba-sts")) for tool in ("aws", "alibaba", "huawei")}
    token = extension.source.held(extension.source.key("alibaba-sts")).token  # type: ignore[union-attr]
    key, secret_key, session = token.values().values()
    assert token.expires_at is not None
    ends = f"{token.expires_at:%Y-%m-%dT%H:%M:%S}"
    assert found["aws"] == {
        "AccessKeyId": key,
        "SecretAccessKey": secret_key,
        "Token": session,
        "Expiration": f"{ends}Z",
    }
    assert found["alibaba"] == {
        "Code": "Success",
        "AccessKeyId": key,
        "AccessKeySecret": secret_key,
        "SecurityToken": session,
        "Expiration": f"{ends}Z",
    }
    assert found["huawei"]["credentials"] == {
        "access_key_id": key,
        "secret_access_key": secret_key,
        "security_token": session,
        "expiration": f"{ends}.000000Z",
    }
    for tool in ONE_VALUE:
        refused = await ask(tool, shown, "alibaba-sts")
        assert (refused.code, told(refused)["reason"]) == (400, "parameter")
    assert sandbox.requests["alibaba-sts"] == 1


async def test_a_life_that_nobody_knows(ask: Ask, secret: Any, write_profiles: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MY_KEY", "static-k3y-0123456789")
    write_profiles({"oneaccess": {"provider": "static", "token": "env:MY_KEY"}})
    assert told(await ask("google", await secret()))["expires_in"] == 900


@by_tool
async def test_only_by_the_kernels_own_secret(ask: Ask, secret: Any, tool: str, sandbox: Sandbox) -> None:
    shown = await secret()
    other = await secret("eiam")
    for wrong in ("", "x", shown[:-1], shown + "x", other, "\u00e9"):
        response = await ask(tool, wrong)
        assert (response.code, told(response)["reason"]) == (403, "secret")
    assert (await ask(tool, shown, kernel_id=str(uuid4()))).code == 403
    assert (await ask(tool, shown, profile="eiam")).code == 403
    assert (await ask(tool, shown, profile="nobody")).code == 403
    assert sandbox.requests.total() == 0


@pytest.mark.parametrize("header", ["Sec-Fetch-Mode", "Sec-Fetch-Site", "X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_neither_a_browser_nor_another_machine(ask: Ask, secret: Any, header: str) -> None:
    response = await ask("azure", await secret(), headers={header: "127.0.0.1"})
    assert (response.code, told(response)["reason"] in {"browser", "remote"}) == (403, True)


async def test_the_secret_is_one_for_each_token_and_ends_with_the_kernels_process(
    ask: Ask, secret: Any, kernel: Kernel, extension: TokensExtension
) -> None:
    kernel.known.provisioner = SimpleNamespace(pid=1)
    shown = await secret()
    assert await secret() == shown
    assert len({shown, await secret("eiam"), await secret("pai-dlc", ExpireTime=60)}) == 3
    assert (await ask("azure", shown)).code == 200
    kernel.known.provisioner = SimpleNamespace(pid=2)
    assert (await ask("azure", shown)).code == 403
    again = await secret()
    assert again != shown
    del extension.server.kernel_manager._kernels[kernel.id]
    assert (await ask("azure", again)).code == 403
    extension.server.kernel_manager._kernels[kernel.id] = kernel.known


async def test_the_parameters_are_those_that_the_secret_was_made_for(ask: Ask, secret: Any, sandbox: Sandbox) -> None:
    short = told(await ask("google", await secret("pai-dlc", ExpireTime=60), "pai-dlc"))
    assert short["expires_in"] <= 60
    assert sandbox.requests["pai-dlc"] == 1


async def test_the_profiles_own_parameters_are_those_of_today(
    ask: Ask, secret: Any, profiles: Any, write_profiles: Any, extension: TokensExtension
) -> None:
    def write(life: int) -> None:
        own = {**profiles["pai-dlc"]["params"], "ExpireTime": life}
        write_profiles({"pai-dlc": {**profiles["pai-dlc"], "params": own, "fixed_params": True}})
        extension.source.expire_config()

    write(600)
    shown = await secret("pai-dlc")
    write(60)
    response = await ask("google", shown, "pai-dlc")
    assert response.code == 200
    assert told(response)["expires_in"] <= 60


async def test_a_limited_profile(
    by_proof: Call, ask: Ask, secret: Any, profiles: Any, write_profiles: Any, extension: TokensExtension
) -> None:
    shown = await secret()
    write_profiles({"oneaccess": {**profiles["oneaccess"], "kernels": ["ir"]}})
    extension.source.expire_config()
    assert told(await ask("azure", shown))["reason"] == "limited"
    assert told(await by_proof("sdk", {"profile": "oneaccess"}))["reason"] == "limited"


async def test_what_is_asked_for_wrongly(by_proof: Call, profiles: Any) -> None:
    assert (await by_proof("sdk", {})).code == 400
    assert (await by_proof("sdk", {"profile": "nobody"})).code == 404
    assert (await by_proof("sdk", {"profile": "pai-dlc", "params": {"Wrong": 1}})).code == 400


async def test_a_failed_upstream_is_told_without_secrets(ask: Ask, secret: Any, sandbox: Sandbox) -> None:
    shown = await secret()
    sandbox.plan({"api": "oneaccess", "kind": "403", "times": 1})
    refused = await ask("azure", shown)
    assert (refused.code, told(refused)["retryable"]) == (400, False)
    assert shown not in refused.body.decode()
    sandbox.plan({"api": "oneaccess", "kind": "503", "times": 9})
    assert (await ask("azure", shown)).code in {502, 503}


async def test_an_access_key_is_no_token_and_a_token_is_no_access_key(ask: Ask, secret: Any) -> None:
    for tool in AS_RECORDED.keys() - set(ONE_VALUE):
        response = await ask(tool, await secret())
        assert (response.code, told(response)["reason"]) == (400, "parameter")
        assert "access key" in told(response)["message"]
