"""The service's state, its configuration, and its routes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tornado import web
from traitlets import Bool, Dict, Integer, TraitError, validate
from traitlets.config import Config, Configurable

from .._util.threads import on_a_thread
from ..clock import Clock, SystemClock
from ..config.files import load_settings
from ..errors import ConfigurationError, NotGranted, UnknownProfile
from ..server.activity import count_fetch, watch
from ..sources.local import LocalSource
from . import activity
from .callers import Caller, Callers
from .handlers import (
    ForgetHandler,
    HealthHandler,
    MetricsHandler,
    NothingHandler,
    ProfilesHandler,
    ServiceHandler,
    TokenHandler,
)

if TYPE_CHECKING:
    from ..sources.cache import Key
    from ..sources.local import Fetched

__all__ = ["ROUTES", "Route", "TokenService"]

_log = logging.getLogger(__name__)


class Route(NamedTuple):
    """One path below the service's prefix. callers : who may use it, by method."""

    pattern: str
    handler: type[ServiceHandler]
    callers: Mapping[str, Literal["granted", "users", "read:metrics", "anybody"]]


ROUTES = (
    Route(r"v1/token", TokenHandler, {"post": "granted"}),
    Route(r"v1/profiles", ProfilesHandler, {"post": "users"}),
    Route(r"v1/profiles/(?P<name>[^/]+)/token", ForgetHandler, {"delete": "granted"}),
    Route(r"health", HealthHandler, {"get": "anybody"}),
    Route(r"metrics", MetricsHandler, {"get": "read:metrics"}),
)
"""All of them; tests hold the handlers and openapi.yml to this table."""


class TokenService(Configurable):
    """Who may use which profile of a hub's token service. Read with the profiles, from jupyter_tokens_config."""

    grants = Dict(
        help="By profile, which users of the hub get its tokens: those in one of `groups`, and those whose server has "
        "one of `scopes`. A profile that is not named here is given to nobody.",
    ).tag(config=True)
    allow_reveal = Bool(
        default_value=True,
        help="Whether users' servers may show the value of a token in the side panel. Kernels get it in any case.",
    ).tag(config=True)
    cache_max_age = Integer(
        30,
        min=1,  # JupyterHub takes 0 as for ever
        help="Seconds for which the hub's answer about a user is used again: for so long a user who was taken out of a "
        "group still gets tokens.",
    ).tag(config=True)

    clock: Clock = SystemClock()
    """For tests."""

    @classmethod
    def configured(cls) -> TokenService:
        """As the configuration files say. Raises `ConfigurationError`."""
        try:
            return cls(config=Config({cls.__name__: load_settings(cls.__name__)}))
        except TraitError as error:
            problem = ConfigurationError(f"c.TokenService: {error}")
        raise problem

    @validate("grants")
    def _check_grants(self, proposal: Any) -> Any:
        grants: Mapping[str, Any] = proposal["value"]
        for name, grant in grants.items():
            known = isinstance(grant, Mapping) and set(grant) <= {"groups", "scopes"}
            if not known or not all(isinstance(words, list) and all(map(_is_text, words)) for words in grant.values()):
                raise TraitError(f"grants[{name!r}] must be a mapping with lists of strings: groups, scopes")
        return grants

    @cached_property
    def source(self) -> LocalSource:
        """Where tokens come from: the service's own profiles."""
        source = LocalSource(clock=self.clock)
        source.observe(partial(_fetched, source))
        watch(source)
        return source

    @cached_property
    def callers(self) -> Callers:
        """Who says who asks."""
        return Callers(self.cache_max_age, self.clock)

    def granted_to(self, caller: Caller) -> list[str]:
        """The names of the profiles that a user is granted."""
        return [name for name in self.source.profiles() if self._grants(name, caller)]

    def check_granted(self, caller: Caller, name: str) -> None:
        """Raises `UnknownProfile`, or `NotGranted` if the user may not use the profile."""
        if name not in self.source.profiles():
            raise UnknownProfile(f"The hub's token service has no profile {name[:80]!r}.")
        if not self._grants(name, caller):
            hint = "Your administrator grants it, to groups of JupyterHub or by a scope."
            raise NotGranted("The hub's token service does not grant you this profile.", hint=hint, profile=name)

    def _grants(self, name: str, caller: Caller) -> bool:
        grant = self.grants.get(name, {})
        return not caller.groups.isdisjoint(grant.get("groups", ())) or not caller.scopes.isdisjoint(
            grant.get("scopes", ())
        )

    def key(self, caller: Caller, name: str, params: Mapping[str, Any]) -> Key:
        """The key of a user's call. What the profile gives is fixed. Raises `TokenError`."""
        profile = self.source.profiles()[name]
        key = self.source.key(name, params)
        replace(profile, fixed_params=profile.fixed_params | profile.params.keys()).call_params(params)
        return key._replace(user=caller.name) if profile.is_personal else key

    async def forget(self, caller: Caller, name: str) -> None:
        """Drop a profile's tokens here and in the store; of a profile with `{user}` the user's own."""
        user = caller.name if self.source.profiles()[name].is_personal else ""
        kept = self.source.keys()

        def forget() -> None:
            for key in kept:
                if (key.profile, key.user) == (name, user):
                    self.source.forget(key)

        await on_a_thread(forget)

    def application(self, prefix: str) -> web.Application:
        """What answers requests. prefix : the path in front of the routes, with a slash at both ends."""
        missing = self.grants.keys() - set(self.source.profiles())
        if missing:
            _log.warning("c.TokenService.grants names profiles that do not exist: %s", ", ".join(sorted(missing)))
        return web.Application(
            [(prefix + route.pattern, route.handler) for route in ROUTES],
            default_handler_class=NothingHandler,
            log_function=_log_request,
            service=self,
        )


def _is_text(word: object) -> bool:
    return isinstance(word, str)


def _fetched(source: LocalSource, fetched: Fetched) -> None:
    count_fetch(fetched, refresh=source.held(fetched.key) is not None)
    activity.fetched(fetched)


def _log_request(handler: web.RequestHandler) -> None:
    _log.debug("%d %s %s", handler.get_status(), handler.request.method, handler.request.path)
