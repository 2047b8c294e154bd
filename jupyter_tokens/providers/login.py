"""A person's login: its data, its JSON form for storage, and its use in a flow."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import LoginNeeded
from ..token import Secret

__all__ = ["Login", "LoginInUse", "login_needed"]


def login_needed(profile: str, why: str = "Nobody is logged in.", **facts: Any) -> LoginNeeded:
    """Return the error for a profile that needs a login. Its hint says how to log in."""
    hint = f"Log in: %tokenlogin {profile} in a notebook, or jupyter tokens login {profile} in a terminal."
    return LoginNeeded(why, hint=hint, profile=profile, **facts)


@dataclass(frozen=True, slots=True)
class Login:
    """A login of a person at an authorization server.

    Attributes
    ----------
    server, client_id : str
        The token endpoint and client that the login is for. The login is never sent to another server.
    revocation : str
        The server's revocation endpoint when the person logged in; "" if it had none. The login is never sent to
        another revocation endpoint.
    since : float
        When the person logged in, in seconds since the epoch.
    who, subject : str
        The person's display name, and the server's id for the person; "" if the server reports none.
    params : Mapping
        The parameters (scope, audience, resource) of the login.
    refresh_token : Secret or None
        The refresh token, used to fetch further tokens; None if the server issued none.
    kind : str
        The profile's setting `token` when the person logged in: access_token or id_token.
    token, expires_at : Secret or None, float or None
        If there is no refresh token: the login's only token, and its expiry in seconds since the epoch, if known.
    key : Secret
        A random value, created with the login. It is part of the identity by which processes share tokens, so only
        processes that can read the login share its tokens.
    """

    server: str
    client_id: str
    since: float
    who: str = ""
    subject: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    refresh_token: Secret | None = None
    kind: str = "access_token"
    token: Secret | None = None
    expires_at: float | None = None
    key: Secret = field(default_factory=lambda: Secret(secrets.token_urlsafe(32)))
    revocation: str = ""

    def to_json(self) -> Secret:
        """Return the login as one JSON string, to be stored as a secret."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return Secret(json.dumps({n: v.reveal() if isinstance(v, Secret) else v for n, v in values.items()}))

    @classmethod
    def from_json(cls, text: Secret) -> Login | None:
        """Return the login from the JSON of `to_json`; None for any other text."""
        try:
            values = json.loads(text.reveal())
            hidden = {name: Secret(values[name]) for name in ("refresh_token", "token", "key") if values[name]}
            params = {name: tuple(v) if isinstance(v, list) else v for name, v in values["params"].items()}
            return cls(**{**values, **hidden, "params": params})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass(slots=True)
class LoginInUse:
    """A login that one flow uses, and the function that stores its changes.

    The code that runs the flow holds the lock of the login until the flow ends.
    """

    login: Login
    write: Callable[[Login | None], None]

    def save(self, login: Login | None) -> None:
        """Store the renewed login; None deletes the login.

        A flow calls this before it uses the server's response for anything else, because the server may no longer
        accept the old refresh token.
        """
        self.write(login)
        if login is not None:
            self.login = login
