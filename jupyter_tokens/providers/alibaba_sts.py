"""Alibaba Cloud STS: fetches a temporary access key for a RAM role (version 2015-04-01).

`AssumeRole` is signed with an access key. `AssumeRoleWithOIDC` takes the token of an OIDC identity provider, and is
not signed. Source: Alibaba Cloud, "Resource Access Management: AssumeRole" and "AssumeRoleWithOIDC"; how to
send the unsigned call: the SDK, alibabacloud-sts20150401 1.2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import httpx

from ..clock import utc
from ..errors import ParameterError
from ..token import Secret
from .alibaba import AlibabaProvider, VpcProvider
from .answers import require_time, require_token, unusable
from .base import COMMON_HEADERS, Call, Documented, Exchange, Flow, Reference, RegionalProvider, SignIn
from .params import Param, check_json_object
from .regions import ALIBABA_STS
from .signing.acs3 import fresh_nonce, timestamp
from .signing.canonical import AccessKey, canonical_query

__all__ = ["AlibabaSts"]

_MAX_POLICY_LENGTH = 2048
_OIDC_ACTION = "AssumeRoleWithOIDC"
_METADATA = ("AssumedRoleUser", "SourceIdentity", "OIDCTokenInfo")


class AlibabaSts(VpcProvider):
    """Calls `POST /`, RPC style, with all parameters in the query."""

    id = "alibaba-sts"
    title = "Alibaba Cloud STS"
    documentation = "Resource Access Management: AssumeRole"
    action = "AssumeRole"
    version = "2015-04-01"
    ram_action = "sts:AssumeRole on the role, which has to trust you"
    hosts = ALIBABA_STS
    token_fields = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
    sdks: ClassVar = {"alibaba": ""}
    params: ClassVar = {
        "RoleArn": Param(
            "The RAM role, such as acs:ram::1234567890123456:role/adminrole.",
            required=True,
            pattern=r"acs:ram::[^:/\s]+:role/\S+",
            shape="acs:ram::ACCOUNT:role/NAME",
        ),
        "RoleSessionName": Param(
            "Name of the session, for the role's logs.",
            required=True,
            pattern=r"[A-Za-z0-9.@_-]{2,64}",
            shape="2 to 64 letters, digits, or . @ - _",
        ),
        "DurationSeconds": Param(
            "Life of the key in seconds (default 3600), at most the role's MaxSessionDuration.",
            type="integer",
            minimum=900,
            maximum=43200,
        ),
        "Policy": Param("A RAM policy in JSON, which narrows what the role may do."),
        "ExternalId": Param(
            "The external id that the role's trust policy requires; not allowed with an OIDC token.",
            pattern=r"[A-Za-z0-9_+=,.@:/-]{2,1224}",
            shape="2 to 1224 letters, digits, or _ + = , . @ : / -",
        ),
        # A space is allowed, because the SDK sent one in a recorded call.
        "SourceIdentity": Param(
            "The identity behind the session, for audits; not allowed with an OIDC token.",
            pattern=r"[A-Za-z0-9_+=,.@ -]{2,64}",
            shape="2 to 64 letters, digits, spaces, or _ + = , . @ -",
        ),
        "OIDCProviderArn": Param(
            "The OIDC identity provider, such as acs:ram::1234567890123456:oidc-provider/idp; needed with oidc_token.",
            pattern=r"acs:ram::[^:/\s]+:oidc-provider/\S+",
            shape="acs:ram::ACCOUNT:oidc-provider/NAME",
        ),
    }

    sign_in: ClassVar = (*AlibabaProvider.sign_in, SignIn("oidc", "OpenID Connect", ("oidc_token",)))

    endpoint = replace(RegionalProvider.endpoint, example="https://sts.cn-hangzhou.aliyuncs.com")
    oidc_token = Reference(
        "Token of an OIDC identity provider that the role trusts, such as profile:NAME (OIDCToken in the API).",
        secret=True,
        label="OIDC token",
    )

    def credential(self, secrets: Mapping[str, Secret]) -> AccessKey | Secret:
        key: AccessKey | Secret = secrets["oidc_token"] if self.oidc_token else super().credential(secrets)
        return key

    @property
    def documented(self) -> Documented | None:
        """The signed call. None with an OIDC token, because the unsigned call needs no proxy."""
        if self.oidc_token:
            return None
        query = tuple(name for name in self.params if name != "OIDCProviderArn")
        return Documented("POST", "/", query=query, headers=self.action_headers())

    def exchange(self, call: Call) -> Exchange:
        """Make the call and return the API's own response.

        Raises `ParameterError` if the call does not take a parameter, if OIDCProviderArn is missing in a call with an
        OIDC token, or if Policy is invalid.
        """
        check_json_object("Policy", call.params.get("Policy"), _MAX_POLICY_LENGTH)
        if isinstance(call.credential, Secret):
            _allow(call, without=("ExternalId", "SourceIdentity"), because="A call with an OIDC token does not take")
            if "OIDCProviderArn" not in call.params:
                raise ParameterError(
                    "Parameter OIDCProviderArn is missing.", hint="Give the ARN of the OIDC token's identity provider."
                )
            return (yield self._anonymous(call, call.credential))
        _allow(call, without=("OIDCProviderArn",), because="A call without an OIDC token does not take")
        return (yield self.request(call, call.params))

    def _anonymous(self, call: Call, token: Secret) -> httpx.Request:
        """Return the unsigned request. The OIDC token authorises it; the API takes the token only in the URL."""
        query = {
            "Action": _OIDC_ACTION,
            "Version": self.version,
            "Format": "json",
            "Timestamp": timestamp(utc(call.clock.now())),
            "SignatureNonce": fresh_nonce(),
            **{name: str(value) for name, value in call.params.items()},
            "OIDCToken": token.reveal(),
        }
        headers = {**COMMON_HEADERS, "Accept": "application/json", **self.action_headers(_OIDC_ACTION)}
        return httpx.Request("POST", f"{self.base()}/?{canonical_query(query.items())}", headers=headers)

    def retrieve(self, call: Call) -> Flow:
        requested_at = call.clock.now()
        response, body, credentials = yield from self.fetch_object(call, "Credentials")
        values = {name: require_token(response, credentials, name) for name in self.token_fields}
        ends = require_time(response, credentials, "Expiration")
        if ends.timestamp() <= call.clock.now():
            raise unusable(response, "The API returned a key that has expired already.", body)
        metadata = {name: body[name] for name in _METADATA if name in body}
        return self.make_token(
            call, values, requested_at, expires_at=ends, metadata={**metadata, "RequestId": credentials["RequestId"]}
        )


def _allow(call: Call, *, without: tuple[str, ...], because: str) -> None:
    for name in without:
        if name in call.params:
            raise ParameterError(f"{because} parameter {name}.")
