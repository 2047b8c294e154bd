"""The service's routes. Each checks who asks and what for, asks the source, and answers."""

from __future__ import annotations

import json
from http import HTTPStatus
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ..errors import ConfigurationError, SecretError, TokenError, UnknownProfile
from ..server.activity import count_hit
from ..server.answers import params_schemas, token_answer
from ..server.base import JsonHandler, error_facts
from . import activity

if TYPE_CHECKING:
    from .app import TokenService
    from .callers import Caller

__all__ = ["ForgetHandler", "HealthHandler", "MetricsHandler", "NothingHandler", "ProfilesHandler", "TokenHandler"]


class ServiceHandler(JsonHandler):
    """Base of the handlers. profile : the one that the request is about, as soon as it is known that it exists."""

    caller: Caller | None = None
    profile: str | None = None

    @property
    def service(self) -> TokenService:
        """What the handlers share."""
        return cast("TokenService", self.settings["service"])

    async def user(self) -> Caller:
        """The user who asks. Raises `Refused`."""
        self.caller = caller = await self.service.callers.identify(self.request.headers)
        if not caller.name:
            self.refuse(403, "Profiles are granted to users, and this is the token of a service.", "no_user")
        return caller

    def check_granted(self, caller: Caller, name: str) -> None:
        """Raises `TokenError` unless the user is granted the profile."""
        self.profile = name if name in self.service.source.profiles() else None
        self.service.check_granted(caller, name)

    def facts_of(self, error: TokenError) -> dict[str, Any]:
        """The whole error, which the user's server raises again; but what is wrong here is the administrator's."""
        if isinstance(error, ConfigurationError | SecretError) and not isinstance(error, UnknownProfile):
            self.log.warning("%s", error)
            return error_facts(_at_home(error))
        return error.to_dict()

    def refused(self, status: int, reason: str) -> None:
        """Tells of it."""
        activity.refused(self.caller, self.profile, reason)


class TokenHandler(ServiceHandler):
    """`v1/token`."""

    async def post(self) -> None:
        """A token with its value, for the server of a user who is granted the profile."""
        caller = await self.user()
        body = self.body({"profile": str, "params": dict, "refresh": bool, "newer_than": (str, NoneType)})
        if "profile" not in body:
            self.refuse(400, "The field 'profile' is missing.", "body")
        name, refresh, newer_than = body["profile"], body.get("refresh", False), self.moment(body)
        self.check_granted(caller, name)
        key = self.service.key(caller, name, body.get("params", {}))
        token, cached = await self.service.source.serve(key, refresh=refresh, newer_than=newer_than)
        profile = self.service.source.profiles()[name]
        if cached:
            count_hit(profile.provider.id)
        activity.served(caller, name, cached=cached)
        self.finish(token_answer(profile, token, now=self.service.clock.now(), value=True))


class ProfilesHandler(ServiceHandler):
    """`v1/profiles`."""

    async def post(self) -> None:
        """The profiles that the user is granted; one that is wrong without details, which are in the log."""
        caller = await self.user()
        self.body({})
        entries = [self._entry(name) for name in self.service.granted_to(caller)]
        schemas = params_schemas({entry["provider"] for entry in entries} - {None})
        answer = {"profiles": entries, "params": schemas, "may_reveal": self.service.allow_reveal}
        self.finish(json.dumps(answer))

    def _entry(self, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": name,
            "provider": None,
            "title": None,
            "env": None,
            "params": {},
            "sandbox": False,
            "scheme": "",
            "header": "",
            "kernels": None,
            "notebooks": None,
            "error": None,
        }
        try:
            profile = self.service.source.profiles()[name]
        except ConfigurationError as error:
            return {**entry, "error": self.facts_of(error)}
        return {
            **entry,
            "provider": profile.provider.id,
            "title": profile.provider.title,
            "env": profile.env,
            "params": dict(profile.params),
            "sandbox": profile.provider.sandbox,
            "scheme": profile.provider.scheme,
            "header": profile.provider.header,
            "kernels": profile.kernels,
            "notebooks": profile.notebooks,
        }


class ForgetHandler(ServiceHandler):
    """`v1/profiles/{name}/token`."""

    async def delete(self, name: str) -> None:
        """Drops the profile's token, so that the next one is fetched: the user's own, or the one that all share."""
        caller = await self.user()
        self.check_granted(caller, name)
        await self.service.forget(caller, name)
        activity.forgotten(caller, name)
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()


class HealthHandler(ServiceHandler):
    """`health`."""

    async def get(self) -> None:
        """Whether the service answers, and whether the hub answered it last time."""
        self.finish(json.dumps({"status": "ok", "hub": "ok" if self.service.callers.hub_answers else "down"}))


class MetricsHandler(ServiceHandler):
    """`metrics`."""

    async def get(self) -> None:
        """For Prometheus, by the scope that the hub's own metrics need."""
        self.caller = caller = await self.service.callers.identify(self.request.headers)
        if "read:metrics" not in caller.scopes:
            self.refuse(403, "The token has not the scope read:metrics.", "scope")
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest())


class NothingHandler(ServiceHandler):
    """All other paths."""

    async def prepare(self) -> None:
        """Says so."""
        self.refuse(404, "There is no such route.", "route")


def _at_home(error: TokenError) -> TokenError:
    kind = ConfigurationError if isinstance(error, ConfigurationError) else SecretError
    hint = "Tell your administrator: the service's log says more."
    return kind("The profile, or its secret, is wrong at the hub's token service.", hint=hint)
