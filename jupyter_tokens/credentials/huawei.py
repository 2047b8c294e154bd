"""Huawei Cloud's and T Cloud's credentials: access keys, given IAM tokens, and the IAM login that yields one.

Source: Huawei Cloud IAM, "Obtaining a User Token Through Password Authentication" (Keystone v3).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from ..clock import Clock
from ..signing.canonical import AccessKey
from ..token import Secret

__all__ = ["IamLogin", "IamToken", "Login", "access_key", "expiry_of", "login_request"]

# A token that ends while the request that carries it is under way is refused.
_MARGIN_SECONDS = 60.0


def access_key(secrets: Mapping[str, Secret]) -> AccessKey:
    """The key that a profile names with `access_key`, `secret_key` and `security_token`."""
    return AccessKey(secrets["access_key"].reveal(), secrets["secret_key"], secrets.get("security_token"))


@dataclass(frozen=True, slots=True)
class IamToken:
    """An IAM token of one project, and its end in seconds since the epoch."""

    value: Secret
    expires: float


Login = Generator[httpx.Request, httpx.Response, IamToken]
"""The part of a flow that logs in."""


@dataclass(slots=True)
class IamLogin:
    """Who logs in where, and the tokens that earlier logins got, by project."""

    endpoint: str
    username: str
    password: Secret
    domain_name: str
    tokens: dict[str, IamToken] = field(default_factory=dict, repr=False)

    def same_as(self, other: IamLogin) -> bool:
        """Whether both log in as the same user with the same password."""
        who = (self.endpoint, self.username, self.domain_name, self.password.reveal())
        return who == (other.endpoint, other.username, other.domain_name, other.password.reveal())

    def cached(self, project_id: str, clock: Clock) -> IamToken | None:
        """The project's token, if it lives for another minute."""
        token = self.tokens.get(project_id)
        return token if token is not None and clock.now() + _MARGIN_SECONDS < token.expires else None


def login_request(login: IamLogin, project_id: str, headers: Mapping[str, str]) -> httpx.Request:
    """The Keystone request: password method, scope of one project."""
    base = login.endpoint.rstrip("/").removesuffix("/v3")
    user = {"name": login.username, "password": login.password.reveal(), "domain": {"name": login.domain_name}}
    return httpx.Request(
        "POST",
        f"{base}/v3/auth/tokens",
        headers=headers,
        json={
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"id": project_id}},
            }
        },
    )


def expiry_of(text: str) -> float:
    """Seconds since the epoch of Keystone's `expires_at`, which is UTC also where it does not say so.

    Raises ValueError or OverflowError.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
