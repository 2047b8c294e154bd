"""Badges that open doors: a provider for jupyter_tokens in a package of its own.

Source: here stands the title of your API's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from jupyter_tokens.errors import Forbidden, NotFound, Unauthorized
from jupyter_tokens.providers.answers import Meaning, get_number, malformed, require_token, to_datetime
from jupyter_tokens.providers.base import COMMON_HEADERS, Call, Flow, Provider, Reference, Setting
from jupyter_tokens.providers.params import Param
from jupyter_tokens.token import Secret

__all__ = ["Badge"]


class Badge(Provider):
    """`POST /v1/badges`."""

    id = "badge"
    title = "Badge office"
    documentation = "Badge office: issuing a badge"
    # What stands before the token in the header Authorization; Bearer, if this is left out.
    scheme = "Badge"
    params: ClassVar = {
        "door": Param("Name of the door.", required=True, identifier=True),
        "minutes": Param("How long the badge is to open it.", type="integer", minimum=1),
    }
    # What the API's own codes mean: an exception, and what its user can do.
    meanings: ClassVar = {
        "unknown_key": Meaning(Unauthorized, "Check api_key."),
        "door_closed": Meaning(Forbidden, "Ask the caretaker for this door."),
        "no_such_door": Meaning(NotFound, "Check door."),
    }

    api_key = Reference("Key of the badge office.", secret=True, label="API key", required=True)
    kind = Setting("visitor or staff.", choices=("visitor", "staff"), default="visitor")

    def credential(self, secrets: Mapping[str, Secret]) -> Secret:
        """See `Provider.credential`: the references of the profile are resolved by now."""
        return secrets["api_key"]

    def retrieve(self, call: Call) -> Flow:
        """The badge. Sockets, time limits and retries are not its business: it yields a request and gets an answer."""
        requested_at = call.clock.now()
        response = yield httpx.Request(
            "POST",
            f"{self.base()}/v1/badges",
            headers={**COMMON_HEADERS, "X-Api-Key": call.credential.reveal()},
            json={"kind": self.kind, **call.params},
        )
        body = self.success_body(call, response, httpx.codes.CREATED)
        life = get_number(response, body, "valid_for")
        if life is None or life <= 0:
            raise malformed(response, "tells no life of the badge", body)
        return self.make_token(
            call,
            require_token(response, body, "badge"),
            requested_at,
            expires_at=to_datetime(response, body, requested_at + life),
            metadata={"door": call.params["door"]},
        )

    def code_and_message(self, response: httpx.Response, body: Mapping[str, Any]) -> tuple[object, object]:
        """The API's code and message for a refusal; not needed where they are `code` and `message`."""
        return body.get("code"), body.get("text")
