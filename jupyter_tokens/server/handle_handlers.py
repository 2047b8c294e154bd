"""The routes for handles. Kernels and users issue, renew and revoke handles, and workers get tokens with them.

Users who may run code in kernels may issue handles, because their kernels can do so anyway. The owner of a handle is a
kernel, or all users of this server together. Only the owner can renew the handle. Users who are allowed the action
"write" on `jupyter_tokens:tokens` can revoke any handle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado import web

from .._util.threads import run_in_thread
from ..errors import HandleRefused, ParameterError
from ..protocol.handles import LEASE_SECONDS, Handle, normalise_params
from .answers import token_answer
from .base import INJECT, KERNELS, TOKENS, TokensHandler
from .issuing import Issuing
from .kernel_handlers import KernelHandler, ProofHandler

if TYPE_CHECKING:
    from ..protocol.handles import Handles, IssuedHandle
    from ..sources.local import LocalSource

__all__ = [
    "HandleHandler",
    "HandleRenewalHandler",
    "HandleTokenHandler",
    "HandlesHandler",
    "KernelHandleHandler",
    "KernelHandlesHandler",
]


_USER = "user"
"""The owner of all handles that users issue. Not the name of a user, because Jupyter makes up a name for a request that
is authenticated by the server's token."""


class _Issuing(Issuing, TokensHandler):
    @property
    def handles(self) -> Handles:
        return self.extensionapp.handles

    def issuer_address(self, profile: str) -> tuple[str | None, str | None]:
        hub_url = self.extensionapp.source.issuer_url(profile)
        return (hub_url, None) if hub_url else self.extensionapp.issuer_address

    def report_handle(self, what: str, issued: IssuedHandle) -> None:
        self.extensionapp.activity.handle(what, self, issued)

    async def issue(self, owner: str, body: Mapping[str, Any]) -> IssuedHandle:
        """Issue a handle. If the hub's service grants the profile, issue the handle there too: workers use it there."""
        # The service comes first: a handle that it refuses must not be listed here.
        profile, params = body["profile"], body.get("params", {})
        self.check_call(profile, params)
        try:
            handle = Handle(profile, normalise_params(params), body["id"], bytes.fromhex(body["key"]))
        except ValueError:
            raise ParameterError("A handle's key must be hexadecimal.") from None
        await self._forward(profile, lambda source: source.issue(handle, body.get("lease", LEASE_SECONDS)))
        return await super().issue(owner, body)

    async def renew(self, handle_id: str) -> IssuedHandle:
        issued = await self.find_handle(handle_id)
        if issued is not None:
            handle = Handle(issued.profile, issued.params, issued.id, issued.key)
            await self._forward(issued.profile, lambda source: source.renew(handle))
        return await super().renew(handle_id)

    async def revoke(self, issued: IssuedHandle) -> None:
        await super().revoke(issued)
        await self.revoke_at_service(issued.id, issued.profile)

    async def revoke_at_service(self, handle_id: str, profile: str = "") -> bool:
        """Revoke a handle at the hub's service. Return whether the service has revoked it.

        Returns False if there is no service, if the profile is this server's own, or if the service does not know the
        handle. `profile` is "" for a handle that is unknown here: the service may have issued it before this server was
        started.
        """
        with suppress(HandleRefused):
            return await self._forward(profile, lambda source: source.revoke(Handle(profile, (), handle_id, b"")))
        return False

    async def _forward(self, profile: str, call: Callable[[LocalSource], object]) -> bool:
        source = self.extensionapp.source
        if not source.issuer_url(profile):
            return False
        await run_in_thread(lambda: call(source))
        return True

    def check_call(self, profile: str, params: Mapping[str, Any]) -> None:
        self.extensionapp.source.key(profile, params)


class HandlesHandler(_Issuing):
    """The route `jupyter-tokens/handles`."""

    auth_resource = KERNELS

    @web.authenticated
    @authorized(action="read", resource=INJECT)
    async def get(self) -> None:
        """List the active handles, without keys."""
        self.send_handles(await self.in_use())

    @web.authenticated
    @authorized(action="execute", resource=KERNELS)
    async def post(self) -> None:
        """Issue a handle."""
        body = self.issue_body()
        profile = await self.extensionapp.profile(body["profile"])
        if profile.kernels is not None or profile.notebooks is not None:
            self.refuse(
                403, "The profile is limited to some kernels or notebooks. Issue the handle in one of these.", "limited"
            )
        self.send_handle(await self.issue(_USER, body))


class HandleHandler(_Issuing):
    """The route `jupyter-tokens/handles/{id}`."""

    auth_resource = TOKENS

    @web.authenticated
    @authorized(action="write", resource=TOKENS)
    async def delete(self, handle_id: str) -> None:
        """Revoke a handle of any owner."""
        issued = await self.find_handle(handle_id)
        if issued is not None:
            await self.revoke(issued)
        elif not await self.revoke_at_service(handle_id):
            self.refuse(404, "There is no such handle.", "handle")
        self.set_status(204)
        self.finish()


class HandleRenewalHandler(_Issuing):
    """The route `jupyter-tokens/handles/{id}/renew`."""

    auth_resource = KERNELS

    @web.authenticated
    @authorized(action="execute", resource=KERNELS)
    async def post(self, handle_id: str) -> None:
        """Renew the lease of a handle that a user, not a kernel, has issued."""
        self.body({})
        await self.find_owned(handle_id, _USER)
        self.send_handle(await self.renew(handle_id))


class KernelHandlesHandler(_Issuing, KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/handles`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """Issue a handle that the kernel owns."""
        local_id = await self.check_proof(kernel_id, "handles")
        body = self.issue_body()
        await self.check_limits(body["profile"], local_id)
        self.send_handle(await self.issue(f"kernel {local_id}", body))


class KernelHandleHandler(_Issuing, KernelHandler):
    """The routes `jupyter-tokens/kernels/{kernel id}/handles/{handle id}/renew` and `…/revoke`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str, handle_id: str, action: str) -> None:
        """Renew or revoke one of the kernel's own handles."""
        local_id = await self.check_proof(kernel_id, f"handles/{handle_id}/{action}")
        self.body({})
        issued = await self.find_owned(handle_id, f"kernel {local_id}")
        if action == "revoke":
            if issued is not None:
                await self.revoke(issued)
            else:
                await self.revoke_at_service(handle_id)
            self.finish("{}")
            return
        if issued is not None:
            await self.check_limits(issued.profile, local_id)
        self.send_handle(await self.renew(handle_id))


class HandleTokenHandler(_Issuing, ProofHandler):
    """The route `jupyter-tokens/handles/{id}/token`."""

    @allow_unauthenticated
    async def post(self, handle_id: str) -> None:
        """Return the token, including its value, to a worker that has the handle."""
        extension, wanted = self.extensionapp, await self.authenticate_holder(handle_id)
        served = await extension.get_token(
            wanted.profile, wanted.params, refresh=wanted.refresh, newer_than=wanted.newer_than
        )
        extension.activity.served(self, wanted.profile, to="worker", cached=served.cached)
        self.finish(token_answer(served.profile, served.token, now=extension.clock.now(), value=True))
