"""The routes for kernels. A request is authenticated by a proof, made with the key in the kernel's connection file.

These routes need no login, because a kernel has none, and no XSRF token, because they ignore cookies. Browsers have
no key for a proof, and requests with the headers of a browser are refused. The same holds for the routes for workers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from types import NoneType
from typing import Any

from jupyter_server.auth import User
from jupyter_server.auth.decorator import allow_unauthenticated

from ..errors import TokenError
from ..protocol.proof import HEADER, WINDOW_SECONDS, ProofRefused
from .answers import params_schemas, profile_entry, token_answer
from .base import CREATE, TOKENS, TokensHandler
from .holdings import Holding
from .kernel_proof import check_adopted, connection_key, local_kernel_id

__all__ = [
    "KernelHandler",
    "KernelHoldingsHandler",
    "KernelProfilesHandler",
    "KernelTokenHandler",
    "KernelValuesHandler",
    "ProofHandler",
]

_REFUSED: Mapping[str, tuple[int, str, str] | tuple[int, str, str, float]] = {
    "unknown": (403, "This server does not run this kernel, or has no key to check its proofs.", "unknown_kernel"),
    "proof": (403, "The request does not prove that it comes from this kernel.", "proof"),
    "expired": (
        403,
        "The proof is too old, or the clocks of the kernel and the server differ by more than a minute.",
        "expired",
    ),
    "replayed": (403, "The proof has been used already.", "replayed"),
    "too_many": (429, "This kernel sends too many requests: try again in a minute.", "too_many", WINDOW_SECONDS),
}
# Browsers send at least one of these headers with every POST.
_BROWSER = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")


class ProofHandler(TokensHandler):
    """Base class of the handlers for kernels, workers and SDKs, which send a proof or a secret instead of a login."""

    auth_resource = TOKENS

    def check_xsrf_cookie(self) -> None:
        """Check nothing: XSRF tokens protect requests that a cookie authenticates, and these routes ignore cookies."""

    def error_body(self, error: TokenError) -> dict[str, Any]:
        """Return all facts of the error, so that the client can raise the same error."""
        return error.to_dict()

    def check_site(self) -> None:
        """Refuse all requests from browsers."""
        if any(name in self.request.headers for name in _BROWSER):
            self.refuse(403, "This route is for kernels and workers, not for browsers.", "browser")


class KernelHandler(ProofHandler):
    """Base class of the handlers for kernels and their SDKs."""

    @property
    def kernel_id(self) -> str:
        """The id that the kernel in the request's path has on this server."""
        return local_kernel_id(self.kernel_manager, self.path_kwargs["kernel_id"])

    async def check_proof(self, kernel_id: str, action: str) -> str:
        """Check that the request comes from the kernel, and return this server's id of the kernel. Raises `Refused`."""
        # Raises if the body is too large, before it is hashed.
        body = self.raw_body
        local_id = local_kernel_id(self.kernel_manager, kernel_id)
        key = connection_key(self.kernel_manager, local_id)
        header = self.request.headers.get(HEADER, "")
        try:
            self.extensionapp.gate.check(key, kernel_id, action, header, body)
        except ProofRefused as error:
            self.refuse(*_REFUSED[error.reason])
        await check_adopted(self.kernel_manager, local_id)
        return local_id


class KernelTokenHandler(KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/token`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """Return a token, including its value. With `"create": true` in the body, create the token."""
        kernel_id = await self.check_proof(kernel_id, "token")
        body = self.body(
            {"profile": str, "params": dict, "refresh": bool, "newer_than": (str, NoneType), "create": bool}, "profile"
        )
        name, params, extension = body["profile"], body.get("params", {}), self.extensionapp
        await self.check_limits(name, kernel_id)
        if body.get("create", False):
            await self._check_create(name, kernel_id)
            served = await extension.create_token(name, params)
        else:
            refresh, newer_than = body.get("refresh", False), self.parse_newer_than(body)
            served = await extension.get_token(name, params, refresh=refresh, newer_than=newer_than)
        extension.activity.served(self, name, to="kernel", cached=served.cached)
        extension.holdings.record(Holding(kernel_id, name, None, served.token.expires_at))
        self.finish(token_answer(served.profile, served.token, now=extension.clock.now(), value=True))

    async def _check_create(self, name: str, kernel_id: str) -> None:
        if self.extensionapp.source.profile(name).create_is_off:
            self.refuse(403, "The profile does not allow creating tokens: set allow_create in it.", "create_off")
        # No user is logged in here. An Authorizer can distinguish kernels by this name.
        if not await self.is_authorized("execute", CREATE, User(username=f"kernel {kernel_id}")):
            self.refuse(403, "This kernel may fetch tokens, but not create them.", "create")


class KernelProfilesHandler(KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/profiles`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """List the profiles that the kernel may use, invalid profiles with their errors, and JSON schemas for forms."""
        kernel_id = await self.check_proof(kernel_id, "profiles")
        self.body({})
        extension, entries = self.extensionapp, []
        profiles = await extension.profiles()
        profiles.check_readable()
        for name in profiles:
            entry = profile_entry(extension.source, name)
            try:
                allowed = await extension.allows_kernel(name, kernel_id)
            except TokenError:
                # The profile is invalid: list it, because its entry contains the error.
                allowed = True
            if allowed:
                entries.append(entry)
        schemas = params_schemas({entry["provider"] for entry in entries} - {None})
        self.finish(json.dumps({"profiles": entries, "params": schemas, "may_reveal": extension.allow_reveal}))


class KernelValuesHandler(KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/values`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """List the values that a parameter can have, if the API can list them: ids and names, never a token."""
        kernel_id = await self.check_proof(kernel_id, "values")
        body = self.body({"profile": str, "param": str, "params": dict}, "profile", "param")
        await self.check_limits(body["profile"], kernel_id)
        await self.send_values(await self.extensionapp.profile(body["profile"]), body["param"], body.get("params", {}))


class KernelHoldingsHandler(KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/holdings`."""

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """Record the tokens that the kernel holds, and their variables, in place of what it reported last."""
        kernel_id = await self.check_proof(kernel_id, "holdings")
        entries = self.body({"holdings": list}).get("holdings", [])
        known = set(await self.extensionapp.profiles())
        held = [self._holding(kernel_id, entry) for entry in entries]
        # The kernel may also use its own profiles. The server does not know them, and the panel does not show them.
        held = [holding for holding in held if holding.profile in known]
        self.extensionapp.holdings.report(kernel_id, held)
        self.extensionapp.renewals.release(kernel_id, [holding.env for holding in held if holding.env is not None])
        self.finish("{}")

    def _holding(self, kernel_id: str, entry: Any) -> Holding:
        with suppress(TypeError, KeyError, ValueError):
            profile, env, ends = entry["profile"], entry["env"], entry["expires_at"]
            expires_at = None if ends is None else datetime.fromisoformat(ends)
            if isinstance(profile, str) and (env is None or (isinstance(env, str) and env.isidentifier())):
                return Holding(kernel_id, profile, env, expires_at, "kernel" if entry["kept_fresh"] is True else None)
        problem = "Each item of 'holdings' must be an object with 'profile', 'env', 'expires_at' and 'kept_fresh'."
        return self.refuse(400, problem, "body")
