"""Alibaba Cloud IDaaS EIAM: fetches a stored application token, or an access token for a resource server.

Source: Alibaba Cloud, "IDaaS EIAM: ObtainApplicationToken" and "GenerateOauthToken" (version 2021-12-01); form of an
array and unit of ExpiresAt: the official SDK, alibabacloud-eiam20211201 3.0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ..errors import ParameterError
from ..token import Secret
from .alibaba import AlibabaProvider
from .answers import check_bearer, get_number, malformed, require_token, to_datetime, unusable
from .base import Call, Driven, Exchange, Flow, Listed, Reference, RegionalProvider
from .params import Param
from .regions import EIAM
from .signing.canonical import AccessKey

__all__ = ["Eiam", "EiamOauth"]

_TYPE = "bearer_token"
_METADATA = (
    "InstanceId",
    "ApplicationId",
    "ApplicationTokenId",
    "ApplicationTokenType",
    "Status",
    "ExpirationTime",
    "LastUsedTime",
    "CreateTime",
)
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 (the name of a type)


class _Eiam(AlibabaProvider):
    """Calls `POST /`, RPC style, with all parameters in the query."""

    version = "2021-12-01"
    hosts = EIAM
    params: ClassVar = {
        "InstanceId": Param("Id of the IDaaS instance.", required=True, identifier=True),
        "ApplicationId": Param("Id of the application.", required=True, identifier=True),
    }

    endpoint = replace(RegionalProvider.endpoint, example="https://eiam.cn-hangzhou.aliyuncs.com")


class Eiam(_Eiam):
    """Fetches a stored application token, by `ObtainApplicationToken`."""

    id = "eiam"
    title = "Alibaba Cloud IDaaS EIAM"
    documentation = "IDaaS EIAM: ObtainApplicationToken"
    action = "ObtainApplicationToken"
    ram_action = "eiam:ObtainApplicationToken"
    params: ClassVar = {
        **_Eiam.params,
        "ApplicationTokenId": Param("Id of the application token.", required=True, identifier=True),
    }

    lists: ClassVar = {"ApplicationTokenId": ("InstanceId", "ApplicationId")}

    def retrieve(self, call: Call) -> Flow:
        """Fetch the application token. Raises `UnusableToken` if the token is disabled or has expired."""
        requested_at = call.clock.now()
        response, body, token = yield from self.fetch_object(call, "ApplicationToken")
        if token.get("ApplicationTokenType", _TYPE) != _TYPE:
            raise malformed(response, f"has an application token whose type is not {_TYPE}", token)
        ends = get_number(response, token, "ExpirationTime")
        # How the API reports a token without expiry is not documented: 0 and a missing field both count as no expiry.
        expires_at = to_datetime(response, token, ends / 1000) if ends else None
        status = token.get("Status")
        if status not in ("enabled", "disabled"):
            raise malformed(response, "does not say whether the token is enabled", token)
        if status == "disabled" or (expires_at is not None and expires_at.timestamp() <= call.clock.now()):
            raise unusable(
                response,
                f"The application token {'is disabled' if status == 'disabled' else 'has expired'}.",
                body,
                hint="Enable or renew it in the IDaaS console, or give another ApplicationTokenId.",
            )
        return self.make_token(
            call,
            require_token(response, token, "ApplicationToken"),
            requested_at,
            expires_at=expires_at,
            metadata={**{name: token[name] for name in _METADATA if name in token}, "RequestId": token["RequestId"]},
        )

    def list_values(self, call: Call, name: str) -> Driven[list[Listed]]:
        params = {needed: call.params[needed] for needed in self.lists[name]}
        fields = ("ApplicationTokens", "ApplicationTokenId", "Description", "Status")
        return self.fetch_list(call, params, "ListApplicationTokens", *fields)


@dataclass(frozen=True, slots=True)
class _Credential:
    """The access key that signs the call, and the token to exchange, if the profile gives one."""

    key: AccessKey
    subject: Secret | None


class EiamOauth(_Eiam):
    """Fetches an access token for a resource server, by `GenerateOauthToken`."""

    id = "eiam-oauth"
    title = "Alibaba Cloud IDaaS EIAM (OAuth)"
    documentation = "IDaaS EIAM: GenerateOauthToken"
    action = "GenerateOauthToken"
    ram_action = "eiam:GenerateOauthToken"
    dropped = ("SubjectToken",)
    params: ClassVar = {
        **_Eiam.params,
        "Audience": Param("Audience identifier of the resource server, such as https://example.com.", required=True),
        "ScopeValues": Param(
            "Scopes of the token, such as User:Read:ALL; give several as a list, or separated by spaces.",
            type="array",
            required=True,
        ),
        "GrantType": Param(
            "How the token is granted; a token exchange needs subject_token in the profile.",
            choices=("client_credentials", _EXCHANGE),
        ),
        "SubjectTokenType": Param("Type of the subject token, for a token exchange.", choices=(_ACCESS_TOKEN,)),
        "RequestedTokenType": Param("Type of the new token.", choices=(_ACCESS_TOKEN,)),
    }

    subject_token = Reference("Token to exchange for another (SubjectToken in the API).", secret=True)

    def credential(self, secrets: Mapping[str, Secret]) -> _Credential:
        return _Credential(super().credential(secrets), secrets.get("subject_token"))

    def exchange(self, call: Call) -> Exchange:
        """Make the call and return the API's own response.

        Raises `ParameterError` if a token exchange lacks the subject token or SubjectTokenType, or if another grant has
        SubjectTokenType.
        """
        credential: _Credential = call.credential
        exchanges = call.params.get("GrantType") == _EXCHANGE
        if exchanges and credential.subject is None:
            raise ParameterError("A token exchange needs a subject token.", hint="Give subject_token in the profile.")
        if exchanges != ("SubjectTokenType" in call.params):
            problem = "is missing: a token exchange needs it" if exchanges else "is only used in a token exchange"
            hint = "Give it, or another GrantType." if exchanges else f"Leave it out, or give GrantType={_EXCHANGE}."
            raise ParameterError(f"Parameter SubjectTokenType {problem}.", hint=hint)
        params = dict(call.params)
        if exchanges and credential.subject is not None:
            # The API takes the subject token only in the URL.
            params["SubjectToken"] = credential.subject.reveal()
        return (yield self.request(replace(call, credential=credential.key), params, secret=exchanges))

    def retrieve(self, call: Call) -> Flow:
        """Fetch the access token. It expires at `ExpiresAt` or after `ExpiresIn`, whichever is earlier."""
        requested_at = call.clock.now()
        response, body, token = yield from self.fetch_object(call, "TokenResponse")
        check_bearer(response, {"token_type": token.get("TokenType"), "RequestId": token["RequestId"]})
        value = require_token(response, token, "AccessToken")
        # Both fields are in seconds, unlike EIAM's other times, which are in milliseconds.
        at, life = get_number(response, token, "ExpiresAt"), get_number(response, token, "ExpiresIn")
        ends = [seconds for seconds in (at, None if life is None else requested_at + life) if seconds is not None]
        if ends and min(ends) <= call.clock.now():
            raise unusable(response, "The API returned a token that has expired already.", body)
        return self.make_token(
            call,
            value,
            requested_at,
            expires_at=to_datetime(response, token, min(ends)) if ends else None,
            metadata={
                **{name: token[name] for name in ("TokenType", "IssuedTokenType") if name in token},
                "RequestId": token["RequestId"],
            },
        )
