"""Credential endpoints, from which unmodified SDKs in a kernel and its child processes get credentials.

An SDK may send a request for every call, so tokens come from the cache if possible. Each request contains a secret,
which is valid for one kernel, profile and set of parameters. The kernel requests the secret with its proof. The secret
stops working when the kernel's process ends. SDKs put error answers into logs and exceptions, so these answers contain
nothing secret. Some SDKs also put the URL there, which may contain the secret, so the URL only works on this machine.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from jupyter_server.auth.decorator import allow_unauthenticated

from .._util.loopback import is_loopback_host
from ..errors import TokenError
from ..sdks import SDKS, SECRET_FIELD, SdkRequest
from .base import error_facts, http_status
from .kernel_handlers import KernelHandler
from .kernel_proof import local_kernel_id
from .kernel_push import kernel_process

if TYPE_CHECKING:
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    from ..sdks import Sdk
    from ..sources.cache import Key

__all__ = ["EndpointHandler", "KernelSdkHandler", "Secrets"]

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
"""Headers that a proxy adds. They show that a request from loopback has come through a proxy on this machine."""
_ENDPOINTS = {tool: sdk for tool, sdk in SDKS.items() if sdk.answer is not None}


class Secrets:
    """Secrets with which SDKs in running kernels get tokens: one secret for each kernel, profile and set of parameters.

    Parameters
    ----------
    kernels : MappingKernelManager
        The server's kernel manager.
    """

    def __init__(self, kernels: MappingKernelManager) -> None:
        self._kernels = kernels
        self._by_kernel: dict[tuple[str, object], dict[Key, str]] = {}

    def get(self, kernel_id: str, key: Key) -> str:
        """Return the secret with which a kernel's SDKs get a token: the same secret until the kernel's process ends."""
        for kernel in [kernel for kernel in self._by_kernel if kernel != self._process(kernel[0])]:
            del self._by_kernel[kernel]
        return self._by_kernel.setdefault(self._process(kernel_id), {}).setdefault(key, secrets.token_urlsafe(32))

    def key(self, kernel_id: str, profile: str, given: str) -> Key | None:
        """Return the cache key for the secret `given`; None if the secret is not valid for this kernel and profile."""
        known = self._by_kernel.get(self._process(kernel_id), {})
        # As bytes: `compare_digest` only accepts text in ASCII, and the received text may contain anything.
        matches = [hmac.compare_digest(secret.encode(), given.encode()) for secret in known.values()]
        return next((key for key, match in zip(known, matches, strict=True) if match and key.profile == profile), None)

    def _process(self, kernel_id: str) -> tuple[str, object]:
        """Return the kernel's id and an identifier of its process, which changes when the kernel restarts."""
        if kernel_id not in self._kernels:
            return kernel_id, self
        return kernel_id, kernel_process(self._kernels.get_kernel(kernel_id))


class KernelSdkHandler(KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/sdk`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """Return the secret with which the SDKs of the kernel get the token of a profile."""
        kernel_id = await self.check_proof(kernel_id, "sdk")
        body, extension = self.body({"profile": str, "params": dict}, "profile"), self.extensionapp
        name, params = body["profile"], body.get("params", {})
        await self.check_limits(name, kernel_id)
        key = extension.source.key(name, params)
        # The secret is bound to the request's parameters only, because the profile's own parameters may change.
        request_key = key._replace(params=tuple((param, value) for param, value in key.params if param in params))
        self.finish(json.dumps({"secret": extension.secrets.get(kernel_id, request_key)}))


class EndpointHandler(KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/sdk/{tool}/{profile}`."""

    @allow_unauthenticated
    async def get(self, kernel_id: str, tool: str, name: str) -> None:
        """Return the credential in the form that the SDK expects."""
        self._check_local()
        sdk, extension = _ENDPOINTS.get(tool), self.extensionapp
        local_id = local_kernel_id(self.kernel_manager, kernel_id)
        key = None if sdk is None else extension.secrets.key(local_id, name, self._sent_secret(sdk))
        if sdk is None or sdk.answer is None or key is None:
            self.refuse(
                403,
                "The SDK in the URL is unknown, or its secret is missing, wrong, or from a kernel that has ended: run "
                "%gettoken again.",
                "secret",
            )
        await self.check_limits(name, local_id)
        served = await extension.get_token(name, dict(key.params))
        request = SdkRequest(now=extension.clock.now(), resource=self.get_query_argument("resource", ""))
        answer = sdk.answer(served.token, request)
        extension.activity.served(self, name, to="sdk", cached=served.cached)
        self.finish(json.dumps(answer))

    post = get

    def _check_local(self) -> None:
        """Raise `Refused` for a request from another machine, or through a proxy on this machine."""
        local = is_loopback_host(self.request.remote_ip or "")
        if not local or any(name in self.request.headers for name in _FORWARDED):
            self.refuse(403, "This URL only works on the server's own machine, without a proxy.", "remote")

    def _sent_secret(self, sdk: Sdk) -> str:
        if sdk.location == "query":
            return self.get_query_argument(SECRET_FIELD, "")
        if sdk.location == "subject_token":
            form: Mapping[str, list[str]] = parse_qs(self.raw_body.decode(errors="replace"))
            return form.get(sdk.location, [""])[0]
        return self.request.headers.get(sdk.location, "")

    def error_status(self, error: TokenError) -> int:
        """Return the HTTP status: 400, which no SDK retries, if the error will not go away by itself."""
        return http_status(error) if error.retryable else 400

    def error_body(self, error: TokenError) -> dict[str, Any]:
        """Return the error as JSON. Its message contains all facts, because Azure's SDK shows only the message."""
        return {**error_facts(error), "message": str(error)}
