"""IAM of Huawei Cloud and T Cloud: fetches an IAM token, which the clouds' APIs take in the header `X-Auth-Token`.

Source: Huawei Cloud IAM, "Obtaining a User Token Through Password Authentication" and "Obtaining a Token with an OpenID
Connect ID Token"; login with an IAM token: OpenStack Keystone v3. The login method `totp` is left out, because its code
is valid for one login only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import httpx

from ..clock import utc
from ..errors import ParameterError
from ..token import Secret
from .answers import get_request_id, require_object, unusable
from .base import COMMON_HEADERS, Call, Flow, Reference, Region, RegionalProvider, SignIn
from .credentials.huawei import IamLogin, password_identity, token_request
from .huawei import HuaweiProvider, iam_token
from .params import Param
from .regions import IAM

__all__ = ["HuaweiIam"]

# With the catalog of all services, a token can be longer than some servers accept in a header.
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
    """An OpenID Connect id_token, and the id in IAM of the identity provider that issued it."""

    idp_id: str
    value: Secret


class HuaweiIam(HuaweiProvider):
    """Calls `POST /v3/auth/tokens`, or `POST /v3.0/OS-AUTH/id-token/tokens` with an id_token.

    The calls are not available through the proxy, because the credential is in their body.
    """

    id = "huawei-iam"
    title = "Huawei Cloud IAM"
    documentation = "IAM: Obtaining a User Token Through Password Authentication"
    hosts = IAM
    header = "X-Auth-Token"
    scheme = ""
    params: ClassVar = {
        "project_id": Param("Scope: id of the project, for a regional service."),
        "project_name": Param("Scope: name of the project, such as cn-north-4, instead of its id."),
        "domain_id": Param("Scope: id of the account, for a global service such as OBS."),
        "domain_name": Param("Scope: name of the account, instead of its id."),
    }

    sign_in: ClassVar = (
        SignIn("iam-user", "IAM user", ("username", "password", "domain_name")),
        SignIn("auth-token", "IAM token", ("auth_token",)),
        SignIn("id-token", "OpenID Connect", ("id_token", "idp_id")),
    )

    endpoint = replace(
        RegionalProvider.endpoint, help="Base URL of IAM.", example="https://iam.cn-north-4.myhuaweicloud.com"
    )
    region = Region(
        "Region id, such as cn-north-4 or eu-de; selects IAM's public endpoint there.", example="cn-north-4"
    )
    username = Reference("IAM user.", secret=False, label="IAM user name")
    password = Reference("The IAM user's password.", secret=True)
    domain_name = Reference("Account that the IAM user belongs to.", secret=False, label="Account name")
    auth_token = Reference("An existing IAM token, to get a token with another scope.", secret=True, label="IAM token")
    id_token = Reference("id_token of an OpenID Connect identity provider.", secret=True, label="ID token")
    idp_id = Reference("Id of the identity provider in IAM.", secret=False, label="Identity provider ID")

    def credential(self, secrets: Mapping[str, Secret]) -> IamLogin | _IdToken | Secret:
        if "auth_token" in secrets:
            return secrets["auth_token"]
        if "id_token" in secrets:
            return _IdToken(secrets["idp_id"].reveal(), secrets["id_token"])
        user, account = secrets["username"].reveal(), secrets["domain_name"].reveal()
        return IamLogin(self.base(), user, secrets["password"], account)

    def retrieve(self, call: Call) -> Flow:
        """Log in to get the IAM token. A refused login is not repeated: IAM locks an account after a few refusals."""
        requested_at = call.clock.now()
        response = yield self._request(call.credential, _scope(call.params))
        body = self.success_body(call, response, httpx.codes.CREATED)
        token = iam_token(response)
        token_info = require_object(response, body, "token")
        request_id = get_request_id(response, body)
        if token.expires <= call.clock.now():
            raise unusable(response, "IAM returned a token that has expired already.", body)
        return self.make_token(
            call,
            token.value.reveal(),
            requested_at,
            expires_at=utc(token.expires),
            metadata={**{name: token_info[name] for name in _METADATA if name in token_info}, "request_id": request_id},
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
            # Keystone's own clients send the token in the header too.
            headers["X-Auth-Token"] = value
        return token_request(self.base(), f"/v3/auth/tokens{_NO_CATALOG}", {"identity": identity, **scope}, headers)


def _scope(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `scope` of the request; {} if the parameters give no scope, which means the user's own account.

    Raises `ParameterError` if the scope is empty, or if the parameters give more than one scope.
    """
    scopes = [name for name in _SCOPES if name in params]
    if len(scopes) > 1:
        raise ParameterError(f"Parameters {scopes[0]} and {scopes[1]} cannot both be given: a token has one scope.")
    if not scopes:
        return {}
    (name,) = scopes
    if not params[name].strip():
        raise ParameterError(f"Parameter {name} must not be empty.")
    kind, key = _SCOPES[name]
    return {"scope": {kind: {key: params[name]}}}
