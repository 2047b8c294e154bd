"""The handlers of the service's routes, except those of the page for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ..errors import ConfigurationError, NotGranted, SecretError, TokenError, UnknownProfile
from ..server.activity import count_hit
from ..server.answers import params_schemas, token_answer
from ..server.base import JsonHandler
from ..server.issuing import Issuing
from .callers import Caller

if TYPE_CHECKING:
    from ..protocol.handles import Handles, IssuedHandle
    from .app import TokenService

__all__ = [
    "OWNER",
    "ForgetHandler",
    "HandleHandler",
    "HandleTokenHandler",
    "HandlesHandler",
    "HealthHandler",
    "MetricsHandler",
    "NotFoundHandler",
    "OwnHandleHandler",
    "ProfilesHandler",
    "TokenHandler",
    "public_error",
]

_log = logging.getLogger(__name__)

OWNER = "user "
"""The owner of a user's handle is this prefix and the user's name."""


class ServiceHandler(JsonHandler):
    """Base class of the handlers. The audit log of refused requests uses `caller` and `profile`, if they are known."""

    caller: Caller | None = None
    profile: str | None = None

    @property
    def service(self) -> TokenService:
        """The service, with the objects that the handlers share."""
        return cast("TokenService", self.settings["service"])

    async def user(self) -> Caller:
        """Return the user who sent the request. Raises `Refused`."""
        self.caller = caller = await self.service.callers.identify(self.request.headers)
        if not caller.name:
            self.refuse(403, "Profiles are granted to users, but this token belongs to a service.", "no_user")
        return caller

    def check_granted(self, caller: Caller, name: str) -> None:
        """Raise `TokenError` unless the user is granted the profile."""
        self.profile = name if name in self.service.source.profiles() else None
        self.service.check_granted(caller, name)

    def error_body(self, error: TokenError) -> dict[str, Any]:
        """Return the facts about the error that users get (`public_error`). Their server raises that error again."""
        return public_error(error).to_dict()

    def refused(self, status: int, reason: str) -> None:
        """Record in the audit log that a request was answered with an error."""
        self.service.audit.refused(self.caller, self.profile, reason)

    async def serve(
        self, caller: Caller, name: str, params: Mapping[str, Any], *, handle: str | None = None, **options: Any
    ) -> None:
        """Answer with a token and its value.

        `handle` is the id of the worker's handle, if a worker sent the request. `options` are passed on to
        `TokenSource.serve`.
        """
        service = self.service
        token, cached = await service.source.serve(service.key(caller.name, name, params), **options)
        profile = service.source.profile(name)
        if cached:
            count_hit(profile.provider.id)
        service.audit.served(caller, token, cached=cached, handle=handle)
        self.finish(token_answer(profile, token, now=service.clock.now(), value=True))


class TokenHandler(ServiceHandler):
    """The route `v1/token`."""

    async def post(self) -> None:
        """Return a token with its value, to the server of a user who is granted the profile."""
        caller = await self.user()
        body = self.body({"profile": str, "params": dict, "refresh": bool, "newer_than": (str, NoneType)}, "profile")
        name, params = body["profile"], body.get("params", {})
        self.check_granted(caller, name)
        await self.serve(
            caller, name, params, refresh=body.get("refresh", False), newer_than=self.parse_newer_than(body)
        )


class ProfilesHandler(ServiceHandler):
    """The route `v1/profiles`."""

    async def post(self) -> None:
        """List the profiles that the user is granted. An invalid profile has a general error; details are logged."""
        caller = await self.user()
        self.body({})
        entries = [self._entry(name) for name in self.service.granted_to(caller)]
        schemas = params_schemas({entry["provider"] for entry in entries} - {None})
        answer = {"profiles": entries, "params": schemas, "may_reveal": self.service.allow_reveal}
        self.finish(json.dumps(answer))

    def _entry(self, name: str) -> dict[str, Any]:
        try:
            profile = self.service.source.profile(name)
        except ConfigurationError as error:
            nothing = dict.fromkeys(("provider", "title", "env", "kernels", "notebooks"))
            empty = {"params": {}, "sandbox": False, "scheme": "", "header": ""}
            return {"name": name, **nothing, **empty, "error": self.error_body(error)}
        return {
            "name": name,
            "provider": profile.provider.id,
            "title": profile.provider.title,
            "env": profile.env,
            "params": dict(profile.params),
            "sandbox": profile.provider.sandbox,
            "scheme": profile.provider.scheme,
            "header": profile.provider.header,
            "kernels": profile.kernels,
            "notebooks": profile.notebooks,
            "error": None,
        }


class ForgetHandler(ServiceHandler):
    """The route `v1/profiles/{name}/token`."""

    async def delete(self, name: str) -> None:
        """Forget the profile's tokens (`TokenService.forget`). The next request to this replica fetches a new token."""
        caller = await self.user()
        self.check_granted(caller, name)
        await self.service.forget(caller.name, name)
        self.service.audit.forgotten(caller, name)
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()


class _Issuing(Issuing, ServiceHandler):
    """Base class of the handlers for handles, with which workers get tokens directly from the service."""

    @property
    def handles(self) -> Handles:
        return self.service.handles

    def issuer_address(self, profile: str) -> tuple[str | None, str | None]:
        """Return no URL and no certificate: the service does not know the URL by which the user's server reaches it."""
        return None, None

    def report_handle(self, what: str, issued: IssuedHandle) -> None:
        assert self.caller is not None
        self.service.audit.handle(what, issued, self.caller)

    def check_call(self, profile: str, params: Mapping[str, Any]) -> None:
        assert self.caller is not None
        self.check_granted(self.caller, profile)
        self.service.key(self.caller.name, profile, params)

    async def own_handle(self, handle_id: str) -> IssuedHandle:
        """Return a handle of the user. Raises `Refused` if the handle is unknown or belongs to another user."""
        owner = OWNER + (await self.user()).name
        issued = await self.find_handle(handle_id)
        if issued is None or issued.owner != owner:
            self.refuse(404, "There is no handle with this id, or it belongs to another user.", "handle")
        return issued


class HandlesHandler(_Issuing):
    """The route `v1/handles`."""

    async def get(self) -> None:
        """List the user's active handles."""
        caller = await self.user()
        self.send_handles(await self.in_use(OWNER + caller.name))

    async def post(self) -> None:
        """Issue a handle."""
        caller = await self.user()
        self.send_handle(await self.issue(OWNER + caller.name, self.issue_body()))


class HandleHandler(_Issuing):
    """The route `v1/handles/{id}`."""

    async def delete(self, handle_id: str) -> None:
        """Revoke a handle."""
        await self.revoke(await self.own_handle(handle_id))
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()


class OwnHandleHandler(_Issuing):
    """The routes `v1/handles/{id}/renew` and `v1/handles/{id}/revoke`, for requests that a user's server forwards."""

    async def post(self, handle_id: str, action: str) -> None:
        """Renew a handle's lease, or revoke the handle.

        If the user is no longer granted the profile, a request to renew the handle revokes it, and is refused.
        """
        issued = await self.own_handle(handle_id)
        self.body({})
        if action == "revoke":
            await self.revoke(issued)
            self.finish("{}")
            return
        try:
            self.check_call(issued.profile, dict(issued.params))
        except NotGranted:
            await self.revoke(issued)
            raise
        self.send_handle(await self.renew(handle_id))


class HandleTokenHandler(_Issuing):
    """The route `v1/handles/{id}/token`."""

    async def post(self, handle_id: str) -> None:
        """Return a token with its value, to a worker that proves that it has the handle."""
        wanted = await self.authenticate_holder(handle_id)
        owner = wanted.issued.owner.removeprefix(OWNER)
        self.caller = caller = Caller(owner, None, frozenset(), frozenset())
        self.profile = wanted.profile
        self.service.check_still_granted(wanted.issued)
        await self.serve(
            caller,
            wanted.profile,
            wanted.params,
            refresh=wanted.refresh,
            newer_than=wanted.newer_than,
            handle=handle_id,
        )


class HealthHandler(ServiceHandler):
    """The route `health`, which needs no authentication."""

    async def get(self) -> None:
        """Return that the service works, and whether the hub answered the service's last request."""
        self.finish(json.dumps({"status": "ok", "hub": "ok" if self.service.callers.hub_answers else "down"}))


class MetricsHandler(ServiceHandler):
    """The route `metrics`."""

    async def get(self) -> None:
        """Return the metrics for Prometheus.

        Like the hub's own metrics, this requires the scope read:metrics. The token also needs access to this service.
        """
        self.caller = caller = await self.service.callers.identify(self.request.headers)
        if "read:metrics" not in caller.scopes:
            self.refuse(403, "The JupyterHub token needs the scope read:metrics.", "scope")
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest())


class NotFoundHandler(ServiceHandler):
    """Answers all other paths with 404."""

    async def prepare(self) -> None:
        """Refuse the request."""
        self.refuse(404, "The hub's token service has no such route.", "route")


def public_error(error: TokenError) -> TokenError:
    """Return the error that users get.

    An error that only the administrator can correct is logged, and replaced by a general error.
    """
    if not isinstance(error, ConfigurationError | SecretError) or isinstance(error, UnknownProfile):
        return error
    _log.warning("%s", error)
    kind = ConfigurationError if isinstance(error, ConfigurationError) else SecretError
    hint = "Ask your administrator to check the log of the service."
    return kind(
        "The hub's token service cannot use this profile, because its configuration or secret is wrong.", hint=hint
    )
