"""NetApp Astra Control: fetches the metadata of a stored API token, and creates new tokens.

Source: NetApp, "Astra Control API: Retrieve a token" and "Create a token".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from ..errors import Forbidden, InvalidRequest, NotFound, ParameterError, Unauthorized
from ..token import Secret, Token
from .answers import Meaning, malformed, require_str, require_token
from .base import COMMON_HEADERS, Call, Documented, Exchange, Flow, Provider, Reference, parsed_url
from .params import Param
from .signing.canonical import percent_encode

__all__ = ["Astra"]

MEDIA_TYPE = "application/astra-token"
MAX_NAME_LENGTH = 63

_PROBLEMS = "https://astra.netapp.io/problems/"
_METADATA = ("type", "version", "id", "name", "userID", "metadata")
_IDS_HINT = "Check account_id, user_id and token_id."
_BEARER_HINT = "Check api_token: it may have been revoked."
# The other problems say no more than the HTTP status.
_MEANINGS = {
    _PROBLEMS + number: meaning
    for number, meaning in {
        "1": Meaning(NotFound, _IDS_HINT),
        "2": Meaning(NotFound, _IDS_HINT),
        "3": Meaning(Unauthorized, _BEARER_HINT),
        "4": Meaning(Unauthorized, _BEARER_HINT),
        "10": Meaning(InvalidRequest, "Choose another name."),
        "11": Meaning(Forbidden, "Ask for a role that may see this user's tokens."),
    }.items()
}


class Astra(Provider):
    """Calls `GET /accounts/{account_id}/core/v1/users/{user_id}/tokens/{token_id}`.

    To create a token, it calls `POST` on the same path without the token's id.
    """

    id = "astra"
    title = "NetApp Astra Control"
    documentation = "Astra Control API: Retrieve a token"
    meanings: ClassVar = _MEANINGS
    params: ClassVar = {
        "account_id": Param("Id of the account.", required=True, identifier=True),
        "user_id": Param("Id of the user that the token belongs to.", required=True, identifier=True),
        "token_id": Param("Id of the stored token; not needed to create a token.", identifier=True),
    }
    create_params: ClassVar = {"name": Param("Name of the new token, 1 to 63 characters.", required=True)}

    api_token = Reference("API token that authorises the calls.", secret=True, label="API token", required=True)

    def credential(self, secrets: Mapping[str, Secret]) -> Secret:
        return secrets["api_token"]

    @property
    def documented(self) -> Documented:
        """The call that returns a stored token's metadata. The proxy accepts none of the API's other calls."""
        return Documented("GET", "/accounts/{account_id}/core/v1/users/{user_id}/tokens/{token_id}")

    def exchange(self, call: Call) -> Exchange:
        url = f"{self._collection(call)}/{percent_encode(str(call.params['token_id']))}"
        return (yield httpx.Request("GET", parsed_url(url), headers=self._headers(call)))

    def retrieve(self, call: Call) -> Flow:
        """Fetch the metadata of a stored token. The API never returns a stored token's value.

        Raises `ParameterError` if `token_id` is missing.
        """
        if "token_id" not in call.params:
            raise ParameterError("Parameter token_id is missing.", hint="Give the id of the stored token (token_id=…).")
        requested_at = call.clock.now()
        response = yield from self.exchange(call)
        return self._token(call, requested_at, response, self.success_body(call, response), None)

    def create(self, call: Call) -> Flow:
        """Create a new token. The API returns the token's value only in the response to this call.

        Raises `ParameterError` if the name is empty or too long.
        """
        name = str(call.params["name"])
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise ParameterError(f"Parameter 'name' must have 1 to {MAX_NAME_LENGTH} characters.")
        requested_at = call.clock.now()
        response = yield httpx.Request(
            "POST",
            self._collection(call),
            headers={**self._headers(call), "Content-Type": f"{MEDIA_TYPE}+json"},
            json={"type": MEDIA_TYPE, "version": "1.0", "name": name},
        )
        body = self.success_body(call, response, httpx.codes.CREATED)
        return self._token(call, requested_at, response, body, require_token(response, body, "token"))

    def _token(
        self, call: Call, requested_at: float, response: httpx.Response, body: dict[str, Any], value: str | None
    ) -> Token:
        if require_str(response, body, "type") != MEDIA_TYPE:
            raise malformed(response, "is not a token resource", body)
        require_str(response, body, "id")
        return self.make_token(
            call, value, requested_at, metadata={name: body[name] for name in _METADATA if name in body}
        )

    def _collection(self, call: Call) -> str:
        account, user = (percent_encode(str(call.params[name])) for name in ("account_id", "user_id"))
        return f"{self.base()}/accounts/{account}/core/v1/users/{user}/tokens"

    @staticmethod
    def _headers(call: Call) -> dict[str, str]:
        return {
            **COMMON_HEADERS,
            "Authorization": f"Bearer {call.credential.reveal()}",
            "Accept": f"{MEDIA_TYPE}+json",
        }

    def code_and_message(self, response: httpx.Response, body: Mapping[str, Any]) -> tuple[object, object]:
        title, detail = body.get("title"), body.get("detail")
        message = ": ".join(text for text in (title, detail) if isinstance(text, str))
        invalid = body.get("invalidParams")
        if isinstance(invalid, list):
            message += "".join(
                f" {item.get('name')}: {item.get('reason')}." for item in invalid[:5] if isinstance(item, dict)
            )
        return body.get("type"), message
