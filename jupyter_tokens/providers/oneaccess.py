"""Huawei Cloud OneAccess: fetches an application's access token with its client credentials.

Source: Huawei Cloud OneAccess, "Obtaining an Access Credential"; HTTP Basic and the id_token: "Enterprise API usage".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from ..errors import Forbidden, Unauthorized
from ..token import Secret, Token
from .answers import Meaning
from .base import COMMON_HEADERS, Call, Documented, Endpoint, Reference, Setting, parsed_url
from .oauth2 import TokenEndpoint

__all__ = ["OneAccess"]

_PATH = "/api/v2/tenant/token"
_GRANT = "client_credentials"
_CLIENT_HINT = "Check client_id and client_secret, and that the application may call APIs."
_MEANINGS = {
    "invalid_client": Meaning(Unauthorized, _CLIENT_HINT),
    "unauthorized_client": Meaning(Forbidden, _CLIENT_HINT),
    "invalid_grant": Meaning(Unauthorized, _CLIENT_HINT),
    "access_denied": Meaning(Forbidden, _CLIENT_HINT),
}


class OneAccess(TokenEndpoint):
    """Calls `POST /api/v2/tenant/token`.

    The response has two tokens: the access_token for OneAccess's own APIs, and the id_token for enterprise APIs.
    """

    id = "oneaccess"
    title = "Huawei Cloud OneAccess"
    documentation = "OneAccess: Obtaining an Access Credential"
    caches = True
    # The validity period that a tenant has by default, in seconds.
    default_life = 1800
    meanings: ClassVar = _MEANINGS
    life_hint = "Check the validity period under API Authentication in the administrator portal."
    without_id_hint = (
        "Check under API Authentication in the administrator portal that the application may call enterprise APIs, or "
        "set token to access_token."
    )

    endpoint = Endpoint("Base URL of the API.", example="https://acme.huaweioneaccess.com", required=True)
    client_id = Reference("Client id of the application.", secret=False, label="Client ID", required=True)
    client_secret = Reference("Client secret of the application.", secret=True, required=True)
    auth_method = Setting(
        "How the client authenticates: form (in the body) or basic (HTTP Basic).",
        choices=("form", "basic"),
        default="form",
        label="Authentication method",
        advanced=True,
    )

    def credential(self, secrets: Mapping[str, Secret]) -> tuple[str, Secret]:
        return secrets["client_id"].reveal(), secrets["client_secret"]

    @property
    def documented(self) -> Documented:
        """The call `POST /api/v2/tenant/token`, with the grant client_credentials."""
        return Documented("POST", _PATH, fixed={"grant_type": _GRANT}, dropped=("client_id", "client_secret"))

    def answer(self, token: Token, now: float) -> dict[str, Any]:
        """Return the API's response with this token. `expires_in` is the time until the token expires, in seconds."""
        assert token.expires_at is not None
        others = {name: other.reveal() for name, other in token.metadata.items() if isinstance(other, Secret)}
        return {
            "token_type": "Bearer",
            "expires_in": max(0, int(token.expires_at.timestamp() - now)),
            **({"scope": token.metadata["scope"]} if "scope" in token.metadata else {}),
            self.token: token.reveal(),
            **others,
        }

    def request(self, call: Call) -> httpx.Request:
        """Return the request for a token, with the client's id and secret."""
        client_id, client_secret = call.credential
        url = f"{self.base()}{_PATH}"
        if self.auth_method == "form":
            form = {"grant_type": _GRANT, "client_id": client_id, "client_secret": client_secret.reveal()}
            return httpx.Request("POST", parsed_url(url), headers=COMMON_HEADERS, data=form)
        pair = base64.b64encode(f"{client_id}:{client_secret.reveal()}".encode()).decode()
        return httpx.Request(
            "POST",
            parsed_url(f"{url}?grant_type={_GRANT}"),
            headers={**COMMON_HEADERS, "Authorization": f"Basic {pair}"},
        )
