"""`jupyterhub`: the token of the user's login to the hub. The hub keeps the token in `auth_state` and renews it.

Source: JupyterHub's REST API, `GET /users/{name}` (`GET /user` has an empty `auth_state`), and its page on
authenticators; oauthenticator 17, where the fields of `auth_state` have these names and the hub refreshes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from ..clock import utc
from ..errors import ConfigurationError, Forbidden, LoginNeeded
from ..token import Secret
from .answers import Meaning, jwt_expiry, require_token
from .base import COMMON_HEADERS, Call, Endpoint, Flow, Provider, Setting, parsed_url
from .fields import is_url

__all__ = ["JupyterHub"]

REFRESH_SECONDS = 300.0
"""How long a token without a known expiry is used, in seconds: the default of the hub's `auth_refresh_age`."""
_SCOPES = "read:users:name!user and admin:auth_state!user"
_API, _USER, _TOKEN = "JUPYTERHUB_API_URL", "JUPYTERHUB_USER", "JUPYTERHUB_API_TOKEN"
_SCOPES_HINT = (
    f"Ask the hub's administrator for the scopes {_SCOPES} for the roles user and server; then restart your server."
)
_MEANINGS = {
    "401": Meaning(Forbidden, "Restart your server: the hub no longer accepts its token."),
    "403": Meaning(Forbidden, _SCOPES_HINT),
    "404": Meaning(Forbidden, _SCOPES_HINT),
}


@dataclass(frozen=True, slots=True)
class _Server:
    """The user's URL in the hub's API, and the token with which this server calls the hub."""

    url: str
    token: Secret


class JupyterHub(Provider):
    """Calls `GET /users/{name}` of the hub that this server runs under, with the server's own token."""

    id = "jupyterhub"
    title = "JupyterHub: the token of your login"
    documentation = "JupyterHub: authentication state"
    meanings: ClassVar = _MEANINGS

    endpoint = Endpoint(
        "Base URL of the API that the token is for; nothing is sent there to get the token.", advanced=True
    )
    token = Setting(
        "Which token of the login to use: access_token, or id_token for an API that asks for one.",
        choices=("access_token", "id_token"),
        default="access_token",
        advanced=True,
    )

    def credential(self, secrets: Mapping[str, Secret]) -> _Server:
        """Return the user's URL and the server's token, from environment variables that the hub sets.

        Raises `ConfigurationError` if a variable is not set, or if the URL of the hub's API is invalid.
        """
        api, user, token = (os.environ.get(name, "") for name in (_API, _USER, _TOKEN))
        if not (api and user and token):
            raise ConfigurationError(
                "This process is not part of a server that JupyterHub started, so there is no login to a hub.",
                hint=f"Use this profile in a server that a hub has started: the hub sets {_API}, {_USER} and {_TOKEN}.",
            )
        # Plain http is allowed: it is usual inside a cluster, where hub and servers send this token over it anyway.
        if not api.startswith(("http://", "https://")) or not is_url(api):
            raise ConfigurationError(
                f"The environment variable {_API} is not an http:// or https:// URL.",
                hint="The hub sets it when it starts your server: do not set it yourself, and restart the server.",
            )
        return _Server(f"{api.rstrip('/')}/users/{quote(user, safe='')}", Secret(token))

    def identity(self, secrets: Mapping[str, Secret], credential: object) -> None:
        """Return None: the hub already gives each process the same token."""

    def code_and_message(self, response: httpx.Response, body: Mapping[str, Any]) -> tuple[object, object]:
        return str(response.status_code), body.get("message")

    def retrieve(self, call: Call) -> Flow:
        """Fetch the token. A JWT expires at its `exp`; any other token is fetched again after `REFRESH_SECONDS`.

        Raises `LoginNeeded` if the hub has no token of the user's login, or if the token has expired. Raises
        `Forbidden` if the hub does not let this server read the login.
        """
        server: _Server = call.credential
        requested_at = call.clock.now()
        headers = {**COMMON_HEADERS, "Accept": "application/json", "Authorization": f"token {server.token.reveal()}"}
        response = yield httpx.Request("GET", parsed_url(server.url), headers=headers)
        body = self.success_body(call, response)
        if "auth_state" not in body:
            raise Forbidden("The hub does not let this server read the login.", hint=_MEANINGS["403"].hint)
        state = body["auth_state"]
        if not isinstance(state, dict) or not state.get(self.token):
            raise LoginNeeded(
                f"The hub has no {self.token} for your login.",
                hint="Log out of the hub and in again. If that does not help: the hub needs "
                "c.Authenticator.enable_auth_state and a login by OAuth.",
            )
        value = require_token(response, state, self.token)
        ends = jwt_expiry(value)
        if ends is not None and ends <= requested_at:
            raise LoginNeeded("Your login to the hub has ended.", hint="Log out of the hub and in again.")
        return self.make_token(
            call, value, requested_at, expires_at=utc(requested_at + REFRESH_SECONDS if ends is None else ends)
        )
