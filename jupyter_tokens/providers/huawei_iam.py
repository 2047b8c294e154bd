"""Huawei Cloud IAM (and T Cloud's): the IAM token itself, which the clouds' APIs take as `X-Auth-Token`.

Source: Huawei Cloud IAM, "Obtaining a User Token Through Password Authentication" and "Obtaining a Token with an OpenID
Connect ID Token"; by token: OpenStack Keystone v3. The factor `totp` is left out: a code of it is good for one login.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import httpx

from ..errors import ParameterError, UnusableToken
from ..token import Secret
from .answers import json_object, moment_of, object_of, request_id_of
from .base import COMMON_HEADERS, Call, Flow, Provider, Reference, Setting, endpoint_or_region, need, one_of
from .credentials.huawei import IamLogin, password_identity, token_request
from .huawei import IAM_MEANINGS, iam_token, refuse
from .params import Param
from .regions import IAM

__all__ = ["HuaweiIam"]

_HOSTS = replace(IAM, setting="endpoint")
# The catalog of all services can make a token longer than some servers take in a header.
_NO_CATALOG = "?nocatalog=true"
_SCOPES = {
    "project_id": ("project", "id"),
    "project_name": ("project", "name"),
    "domain_id": ("domain", "id"),
    "domain_name": ("domain", "name"),
}
_METADATA = ("issued_at", "methods", "user", "project", "domain")


@dataclass(frozen=True, slots=True)
class _IdToken:
    """An OpenID Connect id_token, and the identity provider in IAM that it is of."""

    idp_id: str
    value: Secret


class HuaweiIam(Provider):
    """`POST /v3/auth/tokens`, or `POST /v3.0/OS-AUTH/id-token/tokens` with an id_token.

    Not reached through the proxy: the call is a login, whose body is the credential, and the token is in a header.
    """

    id = "huawei-iam"
    title = "Huawei Cloud IAM"
    documentation = "IAM: Obtaining a User Token Through Password Authentication"
    header = "X-Auth-Token"
    scheme = ""
    params: ClassVar = {
        "project_id": Param("Scope: id of the project, for a regional service."),
        "project_name": Param("Scope: name of the project, such as cn-north-4, in place of its id."),
        "domain_id": Param("Scope: id of the account, for a global service such as OBS."),
        "domain_name": Param("Scope: name of the account, in place of its id."),
    }

    region = Setting("Region id, such as cn-north-4 or eu-de: stands for IAM's public endpoint there.")
    username = Reference("IAM user.", secret=False)
    password = Reference("The IAM user's password.", secret=True)
    domain_name = Reference("Account that the IAM user belongs to.", secret=False)
    auth_token = Reference("An IAM token that is already there, to get one of another scope.", secret=True)
    id_token = Reference("id_token of an OpenID Connect identity provider.", secret=True)
    idp_id = Reference("Id of that identity provider in IAM.", secret=False)

    def check(self) -> None:
        """See `Provider.check`: one endpoint, one way to log in."""
        endpoint_or_region(self, self.region)
        if not self.endpoint:
            _HOSTS.host(self.region)
        way = one_of(self, "username", "auth_token", "id_token")
        if way == "username":
            need(self, "password", "domain_name")
        if way == "id_token":
            need(self, "idp_id")

    def base(self) -> str:
        """See `Provider.base`."""
        return super().base() or f"https://{_HOSTS.host(self.region)}"

    def credential(self, secrets: Mapping[str, Secret]) -> IamLogin | _IdToken | Secret:
        """See `Provider.credential`."""
        if "auth_token" in secrets:
            return secrets["auth_token"]
        if "id_token" in secrets:
            return _IdToken(secrets["idp_id"].reveal(), secrets["id_token"])
        user, account = secrets["username"].reveal(), secrets["domain_name"].reveal()
        return IamLogin(self.base(), user, secrets["password"], account)

    def retrieve(self, call: Call) -> Flow:
        """Log in. A login that was refused is not made again: IAM locks an account after a few of these."""
        asked = call.clock.now()
        response = yield self._request(call.credential, _scope(call.params))
        if response.status_code != httpx.codes.CREATED:
            raise refuse(call, response, IAM_MEANINGS)
        token = iam_token(response)
        body = json_object(response)
        told = object_of(response, body, "token")
        request_id = request_id_of(response, body)
        if token.expires <= call.clock.now():
            raise UnusableToken(
                "IAM returned a token that has expired already.",
                hint="Check this machine's clock.",
                status=response.status_code,
                request_id=request_id,
            )
        return self.issued(
            call,
            token.value.reveal(),
            asked,
            expires_at=moment_of(response, body, token.expires),
            metadata={**{name: told[name] for name in _METADATA if name in told}, "request_id": request_id},
        )

    def _request(self, credential: IamLogin | _IdToken | Secret, scope: Mapping[str, Any]) -> httpx.Request:
        if isinstance(credential, _IdToken):
            auth = {"id_token": {"id": credential.value.reveal()}, **scope}
            headers = {**COMMON_HEADERS, "X-Idp-Id": credential.idp_id}
            return token_request(self.base(), "/v3.0/OS-AUTH/id-token/tokens", auth, headers)
        headers = dict(COMMON_HEADERS)
        if isinstance(credential, IamLogin):
            identity = password_identity(credential)
        else:
            value = credential.reveal()
            identity = {"methods": ["token"], "token": {"id": value}}
            # Keystone's own clients send it there as well.
            headers["X-Auth-Token"] = value
        return token_request(self.base(), f"/v3/auth/tokens{_NO_CATALOG}", {"identity": identity, **scope}, headers)


def _scope(params: Mapping[str, Any]) -> dict[str, Any]:
    """What the token is for; empty for the user's own account. Raises `ParameterError` unless it is one scope."""
    given = [name for name in _SCOPES if name in params]
    if len(given) > 1:
        raise ParameterError(f"Parameters {given[0]} and {given[1]} exclude each other: a token has one scope.")
    if not given:
        return {}
    (name,) = given
    if not params[name].strip():
        raise ParameterError(f"Parameter {name} must not be empty.")
    kind, key = _SCOPES[name]
    return {"scope": {kind: {key: params[name]}}}
