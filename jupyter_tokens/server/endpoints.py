"""Credential endpoints: what unmodified SDKs in a kernel, and in what it starts, ask for a credential.

Each answer comes from the cache: an SDK may ask at every call. Who asks is known by a secret of one kernel and profile,
which the kernel gets by its proof, and which ends with the kernel's process. SDKs log and raise what they are answered,
some with the URL. So an error holds nothing that is secret, and the secret is of no use but on this machine.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from jupyter_server.auth.decorator import allow_unauthenticated

from ..errors import TokenError
from ..sdks import SDKS, SECRET_FIELD, Asked
from .base import error_facts, status_of
from .kernel_handlers import KernelHandler
from .kernel_proof import id_here
from .kernel_push import process_of

if TYPE_CHECKING:
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    from ..sdks import Sdk
    from ..sources.cache import Key

__all__ = ["EndpointHandler", "KernelSdkHandler", "Secrets"]

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
"""What a proxy adds: behind one, everybody's requests come from loopback."""
_ENDPOINTS = {tool: sdk for tool, sdk in SDKS.items() if sdk.answer is not None}


class Secrets:
    """The secrets of running kernels, one for each kernel, profile and parameters.

    kernels : the server's manager of kernels.
    """

    def __init__(self, kernels: MappingKernelManager) -> None:
        self._kernels = kernels
        self._of: dict[tuple[str, object], dict[Key, str]] = {}

    def get(self, kernel_id: str, key: Key) -> str:
        """The secret by which that kernel's SDKs get a token; the same one each time, until the kernel ends."""
        for kernel in [kernel for kernel in self._of if kernel != self._process(kernel[0])]:
            del self._of[kernel]
        return self._of.setdefault(self._process(kernel_id), {}).setdefault(key, secrets.token_urlsafe(32))

    def key(self, kernel_id: str, profile: str, shown: str) -> Key | None:
        """The token that a secret is for, or None: it is another's, or its kernel has ended."""
        known = self._of.get(self._process(kernel_id), {})
        # As bytes: what is shown may be any text.
        is_shown = [hmac.compare_digest(secret.encode(), shown.encode()) for secret in known.values()]
        return next((key for key, ours in zip(known, is_shown, strict=True) if ours and key.profile == profile), None)

    def _process(self, kernel_id: str) -> tuple[str, object]:
        """What is another one after a restart."""
        if kernel_id not in self._kernels:
            return kernel_id, self
        return kernel_id, process_of(self._kernels.get_kernel(kernel_id))


class KernelSdkHandler(KernelHandler):
    """`jupyter-tokens/kernels/{id}/sdk`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """The secret by which the SDKs of the kernel that proves itself get the token of a profile."""
        kernel_id = await self.prove(kernel_id, "sdk")
        body, extension = self.body({"profile": str, "params": dict}), self.extensionapp
        name: str | None = body.get("profile")
        if name is None:
            self.refuse(400, "The field 'profile' is missing.", "body")
        if not await extension.may_have(name, kernel_id):
            self.refuse(403, "This profile is limited to other kernels or notebooks.", "limited")
        key = extension.source.key(name, body.get("params", {}))
        self.finish(json.dumps({"secret": extension.secrets.get(kernel_id, key)}))


class EndpointHandler(KernelHandler):
    """`jupyter-tokens/kernels/{id}/sdk/{tool}/{profile}`, in the form of each SDK."""

    @allow_unauthenticated
    async def get(self, kernel_id: str, tool: str, name: str) -> None:
        """The credential, as the SDK expects it."""
        await self._answer(kernel_id, tool, name)

    @allow_unauthenticated
    async def post(self, kernel_id: str, tool: str, name: str) -> None:
        """The same, for SDKs that post."""
        await self._answer(kernel_id, tool, name)

    async def _answer(self, kernel_id: str, tool: str, name: str) -> None:
        self._check_machine()
        sdk, extension = _ENDPOINTS.get(tool), self.extensionapp
        here = id_here(self.kernel_manager, kernel_id)
        key = None if sdk is None else extension.secrets.key(here, name, self._shown(sdk))
        if sdk is None or sdk.answer is None or key is None:
            self.refuse(403, "This is not the address that a running kernel was given: run %gettoken again.", "secret")
        if not await extension.may_have(name, here):
            self.refuse(403, "This profile is limited to other kernels or notebooks.", "limited")
        served = await extension.get_token(name, dict(key.params))
        asked = Asked(now=extension.clock.now(), resource=self.get_query_argument("resource", ""))
        answer = sdk.answer(served.token, asked)
        extension.activity.served(self, name, to="sdk", cached=served.cached)
        self.finish(json.dumps(answer))

    def _check_machine(self) -> None:
        """Raises `Refused` for a request from another machine, also through a proxy on this one."""
        local = False
        with suppress(ValueError):
            local = ip_address(self.request.remote_ip or "").is_loopback
        if not local or any(name in self.request.headers for name in _FORWARDED):
            self.refuse(403, "This address is for the server's own machine.", "remote")

    def _shown(self, sdk: Sdk) -> str:
        if sdk.shown == "query":
            return self.get_query_argument(SECRET_FIELD, "")
        if sdk.shown == "subject_token":
            form: Mapping[str, list[str]] = parse_qs(self.raw_body.decode(errors="replace"))
            return form.get(sdk.shown, [""])[0]
        return self.request.headers.get(sdk.shown, "")

    def status_for(self, error: TokenError) -> int:
        """One that SDKs do not retry, for what will not go away by itself."""
        return status_of(error) if error.retryable else 400

    def facts_of(self, error: TokenError) -> dict[str, Any]:
        """What a person reads in the exception of the SDK."""
        return error_facts(error)
