"""IDaaS EIAM 2021-12-01, ObtainApplicationToken: a stored token; must not know how a caller is authenticated."""

from __future__ import annotations

import secrets
import string
from typing import Any, ClassVar

from .acs3 import Acs3Verifier, RefusedError
from .alibaba import AlibabaApi, not_found
from .api import Issued, World
from .messages import Request

INSTANCE, APPLICATION = "idaas_ue2jvisn35ea5lmthk267xxxxx", "app_mkv7rgt4d7i4u7zqtzev2mxxxx"
TOKEN = "token_sfrwerxxxxxxxxxxxxxx"  # noqa: S105 - an id, and no secret
DISABLED, EXPIRED = "token_disabledxxxxxxxxxxxx", "token_expiredxxxxxxxxxxxxx"
_SAMPLE_ANSWER = (
    "idaas_ki6hd7ihir4ybawogqk6kqxxxx",
    "app_na2r73a65s7o4zbs7nj5gxxxx",
    "token_m7aso6v4efvu2otfq3jdzxxxx",
)
_STORED = (
    (INSTANCE, APPLICATION, TOKEN),
    (INSTANCE, APPLICATION, DISABLED),
    (INSTANCE, APPLICATION, EXPIRED),
    _SAMPLE_ANSWER,
)
_LIFE = 24 * 3600
_AGE = 30 * 24 * 3600
_LETTERS = string.ascii_letters + string.digits


class Eiam(AlibabaApi):
    """The tokens of the documents' samples exist, and beside them a disabled and an expired one."""

    name: ClassVar[str] = "eiam"
    variants: ClassVar[frozenset[str]] = frozenset({"expired", "stalled", "disabled"})
    action: ClassVar[str] = "ObtainApplicationToken"
    version: ClassVar[str] = "2021-12-01"

    def __init__(self, world: World, verifier: Acs3Verifier) -> None:
        super().__init__(world, verifier)
        self._created = world.clock() - _AGE
        self._values = {ids: "SATF" + "".join(secrets.choice(_LETTERS) for _ in range(121)) for ids in _STORED}

    def perform(self, request: Request) -> dict[str, Any]:
        """Hands out the stored token, whatever its state: a disabled or expired one comes with 200 as well."""
        if request.method != "POST":
            raise RefusedError(400, "UnsupportedHTTPMethod", "This http method is not supported.")
        if request.path != "/":
            raise not_found()
        ids = _ids(dict(request.params))
        value = self._values.get(ids)
        if value is None:
            raise _unknown(ids)
        return {"ApplicationToken": self._resource(request, ids, value)}

    def _resource(self, request: Request, ids: tuple[str, str, str], value: str) -> dict[str, Any]:
        # The real one is stored with a fixed end; here each call moves it, so that a short `life` can be refreshed.
        end = self.world.clock() - 60 if ids[2] == EXPIRED else self.world.end_of_life(self.name, request, _LIFE)
        disabled = ids[2] == DISABLED or request.variant == "disabled"
        usable_until = self.world.clock() if disabled else end
        self.world.issue(value, Issued(self.name, usable_until, {"application_token_id": ids[2]}))
        return {
            "InstanceId": ids[0],
            "ApplicationId": ids[1],
            "ApplicationTokenId": ids[2],
            "ApplicationTokenType": "bearer_token",
            "ApplicationToken": value,
            "Status": "disabled" if disabled else "enabled",
            "ExpirationTime": int(end * 1000),
            "LastUsedTime": int(self.world.clock() * 1000),
            "CreateTime": int(self._created * 1000),
        }


def _ids(given: dict[str, str]) -> tuple[str, str, str]:
    for name in ("InstanceId", "ApplicationId", "ApplicationTokenId"):
        if not given.get(name):
            raise RefusedError(400, f"Missing{name}", f"The parameter {name} is mandatory, in the query.")
    return given["InstanceId"], given["ApplicationId"], given["ApplicationTokenId"]


def _unknown(ids: tuple[str, str, str]) -> RefusedError:
    kinds = ("Instance", "Application", "ApplicationToken")
    known = max(depth for depth in range(3) if any(stored[:depth] == ids[:depth] for stored in _STORED))
    return RefusedError(404, f"ResourceNotFound.{kinds[known]}", f"The specified resource: {kinds[known]} not found.")
