"""`static`: returns a stored API key or personal access token, for example from the keyring. Calls no API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..clock import utc
from ..errors import SecretError, UnusableToken
from ..token import Secret
from .answers import is_token, jwt_expiry
from .base import Call, Endpoint, Flow, Provider, Reference

__all__ = ["Static"]


class Static(Provider):
    """Returns the value of the setting `token` unchanged."""

    id = "static"
    title = "API key or personal access token"
    documentation = "The page of the API where you create the key"
    # Many services offer the same API as OpenAI.
    sdks: ClassVar = {"openai": ""}

    endpoint = Endpoint(
        "Base URL of the API that the token is for; nothing is sent there to get the token.", advanced=True
    )
    token = Reference("API key or personal access token.", secret=True, required=True)

    def credential(self, secrets: Mapping[str, Secret]) -> Secret:
        """Return the token. Raises `SecretError` if a header cannot carry it."""
        token = secrets["token"]
        if not is_token(token.reveal()):
            raise SecretError(
                "The token contains a space, a line break, another control character or a character outside ASCII, "
                "which a header cannot carry.",
                hint="Copy it again and store it without anything before or after it.",
            )
        return token

    def identity(self, secrets: Mapping[str, Secret], credential: object) -> None:
        """Return None: sharing the token would save no call."""

    def retrieve(self, call: Call) -> Flow:
        """Return the token without a request. Its expiry is the `exp` of a JWT; other tokens have none.

        Raises `UnusableToken` if the token has expired.
        """
        yield from ()
        value = call.credential.reveal()
        ends, now = jwt_expiry(value), call.clock.now()
        if ends is not None and ends <= now:
            raise UnusableToken(
                f"The token expired at {utc(ends):%Y-%m-%d %H:%M:%S}Z.",
                hint="Create a new token and store it in place of this one.",
                unsent=True,
            )
        return self.make_token(call, value, now, expires_at=None if ends is None else utc(ends))
