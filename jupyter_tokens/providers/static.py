"""A token that somebody else issued: an API key or a personal access token, kept in the keyring. Asks no API."""

from __future__ import annotations

from collections.abc import Mapping

from ..clock import utc
from ..errors import SecretError, UnusableToken
from ..token import Secret
from .answers import is_token, jwt_expiry
from .base import Call, Endpoint, Flow, Provider, Reference, need

__all__ = ["Static"]


class Static(Provider):
    """The setting `token`, as it is."""

    id = "static"
    title = "API key or personal access token"
    documentation = "The page of the API where you create the key"

    endpoint = Endpoint("Base URL of the API that the token is for; nothing is sent there to get the token.")
    token = Reference("API key or personal access token.", secret=True)

    def check(self) -> None:
        """See `Provider.check`: the endpoint may be left out."""
        need(self, "token")

    def credential(self, secrets: Mapping[str, Secret]) -> Secret:
        """See `Provider.credential`: the token itself. Raises `SecretError` if it cannot be one."""
        token = secrets["token"]
        if not is_token(token.reveal()):
            raise SecretError(
                "The token holds a blank, a line break or a character outside ASCII, which no header can carry.",
                hint="Copy it again and store it without anything before or after it.",
            )
        return token

    def identity(self, secrets: Mapping[str, Secret], credential: object) -> None:
        """See `Provider.identity`. There is no call to spare."""

    def retrieve(self, call: Call) -> Flow:
        """Return the token without a request. It does not expire, unless it is a JWT that says when."""
        yield from ()
        value = call.credential.reveal()
        ends, now = jwt_expiry(value), call.clock.now()
        if ends is not None and ends <= now:
            raise UnusableToken(
                f"The token expired at {utc(ends):%Y-%m-%d %H:%M:%S}Z.",
                hint="Create a new one and store it in its place.",
                unsent=True,
            )
        return self.issued(call, value, now, expires_at=None if ends is None else utc(ends))
