"""Alibaba Cloud IDaaS EIAM: fetches a stored application token (ObtainApplicationToken, version 2021-12-01).

Source: Alibaba Cloud, "IDaaS EIAM: ObtainApplicationToken".
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from .alibaba import AlibabaProvider
from .answers import malformed, moment_of, number_of, token_of, unusable
from .base import Call, Driven, Flow, Listed, RegionalProvider
from .params import Param
from .regions import EIAM

__all__ = ["Eiam"]

_TYPE = "bearer_token"
_TOLD = (
    "InstanceId",
    "ApplicationId",
    "ApplicationTokenId",
    "ApplicationTokenType",
    "Status",
    "ExpirationTime",
    "LastUsedTime",
    "CreateTime",
)


class Eiam(AlibabaProvider):
    """Calls `POST /`, RPC style, with all parameters in the query."""

    id = "eiam"
    title = "Alibaba Cloud IDaaS EIAM"
    documentation = "IDaaS EIAM: ObtainApplicationToken"
    action = "ObtainApplicationToken"
    version = "2021-12-01"
    ram_action = "eiam:ObtainApplicationToken"
    hosts = EIAM
    params: ClassVar = {
        "InstanceId": Param("Id of the IDaaS instance.", required=True, identifier=True),
        "ApplicationId": Param("Id of the application.", required=True, identifier=True),
        "ApplicationTokenId": Param("Id of the application token.", required=True, identifier=True),
    }

    lists: ClassVar = {"ApplicationTokenId": ("InstanceId", "ApplicationId")}

    endpoint = replace(RegionalProvider.endpoint, example="https://eiam.cn-hangzhou.aliyuncs.com")

    def retrieve(self, call: Call) -> Flow:
        """Fetch the application token. Raises `UnusableToken` if the token is disabled or has expired."""
        asked = call.clock.now()
        response, body, told = yield from self.answered(call, "ApplicationToken")
        if told.get("ApplicationTokenType", _TYPE) != _TYPE:
            raise malformed(response, f"has an application token whose type is not {_TYPE}", told)
        ends = number_of(response, told, "ExpirationTime")
        # How the API reports a token without expiry is not documented: 0 and a missing field both count as no expiry.
        expires_at = moment_of(response, told, ends / 1000) if ends else None
        status = told.get("Status")
        if status not in ("enabled", "disabled"):
            raise malformed(response, "does not say whether the token is enabled", told)
        if status == "disabled" or (expires_at is not None and expires_at.timestamp() <= call.clock.now()):
            raise unusable(
                response,
                f"The application token {'is disabled' if status == 'disabled' else 'has expired'}.",
                body,
                hint="Enable or renew it in the IDaaS console, or give another ApplicationTokenId.",
            )
        return self.issued(
            call,
            token_of(response, told, "ApplicationToken"),
            asked,
            expires_at=expires_at,
            metadata={**{name: told[name] for name in _TOLD if name in told}, "RequestId": told["RequestId"]},
        )

    def list_values(self, call: Call, name: str) -> Driven[list[Listed]]:
        params = {needed: call.params[needed] for needed in self.lists[name]}
        fields = ("ApplicationTokens", "ApplicationTokenId", "Description", "Status")
        return self.listed(call, params, "ListApplicationTokens", *fields)
