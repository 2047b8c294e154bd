"""A real Jupyter server with the extension, the sandbox behind it, and a kernel whose connection key is known."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_server.auth import Authorizer

# Fixtures of a conftest that is not the top one cannot come as a plugin.
from pytest_jupyter.jupyter_server import *  # noqa: F403
from tornado.httpclient import HTTPResponse
from traitlets.config import Config

from jupyter_tokens.protocol.proof import HEADER, URL_VARIABLE, prove
from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.server.app import TokensExtension, public_url

from ..leaks import Leaks

Call = Callable[..., Coroutine[Any, Any, HTTPResponse]]

SECRETS = {
    "alibaba": "c4n4ry-alibaba-secret-key-0001",
    "huawei": "c4n4ry-huawei-secret-key-00002",
    "oneaccess": "c4n4ry-oneaccess-client-s3cret",
    "astra": "c4n4ry-astra-api-t0ken-0000004",
}
KERNEL_KEY = b"c4n4ry-connection-key-of-a-kernel"


class Permissions(Authorizer):
    """Allows what a test puts into `allowed`, and keeps what it was asked about."""

    allowed: AbstractSet[tuple[str, str] | None] = frozenset()
    asked: list[tuple[str, str]] = []  # noqa: RUF012

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        self.asked.append((action, resource))
        return (action, resource) in self.allowed


class Kernel:
    """What the server's kernel manager knows of a kernel that a test speaks for."""

    def __init__(self, key: bytes = KERNEL_KEY, name: str = "python3") -> None:
        self.id = str(uuid4())
        self.key = key
        self.known = SimpleNamespace(session=SimpleNamespace(key=key), kernel_name=name, shell_port=0)

    def reachable(self, language: str = "python") -> None:
        """From now on it seems to run, though nothing answers."""
        spec = SimpleNamespace(language=language)
        vars(self.known).update(shell_port=1, is_alive=lambda: True, kernel_spec=spec, provisioner=None)

    @contextmanager
    def started(self, jp_serverapp: Any) -> Iterator[None]:
        """The server knows it. A kernel manager has no public way to be given a kernel that it has not started."""
        kernels = jp_serverapp.kernel_manager._kernels
        kernels[self.id] = self.known
        yield
        del kernels[self.id]

    def proof(self, action: str, body: bytes, *, time: float, nonce: str | None = None, **other: Any) -> dict[str, str]:
        """The header. other : key or kernel_id that is not its own."""
        nonce = nonce or uuid4().hex
        key, kernel_id = other.get("key", self.key), other.get("kernel_id", self.id)
        return {HEADER: prove(key, kernel_id, action, body, time=int(time), nonce=nonce)}


@pytest.fixture  # type: ignore[no-redef]  # in the place of pytest_jupyter's
def jp_server_config() -> Config:
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_tokens": True, "jupyter_server_terminals": False},
                "allow_unauthenticated_access": False,
            }
        }
    )


@pytest.fixture
def as_sent(jp_server_config: Config) -> None:
    """Kernels without the extension: the server sends them the value, and nothing is taken out of what they print."""
    jp_server_config.TokensExtension.load_in_kernels = False


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    accounts = Accounts(
        alibaba={"LTAI-sandbox": SECRETS["alibaba"]},
        huawei={"HW-sandbox": SECRETS["huawei"]},
        iam={"user": "c4n4ry-iam-password"},
        oneaccess={"client-sandbox": SECRETS["oneaccess"]},
        astra=[SECRETS["astra"]],
    )
    with running(accounts=accounts) as served:
        yield served


@pytest.fixture
def write_profiles(jp_environ: None) -> Callable[[dict[str, Any]], Path]:
    """Writes Jupyter's configuration of this test."""

    def write(profiles: dict[str, Any]) -> Path:
        file = Path(os.environ["JUPYTER_CONFIG_DIR"]) / "jupyter_tokens_config.json"
        file.write_text(json.dumps({"TokenProfiles": {"profiles": profiles}}))
        file.chmod(0o600)
        return file

    return write


@pytest.fixture
def neighbours() -> tuple[str, ...]:
    """Names of the sandbox's further profiles that a test needs."""
    return ()


@pytest.fixture
def profiles(
    sandbox: Sandbox, tmp_path: Path, write_profiles: Callable[..., Path], neighbours: tuple[str, ...]
) -> dict[str, Any]:
    """Five profiles that lead to the sandbox, one that is wrong, and `neighbours`."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    written = {**sandbox.profiles(secrets), "wrong": {"provider": "oneaccess", "endpoint": "ftp://nowhere"}}
    written |= {name: sandbox.neighbours(secrets)[name] for name in neighbours}
    write_profiles(written)
    return written


@pytest.fixture
def published(jp_serverapp: Any, http_server_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels learn where the server is: pytest-jupyter runs no start hooks."""
    monkeypatch.setenv(URL_VARIABLE, public_url(jp_serverapp))


@pytest.fixture
def own_factory() -> Iterator[None]:
    """Each test makes jupyter_client's factory of provisioners anew."""
    KernelProvisionerFactory.clear_instance()
    yield
    KernelProvisionerFactory.clear_instance()


@pytest.fixture
def extension(jp_serverapp: Any) -> TokensExtension:
    found = jp_serverapp.web_app.settings["jupyter_tokens"]
    assert isinstance(found, TokensExtension)
    return found


@pytest.fixture
def kernel(jp_serverapp: Any) -> Iterator[Kernel]:
    known = Kernel()
    with known.started(jp_serverapp):
        yield known


@pytest.fixture
def call(
    jp_serverapp: Any, http_server_client: Any, jp_auth_header: dict[str, str], jp_base_url: str, leaks: Leaks
) -> Call:
    """Asks the server, logged in unless `headers` are given; the answer comes back whatever its status."""

    async def call(
        method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **options: Any
    ) -> HTTPResponse:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        response: HTTPResponse = await http_server_client.fetch(
            f"{jp_base_url}jupyter-tokens/{path}",
            method=method,
            body=content,
            headers=dict(jp_auth_header) if headers is None else headers,
            raise_error=False,
            allow_nonstandard_methods=True,
            request_timeout=300,
            follow_redirects=False,
            **options,
        )
        if response.code >= 400:
            leaks.told(f"body of {response.code}", response.body.decode(errors="replace"))
        return response

    return call


@pytest.fixture
def by_proof(call: Call, kernel: Kernel, extension: TokensExtension) -> Call:
    """Asks as the kernel does."""

    async def by_proof(action: str, body: Any = None, **options: Any) -> HTTPResponse:
        content = json.dumps({} if body is None else body).encode()
        headers = kernel.proof(action, content, time=extension.clock.now(), **options)
        return await call("POST", f"kernels/{kernel.id}/{action}", content, headers=headers)

    return by_proof


def value_of(extension: TokensExtension, name: str = "oneaccess") -> str:
    """The token that the server holds."""
    held = extension.source.held(extension.source.key(name))
    assert held is not None
    return held.token.reveal()


def told(response: HTTPResponse) -> Any:
    """The JSON of an answer, which must never be stored."""
    assert response.headers["Cache-Control"] == "no-store"
    return json.loads(response.body)
