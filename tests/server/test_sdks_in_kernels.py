"""Unmodified SDKs in a real kernel of a real server: `%gettoken NAME --sdk TOOL`, and what they start."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sdks import EXAMPLES
from jupyter_tokens.server.app import TokensExtension

from ..doubles import loopback, raw_answer
from ..sampling import first
from .kernels import Client, started, until

pytestmark = pytest.mark.usefixtures("published")


@pytest.fixture
def neighbours() -> tuple[str, ...]:
    """A temporary access key among them."""
    return ("alibaba-sts",)


@pytest.fixture(autouse=True)
def _workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Databricks' SDK asks its host what it is before it asks for a token, and again for minutes if none answers."""
    with loopback(lambda asking, _: asking.sendall(raw_answer(status="404 Not Found"))) as host:
        monkeypatch.setenv("DATABRICKS_HOST", host.url)
        yield


AZURE = """
from azure.identity import ManagedIdentityCredential
credential = ManagedIdentityCredential()
def ask():
    return credential.get_token("https://storage.azure.com/.default").token
"""
GOOGLE = """
import google.auth, google.auth.transport.requests
from google.auth.identity_pool import Credentials
import os
def ask():
    credentials = Credentials.from_file(os.environ["GOOGLE_APPLICATION_CREDENTIALS"], scopes=["https://x/auth"])
    credentials.refresh(google.auth.transport.requests.Request())
    return credentials.token
"""
DATABRICKS = """
import os
from databricks.sdk.core import Config
def ask():
    return Config().authenticate()["Authorization"].removeprefix("Bearer ")
"""
AWS = """
from boto3 import Session
credentials = Session().get_credentials()
def ask():
    key = credentials.get_frozen_credentials()
    return "|".join((key.access_key, key.secret_key, key.token))
"""
ALIBABA = """
from alibabacloud_credentials.client import Client
client = Client()
def ask():
    key = client.get_credential()
    return "|".join((key.access_key_id, key.access_key_secret, key.security_token))
"""
HUAWEI = """
from huaweicloudsdkcore.auth.provider import PodIdentityCredentialProvider
def ask():
    key = PodIdentityCredentialProvider.get_basic().get_credentials()
    return "|".join((key.ak, key.sk, key.security_token))
"""
HUGGINGFACE = """
from huggingface_hub import get_token
def ask():
    return get_token()
"""
# Its client calls `api_key` before each request; the host that answers is a part of the client.
OPENAI = """
import httpx, openai
import jupyter_tokens
shown = []
def host(request):
    shown.append(request.headers["Authorization"].removeprefix("Bearer "))
    return httpx.Response(200, json={"object": "list", "data": []})
token = jupyter_tokens.get_token("pai-dlc", ExpireTime=LIFE)
http_client = httpx.Client(transport=httpx.MockTransport(host))
client = openai.OpenAI(api_key=token.as_callable(), base_url="http://127.0.0.1:9/v1", http_client=http_client)
def ask():
    client.models.list()
    return shown[-1]
"""
KEY = "alibaba-sts", {"DurationSeconds": 900}
TOKEN = "pai-dlc", {"ExpireTime": 60}
# Lives so short that each SDK asks at every call.
SDKS = {
    "aws": (AWS, *KEY),
    "alibaba": (ALIBABA, *KEY),
    "huawei": (HUAWEI, *KEY),
    "azure": (AZURE, *TOKEN),
    "google": (GOOGLE, *TOKEN),
    "databricks": (DATABRICKS, *TOKEN),
}
PROGRAM = """
import subprocess, sys
print(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True).stdout)
"""
CHECK = """
from hashlib import sha256
print(sha256(ask().encode()).hexdigest()[:12])
"""


async def told(client: Client, code: str) -> str:
    """The last line that a cell prints."""
    return (await client.run(code)).strip().rpartition("\n")[2]


@pytest.mark.parametrize("tool", first(SDKS))
async def test_an_sdk_finds_the_token_and_asks_again(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, sandbox: Sandbox, tool: str
) -> None:
    async with started(jp_serverapp) as client:
        code, profile, params = SDKS[tool]
        given = " ".join(f"{name}={value}" for name, value in params.items())
        await client.run(f"%gettoken {profile} {given} --sdk {tool}")
        assert not [message["content"] for message in client.heard if message["msg_type"] == "error"]
        first = await told(client, code + CHECK)
        for _ in range(3):
            assert await told(client, CHECK) == first
        assert sandbox.requests[profile] == 1
        extension.source.get(extension.source.key(profile, params), refresh=True)
        # In a program that the kernel starts, too.
        await client.run(f"program = {code + CHECK!r}")
        second = await told(client, PROGRAM)
        assert len(first) == len(second) == 12
        assert await told(client, CHECK) == second != first
        await client.run(f"import os; from jupyter_tokens.sdks import SDKS, Address\n%deltoken {profile}")
        left = f"print([name for name in SDKS[{tool!r}].variables(Address('', '', '')) if name in os.environ])"
        assert await told(client, left) == "[]"
        assert not [value for value in sandbox.issued if value in client.all_heard()]


@pytest.mark.parametrize("tool", first([*SDKS, "huggingface", "openai"]))
async def test_the_example_of_an_sdk_runs(
    jp_serverapp: Any, profiles: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    _, profile, params = SDKS.get(tool, ("", *TOKEN))
    # As OpenAI's API and Hugging Face's answer.
    found = raw_answer(b'{"object": "list", "data": [], "name": "me", "type": "user"}', Content_Type="application/json")
    with loopback(lambda asking, _: asking.sendall(found)) as host:
        monkeypatch.setenv("HF_ENDPOINT", host.url)
        example = EXAMPLES[tool]
        given = " ".join(f"{name}={value}" for name, value in params.items())
        first = f"%gettoken {profile} {given} --sdk {tool}\n\n{example.imports}"
        if example.takes_token:
            first = (
                f"{example.imports}\nfrom jupyter_tokens import get_token\ntoken = get_token({profile!r}, **{params})"
            )
        async with started(jp_serverapp) as client:
            await client.run(f"{first}\n\n{example.code(host.url)}")
            assert not [message["content"] for message in client.heard if message["msg_type"] == "error"]
            assert sandbox.requests[profile] == 1
            assert not [value for value in sandbox.issued if value in client.all_heard()]
    if tool in ("huggingface", "openai"):
        assert any(value.encode() in host.requests[-1] for value in sandbox.issued)


# It has asked, and goes on until it gets another one.
UNTIL_ANOTHER = """
import time
first, end = ask(), time.monotonic() + 300
print("asked", flush=True)
while ask() == first:
    assert time.monotonic() < end
    time.sleep(0.1)
print("another")
"""


async def asked(client: Client, cell: str) -> None:
    await until(
        lambda: any(
            message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == cell
            for message in client.heard
        )
    )


@pytest.mark.parametrize("tool", first(SDKS))
async def test_an_sdk_gets_the_next_token_while_a_cell_runs(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, sandbox: Sandbox, tool: str
) -> None:
    code, profile, params = SDKS[tool]
    given = " ".join(f"{name}={value}" for name, value in params.items())
    async with started(jp_serverapp) as client:
        await client.run(f"%gettoken {profile} {given} --sdk {tool}")
        await client.run(code)
        cell = client.begin(UNTIL_ANOTHER)
        await asked(client, cell)
        await asyncio.to_thread(extension.source.get, extension.source.key(profile, params), refresh=True)
        assert (await client.reply(cell))["status"] == "ok"
        # However often it has asked.
        assert sandbox.requests[profile] == 2


@pytest.mark.parametrize(("tool", "code"), first([("huggingface", HUGGINGFACE), ("openai", OPENAI)]))
async def test_a_client_that_asks_at_each_request_gets_the_next_token_too(
    jp_serverapp: Any, profiles: Any, sandbox: Sandbox, tool: str, code: str
) -> None:
    """No endpoint: the kernel keeps file and object fresh. The token ends while the cell runs."""
    async with started(jp_serverapp) as client:
        if tool == "huggingface":
            await client.run("%gettoken pai-dlc ExpireTime=5 --sdk huggingface")
        await client.run(code.replace("LIFE", "5"))
        assert (await client.reply(client.begin(UNTIL_ANOTHER)))["status"] == "ok"
        assert 2 <= sandbox.requests["pai-dlc"] <= 3
        assert not [value for value in sandbox.issued if value in client.all_heard()]


ATTEMPT = """
try:
    exec(program)
    ask()
except Exception as error:
    print(" ".join(str(error).split()))
"""
# What these SDKs show instead of the server's answer; the reason is shown by the notebook.
HIDDEN = {
    "huawei": "detail: 400 Client Error",
    "databricks": "Metadata Service returned empty token",
}


@pytest.mark.parametrize("tool", first(SDKS))
async def test_what_a_person_reads_if_the_api_refuses(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, sandbox: Sandbox, tool: str
) -> None:
    code, profile, params = SDKS[tool]
    given = " ".join(f"{name}={value}" for name, value in params.items())
    async with started(jp_serverapp) as client:
        await client.run(f"%gettoken {profile} {given} --sdk {tool}")
        await client.run(f"program = {code!r}")
        extension.source.forget_profile(profile)
        sandbox.plan({"api": profile, "kind": "403", "times": 9})
        read = await told(client, ATTEMPT)
        if tool in HIDDEN:
            assert HIDDEN[tool] in read
            await client.run(f"%gettoken {profile} {given} --refresh")
            read = client.all_heard()
        for part in ("Ask for the RAM action", "code NoPermission, request id "):
            assert part in read
        assert extension.secrets.get(client.id, extension.source.key(profile, params)) not in client.all_heard()
        assert not [value for value in sandbox.issued if value in client.all_heard()]


UNTIL_REFUSED = """
import time
end = time.monotonic() + 300
while True:
    try:
        ask()
    except Exception as error:
        print(type(error).__name__, " ".join(str(error).split()))
        break
    assert time.monotonic() < end
    time.sleep(0.1)
"""


async def test_what_a_person_reads_if_openais_client_gets_no_further_token(
    jp_serverapp: Any, profiles: Any, sandbox: Sandbox
) -> None:
    async with started(jp_serverapp) as client:
        await client.run(OPENAI.replace("LIFE", "5") + "\nask()")
        sandbox.plan({"api": "pai-dlc", "kind": "403", "times": None})
        read = await told(client, UNTIL_REFUSED)
        assert read.startswith("Forbidden ")
        for part in ("Ask for the RAM action", "code NoPermission, request id "):
            assert part in read
        assert not [value for value in sandbox.issued if value in client.all_heard()]


async def test_the_profile_can_name_its_sdk(
    jp_serverapp: Any, profiles: Any, write_profiles: Callable[..., object]
) -> None:
    write_profiles({"mine": {**profiles["oneaccess"], "sdk": "huggingface"}})
    async with started(jp_serverapp) as client:
        await client.run("%gettoken mine")
        path = await told(client, "import os, stat; print(os.environ['HF_TOKEN_PATH'])")
        same = (
            "print(open(os.environ['HF_TOKEN_PATH']).read() == __import__('jupyter_tokens').get_token('mine').reveal())"
        )
        assert await told(client, same) == "True"
        assert await told(client, "print(oct(stat.S_IMODE(os.stat(os.environ['HF_TOKEN_PATH']).st_mode)))") == "0o600"
        await client.run("%deltoken mine")
        assert await told(client, f"print(os.path.exists({path!r}), 'HF_TOKEN_PATH' in os.environ)") == "False False"


async def test_the_secret_is_taken_out_of_outputs_and_the_rivals_are_named(jp_serverapp: Any, profiles: Any) -> None:
    async with started(jp_serverapp) as client:
        await client.run("import os; os.environ['AZURE_CLIENT_SECRET'] = 'x'")
        await client.run("%gettoken oneaccess --sdk azure")
        assert "$AZURE_CLIENT_SECRET is set" in client.all_heard()
        assert await told(client, "print(os.environ['IDENTITY_HEADER'])") == "[secret oneaccess]"


@pytest.mark.parametrize(
    ("line", "problem"), [("--sdk nonsense", "Unknown SDK"), ("--sdk aws", "not a temporary access key")]
)
async def test_what_cannot_be(jp_serverapp: Any, profiles: Any, line: str, problem: str) -> None:
    async with started(jp_serverapp) as client:
        await client.run(f"%gettoken oneaccess {line}")
        assert problem in json.dumps(client.heard, default=str)
        assert await told(client, "import os; print([n for n in os.environ if n.startswith('AWS_CONTAINER_')])") == "[]"
