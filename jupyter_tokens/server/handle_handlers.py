"""The routes of handles: a kernel or a user has them issued, renewed and revoked, and a worker gets tokens with one.

Whoever may run code in kernels may issue handles, as a kernel can do so by its proof. Each handle has an owner, a
kernel or the users of this server, and only the owner renews it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado import web

from ..protocol.handles import LEASE_SECONDS
from ..protocol.proof import HEADER
from .base import INJECT, KERNELS, TOKENS, TokensHandler
from .kernel_handlers import KernelHandler, ProofHandler

if TYPE_CHECKING:
    from ..protocol.handles import Issued

__all__ = [
    "HandleHandler",
    "HandleRenewalHandler",
    "HandleTokenHandler",
    "HandlesHandler",
    "KernelHandleHandler",
    "KernelHandlesHandler",
]


_USER = "user"
"""The owner of what was issued after a login: with a token Jupyter makes up another name for each request."""


class _Issuing(TokensHandler):
    FIELDS: ClassVar[dict[str, Any]] = {"id": str, "key": str, "profile": str, "params": dict, "lease": (int, float)}

    def asked(self) -> dict[str, Any]:
        """The body of a request to issue a handle."""
        body = self.body(self.FIELDS)
        missing = next((name for name in ("id", "key", "profile") if name not in body), None)
        if missing is not None:
            self.refuse(400, f"The field {missing!r} is missing.", "body")
        return body

    def issue(self, owner: str, body: dict[str, Any]) -> None:
        """Issue the handle that the body describes."""
        extension, params = self.extensionapp, body.get("params", {})
        # Raises for an unknown profile or a wrong parameter.
        extension.source.key(body["profile"], params)
        issued = extension.handles.issue(
            owner,
            handle_id=body["id"],
            key=body["key"],
            profile=body["profile"],
            params=params,
            lease=float(body.get("lease", LEASE_SECONDS)),
        )
        extension.activity.handle("issued", self, issued)
        self.tell(issued)

    def owned(self, handle_id: str, owner: str) -> Issued | None:
        """What is known of a handle; None if nothing is. Refuses another owner's."""
        issued = self.extensionapp.handles.of(handle_id)
        if issued is not None and issued.owner != owner:
            self.refuse(403, "This is another owner's handle.", "handle")
        return issued

    def renew(self, handle_id: str) -> None:
        """Renew a handle."""
        self.tell(self.extensionapp.handles.renew(handle_id))

    def revoke(self, handle_id: str) -> None:
        """Revoke a handle."""
        issued = self.extensionapp.handles.of(handle_id)
        self.extensionapp.handles.revoke(handle_id)
        if issued is not None:
            self.extensionapp.activity.handle("revoked", self, issued)

    def tell(self, issued: Issued) -> None:
        """Answer with a handle, and with where its holder has to ask."""
        url, certificate = self.extensionapp.issues_at
        told = {**self.extensionapp.handles.told(issued), "url": url, "certificate": certificate}
        self.finish(json.dumps(told))


class HandlesHandler(_Issuing):
    """`jupyter-tokens/handles`."""

    auth_resource = KERNELS

    @web.authenticated
    @authorized(action="read", resource=INJECT)
    async def get(self) -> None:
        """Lists the handles whose lease runs: names, and no key."""
        handles = self.extensionapp.handles
        self.finish(json.dumps({"handles": [handles.told(issued) for issued in handles.in_use()]}))

    @web.authenticated
    @authorized(action="execute", resource=KERNELS)
    async def post(self) -> None:
        """Issues a handle."""
        body = self.asked()
        profile = self.extensionapp.source.profiles()[body["profile"]]
        if profile.kernels is not None or profile.notebooks is not None:
            self.refuse(
                403, "This profile is limited to some kernels or notebooks: issue it in one of them.", "limited"
            )
        self.issue(_USER, body)


class HandleHandler(_Issuing):
    """`jupyter-tokens/handles/{id}`."""

    auth_resource = TOKENS

    @web.authenticated
    @authorized(action="write", resource=TOKENS)
    async def delete(self, handle_id: str) -> None:
        """Revokes a handle, whoever owns it."""
        if self.extensionapp.handles.of(handle_id) is None:
            self.refuse(404, "There is no such handle.", "handle")
        self.revoke(handle_id)
        self.set_status(204)
        self.finish()


class HandleRenewalHandler(_Issuing):
    """`jupyter-tokens/handles/{id}/renew`."""

    auth_resource = KERNELS

    @web.authenticated
    @authorized(action="execute", resource=KERNELS)
    async def post(self, handle_id: str) -> None:
        """Begins a handle's lease anew."""
        self.body({})
        self.owned(handle_id, _USER)
        self.renew(handle_id)


class KernelHandlesHandler(_Issuing, KernelHandler):
    """`jupyter-tokens/kernels/{id}/handles`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """Issues a handle to the kernel that proves itself."""
        here = await self.prove(kernel_id, "handles")
        body = self.asked()
        await self.check_limits(body["profile"], here)
        self.issue(f"kernel {here}", body)


class KernelHandleHandler(_Issuing, KernelHandler):
    """`jupyter-tokens/kernels/{id}/handles/{id}/renew` and `…/revoke`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str, handle_id: str, action: str) -> None:
        """Renews or revokes one of the kernel's own handles."""
        here = await self.prove(kernel_id, f"handles/{handle_id}/{action}")
        self.body({})
        issued = self.owned(handle_id, f"kernel {here}")
        if action == "revoke":
            self.revoke(handle_id)
            self.finish("{}")
            return
        if issued is not None:
            await self.check_limits(issued.profile, here)
        self.renew(handle_id)


class HandleTokenHandler(ProofHandler):
    """`jupyter-tokens/handles/{id}/token`."""

    @allow_unauthenticated
    async def post(self, handle_id: str) -> None:
        """A token with its value, for the worker that proves to hold the handle."""
        from .answers import token_answer  # noqa: PLC0415 (loads httpx, which no server should start with)

        extension = self.extensionapp
        issued = extension.handles.check(handle_id, "token", self.request.headers.get(HEADER, ""), self.raw_body)
        body = self.body({"profile": str, "params": dict, "refresh": bool, "newer_than": (str, type(None))})
        name = body.get("profile", issued.profile)
        params = issued.call_params(name, body.get("params", {}))
        refresh, newer_than = body.get("refresh", False), self.moment(body)
        served = await extension.get_token(name, params, refresh=refresh, newer_than=newer_than)
        extension.activity.served(self, name, to="worker", cached=served.cached)
        self.finish(token_answer(served.profile, served.token, now=extension.clock.now(), value=True))
