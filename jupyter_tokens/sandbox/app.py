"""Serves all APIs on one port. Counts the calls that request a token, and applies planned faults to them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .accounts import Accounts
from .acs3 import Acs3Verifier
from .alibaba_sts import AlibabaSts
from .api import Api, Issued, World
from .astra import Astra
from .breakage import faulty_response
from .control import PREFIX, Control
from .dashscope import PATH, DashScope
from .eiam import Eiam, EiamOauth
from .faults import Plan
from .huawei_sts import HuaweiSts
from .iam import Iam
from .messages import Request, Response, json_response
from .modelarts import ModelArts
from .oneaccess import OneAccess
from .openid import PREFIX as OPENID
from .openid import WELL_KNOWN, OpenId
from .pai_dlc import PaiDlc, PaiDsw
from .profiles import neighbours, profiles
from .sdk_hmac import ALGORITHM, SdkHmacVerifier
from .server import Server

_BY_PATH = {
    f"{OPENID}/": OpenId.name,
    f"{WELL_KNOWN}oauth-authorization-server{OPENID}": OpenId.name,
    "/accounts/": Astra.name,
    "/api/v2/tenant/": OneAccess.name,
    "/v3/auth/": Iam.name,
    "/v3.0/OS-AUTH/": Iam.name,
    "/v3.0/OS-CREDENTIAL/": Iam.name,
    "/v5/agencies/": HuaweiSts.name,
}
_BY_VERSION = {PaiDlc.version: PaiDlc.name, PaiDsw.version: PaiDsw.name, AlibabaSts.version: AlibabaSts.name}
_log = logging.getLogger("jupyter_tokens.sandbox")


class Sandbox:
    """The vendors' token APIs and an OpenID provider, on one loopback port.

    Parameters
    ----------
    accounts : Accounts, optional
        The accepted credentials; by default random ones.
    clock : callable
        Returns seconds since the epoch.
    life : float, optional
        The longest life of tokens that expire, in seconds; by default, they live as long as the vendors' tokens.
    reuse : bool
        Whether OneAccess returns a client's token again while the token is valid.
    lock_after : int, optional
        Lock a Huawei AK for five minutes after this many failures in a row; by default never.
    ssl_context : ssl.SSLContext, optional
        Serve HTTPS with this context; by default HTTP.

    Attributes
    ----------
    url : str
        The sandbox's URL; "" before the start.
    requests : Counter
        Number of calls that request a token, by API.
    issued : mapping
        The facts about each issued token, by the token's value.
    """

    def __init__(
        self,
        accounts: Accounts | None = None,
        *,
        clock: Callable[[], float] = time.time,
        life: float | None = None,
        reuse: bool = False,
        lock_after: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.accounts = accounts or Accounts.random()
        self.url = ""
        world = World(self.accounts, clock, life)
        self.issued: Mapping[str, Issued] = world.issued
        acs3 = Acs3Verifier(self.accounts.alibaba, clock)
        sdk_hmac = SdkHmacVerifier(self.accounts.huawei, clock, lock_after)
        apis: list[Api] = [
            ModelArts(world, sdk_hmac),
            Iam(world, sdk_hmac),
            PaiDlc(world, acs3),
            OneAccess(world, reuse=reuse),
            Astra(world),
            Eiam(world, acs3),
            PaiDsw(world, acs3),
            EiamOauth(world, acs3),
            DashScope(world),
            AlibabaSts(world, acs3),
            HuaweiSts(world, sdk_hmac),
            OpenId(world, lambda: self.url),
        ]
        self._apis = {api.name: api for api in apis}
        self.requests: Counter[str] = Counter(dict.fromkeys(self._apis, 0))
        self._plan = Plan({name: api.variants for name, api in self._apis.items()})
        self._control = Control(world, self._plan, self.requests, self.clear_faults)
        self._server = Server(self._handle, clock, ssl_context)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self, port: int = 0) -> None:
        """Start serving on 127.0.0.1, on the running event loop. Raises OSError if the port is taken."""
        self.url = await self._server.start(port)
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Close all connections and free the port."""
        self._loop = None
        await self._server.stop()

    def plan(self, fault: Mapping[str, Any]) -> None:
        """Plan a fault, `{"api", "kind", "times", …}`. Any thread can call this. Raises FaultError, a ValueError."""
        self._plan.add(fault)

    def clear_faults(self) -> None:
        """Forget all planned faults, and end the calls that are slow or hang. Any thread can call this."""
        self._plan.clear()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._server.interrupt)

    def profiles(self, secrets_dir: str | Path) -> dict[str, dict[str, Any]]:
        """Return five profiles for this sandbox; their secrets are written to files of mode 0600 in `secrets_dir`."""
        return profiles(self.accounts, self.url, secrets_dir)

    def neighbours(self, secrets_dir: str | Path) -> dict[str, dict[str, Any]]:
        """Return profiles for the APIs that `profiles` leaves out; their secrets are also written to `secrets_dir`."""
        return neighbours(self.accounts, self.url, secrets_dir)

    def _handle(self, request: Request) -> Response:
        if request.path.startswith(PREFIX):
            return self._control.answer(request)
        name = _api_name(request)
        if name is None:
            return json_response(404, {"message": "the sandbox has no API for this path"})
        api = self._apis[name]
        # HEAD requests only check whether the API is reachable, so they are not counted.
        if request.method == "HEAD" or not api.requests_token(request):
            return api.answer(request)
        self.requests[name] += 1
        fault = self._plan.next_fault(name)
        response = api.answer(request) if fault is None else faulty_response(fault, api, request)
        # Never log the target, a header or a body: each may contain a secret.
        _log.debug("%s answered %d%s", name, response.status, f", fault {fault.kind}" if fault else "")
        return response


def _api_name(request: Request) -> str | None:
    """Return the name of the API that a call is for, or None. The host is not used: all APIs share one host."""
    for prefix, name in _BY_PATH.items():
        if request.path.startswith(prefix):
            return name
    # In unsigned calls of Alibaba Cloud STS, the version is in the query.
    version = request.header("x-acs-version") or dict(request.params).get("Version")
    if version in _BY_VERSION:
        return _BY_VERSION[version]
    if version == Eiam.version or request.path == "/":
        return EiamOauth.name if request.header("x-acs-action") == EiamOauth.action else Eiam.name
    signed = any(key.startswith("x-acs-") for key, _ in request.headers)
    if request.path.startswith("/api/v1/") or signed:
        return DashScope.name if (request.method, request.path, signed) == ("POST", PATH, False) else PaiDlc.name
    if request.path.startswith("/v1/") or request.credentials(ALGORITHM) is not None:
        return ModelArts.name
    return None


@contextlib.contextmanager
def running(sandbox: Sandbox | None = None, *, port: int = 0, **options: Any) -> Iterator[Sandbox]:
    """Serve a sandbox during a `with` block, on a thread with its own event loop.

    Without `sandbox`, a new sandbox with `options` is served.
    """
    if sandbox is not None and options:
        raise TypeError(f"Pass {', '.join(options)} to Sandbox(): running() cannot change the options of a sandbox.")
    served = sandbox or Sandbox(**options)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="jupyter-tokens-sandbox", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(served.start(port), loop).result()
        try:
            yield served
        finally:
            asyncio.run_coroutine_threadsafe(served.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
