"""The hub's token service: configuration, state and routes."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tornado import web
from traitlets import Bool, Dict, Integer, List, TraitError, Unicode, validate
from traitlets.config import Config, Configurable

from .._util.threads import run_in_thread
from ..clock import Clock, SystemClock
from ..config.files import load_settings
from ..errors import ConfigurationError, NotGranted, UnknownProfile
from ..protocol.handles import ID, Handles
from ..server.activity import count_fetch, counted
from ..sources.cache import Key
from ..sources.local import LocalSource
from ..sources.stores import StoreUnavailable, TokenStore
from .activity import Audit
from .callers import Caller, Callers
from .handlers import (
    OWNER,
    ForgetHandler,
    HandleHandler,
    HandlesHandler,
    HandleTokenHandler,
    HealthHandler,
    MetricsHandler,
    NotFoundHandler,
    OwnHandleHandler,
    ProfilesHandler,
    TokenHandler,
)
from .page import LoggedInHandler, PageHandler, login

if TYPE_CHECKING:
    from ..protocol.handles import IssuedHandle
    from ..protocol.records import Records
    from ..sources.local import Fetched

__all__ = ["ROUTES", "Route", "TokenService"]

_log = logging.getLogger(__name__)


class Route(NamedTuple):
    """One path below the service's prefix.

    `callers` names, for each method, the callers that are allowed:

    - granted: users who are granted the profile
    - users: all users
    - owner: the user for whom the handle was issued
    - holder: a worker that proves that it has the handle
    - people: users who are logged in with a browser
    - login: a browser that the hub redirects after a login
    - read:metrics: users and services of the hub whose token has this scope
    - anybody: no authentication is needed
    """

    pattern: str
    handler: type[web.RequestHandler]
    callers: Mapping[str, Literal["granted", "users", "owner", "holder", "people", "login", "read:metrics", "anybody"]]


_HANDLE = rf"v1/handles/(?P<handle_id>{ID})"
ROUTES = (
    Route(r"v1/token", TokenHandler, {"post": "granted"}),
    Route(r"v1/profiles", ProfilesHandler, {"post": "users"}),
    Route(r"v1/profiles/(?P<name>[^/]+)/token", ForgetHandler, {"delete": "granted"}),
    Route(r"v1/handles", HandlesHandler, {"get": "users", "post": "granted"}),
    Route(_HANDLE, HandleHandler, {"delete": "owner"}),
    Route(_HANDLE + "/(?P<action>renew|revoke)", OwnHandleHandler, {"post": "owner"}),
    Route(_HANDLE + "/token", HandleTokenHandler, {"post": "holder"}),
    Route(r"", PageHandler, {"get": "people", "post": "people"}),
    Route(r"oauth_callback", LoggedInHandler, {"get": "login"}),
    Route(r"health", HealthHandler, {"get": "anybody"}),
    Route(r"metrics", MetricsHandler, {"get": "read:metrics"}),
)
"""All routes. Tests compare handlers and openapi.yml with this table."""


class TokenService(Configurable):
    """The hub's token service. Its configuration is read from jupyter_tokens_config, like the profiles."""

    grants = Dict(
        help="For each profile name, which users get the profile's tokens: users in one of `groups`, and users whose "
        "server's token has one of `scopes`. Nobody gets the tokens of a profile that is not listed.",
    ).tag(config=True)
    allow_reveal = Bool(
        default_value=True,
        help="Whether users' servers may reveal the value of a token in the side panel. Kernels always get the value.",
    ).tag(config=True)
    cache_max_age = Integer(
        30,
        min=1,  # 0 means "for ever" to JupyterHub
        help="How long the hub's answer about a user is cached, in seconds. A user who is removed from a group still "
        "gets tokens for that time.",
    ).tag(config=True)

    admin_groups = List(
        Unicode(),
        help="Groups of administrators. On the service's page, administrators see the tokens and handles of all users, "
        "and can forget the tokens and revoke the handles.",
    ).tag(config=True)

    clock: Clock = SystemClock()
    """The clock. Tests replace it."""

    @classmethod
    def configured(cls) -> TokenService:
        """Create the service from the configuration files. Raises `ConfigurationError`."""
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
            if not known or not all(
                isinstance(words, list) and all(isinstance(word, str) for word in words) for words in grant.values()
            ):
                raise TraitError(
                    f"grants[{name!r}] must be a mapping with only the keys groups and scopes, each a list of strings"
                )
        return grants

    @cached_property
    def source(self) -> LocalSource:
        """The source of tokens, from the service's own profiles."""
        source = LocalSource(clock=self.clock)
        source.observe(partial(self._on_fetched, source))
        counted.add(source)
        return source

    @cached_property
    def records(self) -> Records:
        """Handles, nonces, holdings and events. Replicas share the records if the store is in Redis.

        Raises `TokenError`.
        """
        try:
            return TokenStore.configured().open_records(self.clock)
        except (OSError, StoreUnavailable) as error:
            raise ConfigurationError(
                f"The key file of the token store cannot be used: {error}.",
                hint="Make Jupyter's data folder writable, or set TokenStore.keys.",
            ) from None

    @cached_property
    def handles(self) -> Handles:
        """The handles issued by this service."""
        return Handles(self.clock, self.records)

    @cached_property
    def audit(self) -> Audit:
        """The audit log."""
        return Audit(self.records, self.clock)

    @cached_property
    def callers(self) -> Callers:
        """Identifies the users who send requests."""
        return Callers(self.cache_max_age, self.clock)

    def granted_to(self, caller: Caller) -> list[str]:
        """Return the names of the profiles that a user is granted."""
        return [name for name in self.source.profiles() if self._grants(name, caller)]

    def check_granted(self, caller: Caller, name: str) -> None:
        """Raise `UnknownProfile` if there is no such profile, and `NotGranted` if the user may not use it."""
        if name not in self.source.profiles():
            raise UnknownProfile(f"The hub's token service has no profile {name[:80]!r}.")
        if not self._grants(name, caller):
            hint = "Ask your administrator to grant you the profile, by a JupyterHub group or by a scope."
            raise NotGranted("The hub's token service does not grant you this profile.", hint=hint, profile=name)

    def _grants(self, name: str, caller: Caller) -> bool:
        grant = self.grants.get(name, {})
        return not caller.groups.isdisjoint(grant.get("groups", ())) or not caller.scopes.isdisjoint(
            grant.get("scopes", ())
        )

    def check_still_granted(self, issued: IssuedHandle) -> None:
        """Raise `NotGranted` if nobody is granted the profile, or if the handle's owner is in no granted group.

        The owner's groups are the groups that the hub last reported; they are not checked if the hub has not reported
        the owner. A grant with scopes is not checked here, because a worker's request does not show the owner's scopes.
        Such a grant is checked when the handle is renewed.
        """
        groups, grant = (
            self.callers.reported_groups(issued.owner.removeprefix(OWNER)),
            self.grants.get(issued.profile, {}),
        )
        granted = frozenset(grant.get("groups", ()))
        if not grant.get("scopes") and granted.isdisjoint(granted if groups is None else groups):
            raise NotGranted("The owner of this handle is no longer granted the profile.", profile=issued.profile)

    def is_admin(self, caller: Caller) -> bool:
        """Whether a user may see the tokens and handles of all users, forget these tokens, and revoke these handles."""
        return not caller.groups.isdisjoint(self.admin_groups)

    def key(self, user: str, name: str, params: Mapping[str, Any]) -> Key:
        """Return the cache key of a user's call. Users cannot change parameters that the profile sets.

        Raises `TokenError`.
        """
        profile = self.source.profile(name)
        key = self.source.key(name, params)
        if params:
            replace(profile, fixed_params=profile.fixed_params | profile.params.keys()).call_params(params)
        return key._replace(user=user) if profile.is_personal else key

    async def forget(self, user: str, name: str) -> None:
        """Forget a profile's tokens; only this user's tokens if the profile has a separate secret for each user."""
        user = user if self.source.profile(name).is_personal else ""
        cached = self.source.keys()

        def forget() -> None:
            # Needed even if no token is cached here: another replica may have put a token into the store.
            self.source.forget(Key(name, user=user))
            for key in cached:
                if (key.profile, key.user) == (name, user):
                    self.source.forget(key)

        await run_in_thread(forget)

    def application(self, prefix: str) -> web.Application:
        """Return the web application. `prefix` is the path before the routes, with a slash at both ends."""
        missing = self.grants.keys() - set(self.source.profiles())
        if missing:
            _log.warning("c.TokenService.grants names profiles that do not exist: %s", ", ".join(sorted(missing)))
        return web.Application(
            [(prefix + route.pattern, route.handler) for route in ROUTES],
            default_handler_class=NotFoundHandler,
            log_function=_log_request,
            service=self,
            records=self.records,  # opened now, so that an invalid URL or key is noticed at the start
            template_path=str(Path(__file__).parent),
            login=login(prefix, self.cache_max_age),
            # Only for browsers' cookies. A restart makes them invalid; then the hub logs people in without asking them.
            cookie_secret=secrets.token_bytes(32),
        )

    def close(self) -> None:
        """Store the last events, and close the connections."""
        self.source.close()
        self.audit.close()
        self.records.close()

    def _on_fetched(self, source: LocalSource, fetched: Fetched) -> None:
        count_fetch(fetched, refresh=source.held(fetched.key) is not None)
        self.audit.fetched(fetched)


def _log_request(handler: web.RequestHandler) -> None:
    _log.debug("%d %s %s", handler.get_status(), handler.request.method, handler.request.path)
