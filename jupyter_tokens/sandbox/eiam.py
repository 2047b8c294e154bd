"""IDaaS EIAM 2021-12-01: returns stored application tokens, and issues OAuth tokens."""

from __future__ import annotations

import secrets
import string
from typing import Any, ClassVar

from .acs3 import Acs3Verifier
from .alibaba import AlibabaApi, check_rpc, invalid, known_parameters, mandatory
from .api import Issued, RefusedError, World
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
_OAUTH_LIFE = 1200
_AGE = 30 * 24 * 3600
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type, and no secret
_OAUTH_PARAMETERS = (
    *("InstanceId", "ApplicationId", "Audience", "GrantType"),
    *("SubjectToken", "SubjectTokenType", "RequestedTokenType"),
)
_SCOPE = "ScopeValues."
_LETTERS = string.ascii_letters + string.digits


class Eiam(AlibabaApi):
    """Stores the tokens of the documentation's samples, a disabled token and an expired token."""

    name: ClassVar[str] = "eiam"
    variants: ClassVar[frozenset[str]] = frozenset({"expired", "stalled", "disabled"})
    action: ClassVar[str] = "ObtainApplicationToken"
    list_action: ClassVar[str] = "ListApplicationTokens"
    version: ClassVar[str] = "2021-12-01"

    def __init__(self, world: World, verifier: Acs3Verifier) -> None:
        super().__init__(world, verifier)
        self._created = world.clock() - _AGE
        self._values = {ids: "SATF" + "".join(secrets.choice(_LETTERS) for _ in range(121)) for ids in _STORED}

    def perform(self, request: Request) -> dict[str, Any]:
        """Return a stored token, or the list of tokens. A disabled or expired token is returned with status 200 too."""
        check_rpc(request)
        if self.lists(request):
            return self._list(request)
        ids = _ids(dict(request.params))
        value = self._values.get(ids)
        if value is None:
            raise _unknown(ids)
        return {"ApplicationToken": self._resource(request, ids, value)}

    def _list(self, request: Request) -> dict[str, Any]:
        """List the tokens of an application by id and status, without their values."""
        given = known_parameters(request.params, ("InstanceId", "ApplicationId", "ApplicationTokenType"))
        wanted = mandatory(given, "InstanceId"), mandatory(given, "ApplicationId")
        found = [ids for ids in _STORED if ids[:2] == wanted]
        if not found:
            raise _unknown((*wanted, ""))
        tokens = [
            {"ApplicationTokenId": ids[2], "Status": "disabled" if ids[2] == DISABLED else "enabled"} for ids in found
        ]
        return {"ApplicationTokens": tokens}

    def _resource(self, request: Request, ids: tuple[str, str, str], value: str) -> dict[str, Any]:
        # In the real API a token has a fixed expiry. Here each call extends the expiry, so that a token with a short
        # `life` can be refreshed.
        end = self.world.clock() - 60 if ids[2] == EXPIRED else self.world.token_expiry(self.name, request, _LIFE)
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


class EiamOauth(AlibabaApi):
    """Issues tokens to the applications that have stored tokens, for any audience and scope.

    A token exchange accepts any subject token.
    """

    name: ClassVar[str] = "eiam-oauth"
    action: ClassVar[str] = "GenerateOauthToken"
    version: ClassVar[str] = Eiam.version

    def perform(self, request: Request) -> dict[str, Any]:
        """Return a new access token."""
        check_rpc(request)
        scopes = [pair for pair in request.params if pair[0].startswith(_SCOPE)]
        given = known_parameters([pair for pair in request.params if pair not in scopes], _OAUTH_PARAMETERS)
        ids = mandatory(given, "InstanceId"), mandatory(given, "ApplicationId")
        audience = mandatory(given, "Audience")
        _check_scopes(scopes)
        _check_grant(given)
        if all(stored[:2] != ids for stored in _STORED):
            raise _unknown(ids)
        now, end = self.world.clock(), self.world.token_expiry(self.name, request, _OAUTH_LIFE)
        value = "AT" + "".join(secrets.choice(_LETTERS) for _ in range(126))
        self.world.issue(value, Issued(self.name, end, {"application_id": ids[1], "audience": audience}))
        response = {"AccessToken": value, "TokenType": "Bearer", "IssuedTokenType": _ACCESS_TOKEN}
        return {"TokenResponse": {**response, "ExpiresIn": max(0, int(end - now)), "ExpiresAt": int(end)}}


def _check_scopes(scopes: list[tuple[str, str]]) -> None:
    """Check the array ScopeValues. Its elements are numbered from 1, in any order, and not empty."""
    if not scopes:
        raise RefusedError(400, "MissingScopeValues", "The parameter ScopeValues is mandatory.")
    wanted = {f"{_SCOPE}{number}" for number in range(1, len(scopes) + 1)}
    if {name for name, _ in scopes} != wanted or not all(value for _, value in scopes):
        raise invalid("ScopeValues", "ScopeValues must be ScopeValues.1, ScopeValues.2 and so on, none of them empty.")


def _check_grant(given: dict[str, str]) -> None:
    grant = given.get("GrantType", "client_credentials")
    if grant not in ("client_credentials", _EXCHANGE):
        raise invalid("GrantType", "GrantType must be client_credentials or token exchange.")
    if grant == _EXCHANGE:
        mandatory(given, "SubjectToken")
        mandatory(given, "SubjectTokenType")
    for name in ("SubjectTokenType", "RequestedTokenType"):
        if given.get(name, _ACCESS_TOKEN) != _ACCESS_TOKEN:
            raise invalid(name, f"{name} must be {_ACCESS_TOKEN}.")


def _ids(given: dict[str, str]) -> tuple[str, str, str]:
    return mandatory(given, "InstanceId"), mandatory(given, "ApplicationId"), mandatory(given, "ApplicationTokenId")


def _unknown(ids: tuple[str, ...]) -> RefusedError:
    kinds = ("Instance", "Application", "ApplicationToken")
    known = max(depth for depth in range(len(ids)) if any(stored[:depth] == ids[:depth] for stored in _STORED))
    return RefusedError(404, f"ResourceNotFound.{kinds[known]}", f"The specified resource: {kinds[known]} not found.")
