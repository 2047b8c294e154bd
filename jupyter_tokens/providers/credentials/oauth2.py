"""OAuth 2.0 client authentication: a secret by HTTP Basic or in the form, or an assertion signed with a key.

Source: RFC 6749, section 2.3.1; RFC 7523, sections 2.2 and 3; RFC 7521, section 4.2.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from urllib.parse import quote

from ...errors import SecretError, detached_errors
from ...token import Secret

__all__ = ["ALGORITHMS", "ASSERTION_SECONDS", "ASSERTION_TYPE", "Client", "assertion", "basic"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""The algorithms that can sign an assertion. All use a private key."""
ASSERTION_SECONDS = 300
"""Life of an assertion, in seconds. An assertion is used at once, but the server's clock may differ from this one."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client.

    Attributes
    ----------
    id : str
        Its client id.
    proof : Secret
        Its secret, or its private key in PEM; empty for a public client.
    subject : Secret or None
        The token to exchange for another, for the grant token_exchange.
    """

    id: str
    proof: Secret
    subject: Secret | None = None


def basic(client: Client) -> str:
    """Return the value of `Authorization` for HTTP Basic. Id and secret are form-encoded before they are joined.

    A space becomes `%20` and not `+`, because not all servers decode `+` to a space.
    """
    pair = f"{quote(client.id, safe='')}:{quote(client.proof.reveal(), safe='')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@detached_errors()
def assertion(client: Client, *, audience: str, algorithm: str, key_id: str, now: float) -> str:
    """Return a new JWT that authenticates the client once; `now` is in seconds since the epoch.

    PyJWT and cryptography (extra `oauth2`) sign the JWT. Raises `SecretError` if the client's key cannot sign, or if a
    package is missing.
    """
    try:
        import jwt  # noqa: PLC0415 (brings cryptography: 60 ms)
        from cryptography.hazmat.primitives import hashes  # noqa: F401, PLC0415 (PyJWT comes without it)
    except ImportError:
        raise SecretError(
            "The setting auth_method 'private_key_jwt' needs the packages PyJWT and cryptography.",
            hint="Install them: pip install 'jupyter-tokens[oauth2]'",
        ) from None
    claims = {
        "iss": client.id,
        "sub": client.id,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now),
        "exp": int(now) + ASSERTION_SECONDS,
    }
    try:
        return jwt.encode(claims, client.proof.reveal(), algorithm, headers={"kid": key_id} if key_id else None)
    except Exception as caught:
        # Report only the type of the error: its message and frames may contain parts of the key.
        raise SecretError(
            f"private_key cannot be used to sign with {algorithm} ({type(caught).__name__}).",
            hint="Give an unencrypted private key in PEM, and the signing_algorithm that the client is registered for.",
        ) from None
