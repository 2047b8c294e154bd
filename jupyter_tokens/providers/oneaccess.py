"""Huawei Cloud OneAccess: the access credential of an application, by client credentials.

Source: Huawei Cloud OneAccess, "Obtaining an Access Credential"; HTTP Basic: "Enterprise API usage".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import httpx

from ..clock import utc
from ..errors import ApiError, Forbidden, Unauthorized, UnusableToken
from ..token import Secret, Token
from .answers import (
    Meaning,
    check_bearer,
    json_object,
    life_of,
    moment_of,
    refusal,
    request_id_of,
    token_of,
    try_json_object,
)
from .base import COMMON_HEADERS, Call, Documented, Flow, Provider, Reference, Setting, need, parsed_url

__all__ = ["OneAccess"]

DEFAULT_EXPIRES_IN = 1800
"""Seconds that a token lives if the answer does not say (the tenant's default)."""

_PATH = "/api/v2/tenant/token"
_GRANT = "client_credentials"
_CLIENT_HINT = "Check client_id and client_secret, and that the application may call APIs."
_MEANINGS = {
    "invalid_client": Meaning(Unauthorized, _CLIENT_HINT),
    "unauthorized_client": Meaning(Forbidden, _CLIENT_HINT),
    "invalid_grant": Meaning(Unauthorized, _CLIENT_HINT),
    "access_denied": Meaning(Forbidden, _CLIENT_HINT),
}


class OneAccess(Provider):
    """`POST /api/v2/tenant/token`."""

    id = "oneaccess"
    title = "Huawei Cloud OneAccess"
    documentation = "OneAccess: Obtaining an Access Credential"
    caches = True

    client_id = Reference("Client id of the application.", secret=False)
    client_secret = Reference("Client secret of the application.", secret=True)
    auth_method = Setting(
        "How the client proves who it is: form (in the body) or basic (HTTP Basic).",
        choices=("form", "basic"),
        default="form",
    )

    def check(self) -> None:
        """See `Provider.check`."""
        super().check()
        need(self, "client_id", "client_secret")

    def credential(self, secrets: Mapping[str, Secret]) -> tuple[str, Secret]:
        """See `Provider.credential`: client id and client secret."""
        return secrets["client_id"].reveal(), secrets["client_secret"]

    @cached_property
    def documented(self) -> Documented:
        """See `Provider.documented`."""
        return Documented("POST", _PATH, fixed={"grant_type": _GRANT}, dropped=("client_id", "client_secret"))

    def answer(self, token: Token, now: float) -> dict[str, Any]:
        """See `Provider.answer`; `expires_in` is what is left."""
        assert token.expires_at is not None
        id_token = token.metadata.get("id_token")
        return {
            "access_token": token.reveal(),
            "token_type": "Bearer",
            "expires_in": max(0, int(token.expires_at.timestamp() - now)),
            **({"scope": token.metadata["scope"]} if "scope" in token.metadata else {}),
            **({"id_token": id_token.reveal()} if isinstance(id_token, Secret) else {}),
        }

    def retrieve(self, call: Call) -> Flow:
        """The access token. The vendor asks to cache it; a new one does not end the old one."""
        asked = call.clock.now()
        response = yield self._request(*call.credential)
        if response.status_code != httpx.codes.OK:
            raise self._refuse(call, response)
        body = json_object(response)
        if "access_token" not in body and ("error" in body or "error_code" in body):
            raise self._refuse(call, response)
        check_bearer(response, body)
        life = life_of(response, body)
        life = DEFAULT_EXPIRES_IN if life is None else life
        if life <= 0:
            raise UnusableToken(
                "The API returned a token that has expired already.",
                hint="Check the validity period under API Authentication in the administrator portal.",
                status=response.status_code,
                request_id=request_id_of(response, body),
            )
        metadata: dict[str, Any] = {"token_type": "Bearer"}
        if isinstance(body.get("scope"), str):
            metadata["scope"] = body["scope"]
        if isinstance(body.get("id_token"), str):
            # As much a credential as the access token, so as opaque.
            metadata["id_token"] = Secret(body["id_token"])
        return Token(
            token_of(response, body, "access_token"),
            profile=call.profile,
            provider=self.id,
            obtained_at=utc(asked),
            expires_at=moment_of(response, body, asked + life),
            scheme=self.scheme,
            metadata=metadata,
        )

    def _request(self, client_id: str, client_secret: Secret) -> httpx.Request:
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

    @staticmethod
    def _refuse(call: Call, response: httpx.Response) -> ApiError:
        body = try_json_object(response) or {}
        return refusal(
            response,
            now=call.clock.now(),
            body=body,
            code=body.get("error_code", body.get("error")),
            message=body.get("error_msg", body.get("error_description")),
            meanings=_MEANINGS,
        )
