"""Base class of the handlers for handles. The Jupyter server's and the hub service's subclasses check permissions."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType
from typing import Any, NamedTuple, TypeVar

from .._util.threads import run_in_thread
from ..protocol.handles import LEASE_SECONDS, Handles, IssuedHandle
from ..protocol.proof import HEADER
from .base import JsonHandler

__all__ = ["Issuing", "TokenRequest"]

_OWNER = "handles"
_T = TypeVar("_T")


class TokenRequest(NamedTuple):
    """A request for a token, sent by the holder of a handle."""

    issued: IssuedHandle
    profile: str
    params: Mapping[str, Any]
    refresh: bool
    newer_than: datetime | None


class Issuing(JsonHandler):
    """Base class of the handlers that issue, renew and revoke handles, and that return tokens to holders of handles."""

    @property
    @abstractmethod
    def handles(self) -> Handles:
        """The handles of this issuer."""

    @abstractmethod
    def issuer_address(self, profile: str) -> tuple[str | None, str | None]:
        """Return the issuer's URL and certificate (PEM) for workers; None for what is unknown or not needed."""

    @abstractmethod
    def report_handle(self, what: str, issued: IssuedHandle) -> None:
        """Report that a handle was issued or revoked; `what` is "issued" or "revoked"."""

    @abstractmethod
    def check_call(self, profile: str, params: Mapping[str, Any]) -> None:
        """Raise `TokenError` if a call with this profile and these parameters is invalid or not allowed."""

    def issue_body(self) -> dict[str, Any]:
        """Return the body of a request to issue a handle. Raises `Refused` if the body is invalid."""
        fields: dict[str, Any] = {"id": str, "key": str, "profile": str, "params": dict, "lease": (int, float)}
        return self.body(fields, "id", "key", "profile")

    async def issue(self, owner: str, body: Mapping[str, Any]) -> IssuedHandle:
        """Issue the handle that the body describes. Raises `TokenError`."""
        params = body.get("params", {})
        self.check_call(body["profile"], params)
        issued = await self._run(
            lambda: self.handles.issue(
                owner,
                handle_id=body["id"],
                key=body["key"],
                profile=body["profile"],
                params=params,
                lease=body.get("lease", LEASE_SECONDS),
            )
        )
        self.report_handle("issued", issued)
        return issued

    async def find_handle(self, handle_id: str) -> IssuedHandle | None:
        """Return a handle, or None if it is unknown."""
        return await self._run(lambda: self.handles.get(handle_id))

    async def in_use(self, owner: str | None = None) -> list[IssuedHandle]:
        """Return the active handles of an owner; by default of all owners."""
        return await self._run(lambda: self.handles.in_use(owner))

    async def find_owned(self, handle_id: str, owner: str) -> IssuedHandle | None:
        """Return a handle, or None if it is unknown. Raises `Refused` if the handle has another owner."""
        issued = await self.find_handle(handle_id)
        if issued is not None and issued.owner != owner:
            self.refuse(403, "The handle belongs to another owner, and only its owner may change it.", "handle")
        return issued

    async def renew(self, handle_id: str) -> IssuedHandle:
        """Renew a handle's lease, and return the handle. Raises `TokenError`."""
        return await self._run(lambda: self.handles.renew(handle_id))

    async def revoke(self, issued: IssuedHandle) -> None:
        """Revoke a handle."""
        await self._run(lambda: self.handles.revoke(issued.id))
        self.report_handle("revoked", issued)

    async def authenticate_holder(self, handle_id: str) -> TokenRequest:
        """Check the proof of a handle's holder, and return the request. Raises `TokenError` or `Refused`."""
        raw, header = self.raw_body, self.request.headers.get(HEADER, "")
        issued = await self._run(lambda: self.handles.check(handle_id, "token", header, raw))
        body = self.body({"profile": str, "params": dict, "refresh": bool, "newer_than": (str, NoneType)})
        name = body.get("profile", issued.profile)
        params = issued.call_params(name, body.get("params", {}))
        return TokenRequest(issued, name, params, body.get("refresh", False), self.parse_newer_than(body))

    def send_handle(self, issued: IssuedHandle) -> None:
        """Answer with a handle, and the issuer's URL and certificate."""
        url, certificate = self.issuer_address(issued.profile)
        body = {**self.handles.to_dict(issued), "url": url, "certificate": certificate}
        self.finish(json.dumps(body))

    def send_handles(self, issued: list[IssuedHandle]) -> None:
        """Answer with a list of handles, without keys."""
        self.finish(json.dumps({"handles": list(map(self.handles.to_dict, issued))}))

    async def _run(self, operation: Callable[[], _T]) -> _T:
        return await run_in_thread(operation, _OWNER) if self.handles.blocks else operation()
