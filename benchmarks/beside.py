"""Other libraries' refreshable credentials and ours, each with its own HTTP client, against one token endpoint.

All of them are asked in the same way: for a token that is good now. Time is simulated, for each of them keeps its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import httpcore

from jupyter_tokens.client import Client
from jupyter_tokens.clock import Clock
from jupyter_tokens.config.profiles import Profiles

from .answers import AUTHORITY

OURS = "jupyter_tokens"
Get = Callable[[], str]
"""Hands out a token that is good now, and fetches one only if it has to."""


class Simulated:
    """A clock that goes where it is sent; it begins at the present, so that no library finds its past."""

    def __init__(self) -> None:
        self._now = time.time()

    def now(self) -> float:
        return self._now

    elapsed = now

    def advance(self, seconds: float) -> None:
        self._now += seconds


class Wire:
    """Notes on which thread each request is sent, and tells the endpoint the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.senders: list[int] = []

    def sent(self) -> str:
        """Notes a request, and returns what it has to say of the time."""
        self.senders.append(threading.get_ident())
        return f"{self._clock.now():.3f}"


@contextmanager
def wired(clock: Clock) -> Iterator[Wire]:
    """All libraries live by the clock, and send by way of the wire: the two HTTP stacks that they stand on."""
    wire = Wire(clock)
    send = httpcore.HTTPConnection.handle_request

    def by_httpcore(self: httpcore.HTTPConnection, request: httpcore.Request) -> httpcore.Response:
        request.headers.append((b"x-now", wire.sent().encode()))
        return send(self, request)

    with ExitStack() as patches:
        patches.enter_context(patch.object(httpcore.HTTPConnection, "handle_request", by_httpcore))
        patches.enter_context(patch("time.time", clock.now))
        if installed("urllib3"):
            from urllib3 import HTTPConnectionPool

            urlopen = HTTPConnectionPool.urlopen

            def by_urllib3(self: Any, method: str, url: str, body: Any = None, headers: Any = None, **more: Any) -> Any:
                return urlopen(self, method, url, body, {**(headers or {}), "x-now": wire.sent()}, **more)

            patches.enter_context(patch.object(HTTPConnectionPool, "urlopen", by_urllib3))
        if installed("google.auth"):
            patches.enter_context(patch("google.auth._helpers.utcnow", lambda: _naive(clock)))
        yield wire


def _naive(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC).replace(tzinfo=None)


def _ours(url: str, clock: Clock, closing: ExitStack) -> Get:
    settings = {"provider": "oneaccess", "endpoint": url, "client_id": "benchmark", "client_secret": "benchmark-secret"}
    client = Client(Profiles.from_settings({"oneaccess": settings}), clock=clock)
    closing.callback(client.close)
    return lambda: client.get("oneaccess").reveal()


def _botocore(url: str, clock: Clock, closing: ExitStack) -> Get:
    """The credentials of a container: of botocore's sources the one that takes a URL on loopback."""
    from botocore.credentials import ContainerProvider
    from botocore.httpsession import URLLib3Session
    from botocore.utils import ContainerMetadataFetcher

    session = URLLib3Session()
    closing.callback(session.close)
    environ = {ContainerProvider.ENV_VAR_FULL: f"{url}/container"}
    loaded = ContainerProvider(environ, ContainerMetadataFetcher(session)).load()
    if isinstance(clock, Simulated):
        loaded._time_fetcher = lambda: datetime.fromtimestamp(clock.now(), UTC)
    return lambda: loaded.get_frozen_credentials().token


def _google(url: str, _: Clock, closing: ExitStack) -> Get:
    import requests
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials

    credentials = Credentials(
        None, refresh_token="refresh", token_uri=f"{url}/token", client_id="benchmark", client_secret="benchmark-secret"
    )
    request = Request(closing.enter_context(requests.Session()))

    def get() -> str:
        credentials.before_request(request, "GET", "https://api.example/", {})
        token: str = credentials.token
        return token

    return get


def _azure(url: str, _: Clock, closing: ExitStack) -> Get:
    from azure.core.pipeline.transport import RequestsTransport
    from azure.identity import ClientSecretCredential

    transport = RequestsTransport(session=_readdressed(url, closing), session_owner=False)
    credential = ClientSecretCredential(
        _tenant(url),
        "benchmark",
        "benchmark-secret",
        authority=AUTHORITY,
        disable_instance_discovery=True,
        transport=transport,
    )
    return lambda: credential.get_token("https://api.example/.default").token


def _msal(url: str, _: Clock, closing: ExitStack) -> Get:
    from msal import ConfidentialClientApplication

    application = ConfidentialClientApplication(
        "benchmark",
        client_credential="benchmark-secret",
        authority=f"{AUTHORITY}/{_tenant(url)}",
        instance_discovery=False,
        http_client=_readdressed(url, closing),
    )

    def get() -> str:
        token: str = application.acquire_token_for_client(["https://api.example/.default"])["access_token"]
        return token

    return get


def _authlib(url: str, _: Clock, closing: ExitStack) -> Get:
    from authlib.integrations.requests_client import OAuth2Session

    endpoint = f"{url}/token"
    session = closing.enter_context(
        OAuth2Session("benchmark", "benchmark-secret", token_endpoint=endpoint, grant_type="client_credentials")
    )
    session.fetch_token(endpoint)

    def get() -> str:
        session.ensure_active_token(session.token)
        token: str = session.token["access_token"]
        return token

    return get


def _tenant(url: str) -> str:
    return url.rpartition("/")[2]


def _readdressed(url: str, closing: ExitStack) -> Any:
    """A session of requests that takes what is meant for the authority to the endpoint, without TLS."""
    import requests
    from requests.adapters import HTTPAdapter

    here = url.rpartition("/")[0]

    class Readdressed(HTTPAdapter):
        def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
            request.url = request.url.replace(AUTHORITY, here, 1)
            return super().send(request, *arguments, **options)

    session = closing.enter_context(requests.Session())
    session.mount(AUTHORITY, Readdressed())
    return session


LIBRARIES: Mapping[str, tuple[str, Callable[[str, Clock, ExitStack], Get]]] = {
    OURS: ("jupyter_tokens", _ours),
    "botocore": ("botocore", _botocore),
    "google-auth": ("google.auth", _google),
    "azure-identity": ("azure.identity", _azure),
    "msal": ("msal", _msal),
    "authlib": ("authlib", _authlib),
}
"""By the names of their distributions: what is imported, and what makes a credential for a token endpoint."""


def installed(module: str) -> bool:
    """Whether a library is here."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of `google`, for `google.auth`
        return False


@contextmanager
def opened(url: str, clock: Clock) -> Iterator[dict[str, Get]]:
    """The credentials of all libraries that are here, with a token in hand."""
    with ExitStack() as closing:
        found = {n: make(url, clock, closing) for n, (module, make) in LIBRARIES.items() if installed(module)}
        for get in found.values():
            get()
        yield found
