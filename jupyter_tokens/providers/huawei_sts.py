"""Huawei Cloud and T Cloud: fetches a temporary access key.

The call depends on how the profile signs in. With an access key it is AssumeAgency of STS. With an id_token it is
AssumeAgencyWithOIDC of STS. With an IAM token it is `securitytokens` of IAM, for the token's own user or for an agency.
Source: Huawei Cloud, "IAM 5: AssumeAgency"; IAM, "Obtaining a Temporary Access Key and Security Token Through a Token"
and "Through an Agency"; paths and bodies: huaweicloudsdksts and huaweicloudsdkiam 3.1.219.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from ..errors import Forbidden, NotFound, ParameterError, Unauthorized
from ..token import Secret
from .answers import Meaning, get_request_id, require_object, require_time, require_token, unusable
from .base import COMMON_HEADERS, Call, Endpoint, Flow, Reference, Region, Setting, SignIn
from .credentials.huawei import access_key, chain
from .huawei import IAM_MEANINGS, HuaweiProvider
from .params import Param, check_json_object
from .regions import HUAWEI_STS, IAM
from .signing.canonical import AccessKey

__all__ = ["HuaweiSts"]

_MEANINGS = {
    **IAM_MEANINGS,
    "STS5.1106": Meaning(NotFound, "Check agency_urn."),
    "PAP5.0001": Meaning(Forbidden, "Ask for the action sts:agencies:assume on the agency, which has to trust you."),
    "IAM.1108": Meaning(Unauthorized, "The temporary key has expired: get a new one."),
}
_ASSUME, _WITH_OIDC = "/v5/agencies/assume", "/v5/agencies/assume-with-oidc"
_SECURITY_TOKENS = "/v3.0/OS-CREDENTIAL/securitytokens"
_MAX_LIFE, _MAX_CHAINED_LIFE, _MAX_IDS, _MAX_POLICY_LENGTH = 43200, 3600, 20, 4096
_COMMON = ("agency_urn", "agency_session_name", "duration_seconds", "policy", "policy_ids")
_TAKES = {
    _ASSUME: (
        *_COMMON,
        *("external_id", "source_identity", "serial_number", "token_code", "tags", "transitive_tag_keys"),
    ),
    _WITH_OIDC: (*_COMMON, "provider_urn"),
    _SECURITY_TOKENS: ("duration_seconds", "policy", "agency_name", "domain_id", "domain_name", "session_user"),
}
_NEEDS = {
    _ASSUME: ("agency_urn", "agency_session_name"),
    _WITH_OIDC: ("provider_urn", "agency_urn", "agency_session_name"),
    _SECURITY_TOKENS: (),
}
_METADATA = ("assumed_agency", "source_identity")
# IAM's names for the values of a key, in the order of `token_fields`.
_IAM_FIELDS = ("access", "secret", "securitytoken")


class HuaweiSts(HuaweiProvider):
    """Calls `POST /v5/agencies/assume`, `…/assume-with-oidc`, or `POST /v3.0/OS-CREDENTIAL/securitytokens`.

    The values of the key always have the names that STS uses. The calls are not available through the proxy, because
    their parameters are in a JSON body.
    """

    id = "huawei-sts"
    title = "Huawei Cloud STS"
    documentation = "IAM 5: AssumeAgency"
    meanings: ClassVar = _MEANINGS
    token_fields = ("access_key_id", "secret_access_key", "security_token")
    sdks: ClassVar = {"huawei": ""}
    params: ClassVar = {
        "agency_urn": Param(
            "The agency, such as iam::0123456789abcdef:agency:admin; needed with an access key or an id_token.",
            pattern=r"(?=.{1,1500}$)iam::[^:\s]+:agency:\S+",
            shape="iam::ACCOUNT:agency:NAME",
        ),
        "agency_session_name": Param(
            "Name of the session, for the agency's logs; needed with agency_urn.",
            pattern=r"[A-Za-z0-9_+=,.@-]{2,128}",
            shape="2 to 128 letters, digits, or _ + = , . @ -",
        ),
        "provider_urn": Param(
            "The identity provider, such as iam::0123456789abcdef:oidc-provider:idp; needed with an id_token.",
            pattern=r"iam::[^:\s]+:oidc-provider:\S+",
            shape="iam::ACCOUNT:oidc-provider:NAME",
        ),
        "agency_name": Param(
            "With an IAM token: agency of another account to assume. Without it, the key is for the token's own user.",
            pattern=r"\S{1,64}",
            shape="1 to 64 characters without blanks",
        ),
        "domain_id": Param("Id of the account that agency_name belongs to.", identifier=True),
        "domain_name": Param("Name of the account that agency_name belongs to, instead of its id.", identifier=True),
        "session_user": Param(
            "Name of the session with agency_name, for the agency's logs.",
            pattern=r"\S{5,64}",
            shape="5 to 64 characters without blanks",
        ),
        "duration_seconds": Param(
            "Life of the key in seconds: by default 3600, at most 43200 and no more than the agency allows. With an "
            "IAM token: by default 900, at most 86400.",
            type="integer",
            minimum=900,
            maximum=86400,
        ),
        "policy": Param("A policy in JSON, which narrows what the key may do; with an IAM token, it affects only OBS."),
        "policy_ids": Param("Ids of up to 20 policies, which narrow what the key may do.", type="array"),
        "external_id": Param(
            "The external id that the agency's trust policy requires; only with an access key.",
            pattern=r"\S{2,1224}",
            shape="2 to 1224 characters without blanks",
        ),
        "source_identity": Param(
            "The identity behind the session, for audits; only with an access key.",
            pattern=r"[A-Za-z0-9_+=,.@-]{2,64}",
            shape="2 to 64 letters, digits, or _ + = , . @ -",
        ),
        "serial_number": Param("Serial number of the MFA device, together with token_code; only with an access key."),
        "token_code": Param("The MFA device's current code, for one call only.", pattern=r"[0-9]{6}", shape="6 digits"),
        "tags": Param("Tags of the session, up to 20, each KEY=VALUE; only with an access key.", type="array"),
        "transitive_tag_keys": Param("Keys of the tags that further sessions inherit, up to 20.", type="array"),
    }

    sign_in: ClassVar = (
        SignIn("access-key", "Access key", ("access_key", "secret_key"), ("security_token",)),
        SignIn("id-token", "OpenID Connect", ("id_token",)),
        SignIn("auth-token", "IAM token", ("auth_token",)),
        SignIn("chain", "Huawei Cloud's credential chain", chosen_by=("credentials", "chain")),
    )

    endpoint = Endpoint(
        "Base URL of STS; with an IAM token, the base URL of IAM.",
        example="https://sts.cn-north-4.myhuaweicloud.com",
        required=True,
        unless="region",
    )
    region = Region(
        "Region id, such as cn-north-4, or with an IAM token eu-de; selects the public endpoint there.",
        example="cn-north-4",
    )
    access_key = Reference("Access key (AK).", secret=False, label="Access key ID")
    secret_key = Reference("Secret key (SK).", secret=True, label="Secret access key")
    security_token = Reference("Security token of a temporary access key.", secret=True)
    id_token = Reference(
        "id_token of an OpenID Connect identity provider that the agency trusts.", secret=True, label="ID token"
    )
    auth_token = Reference("An IAM token (X-Auth-Token), such as profile:NAME of a huawei-iam profile.", secret=True)
    credentials = Setting("'chain': find the access key as Huawei Cloud's SDK does.", choices=("", "chain"))

    def base(self) -> str:
        """Return the endpoint, or the region's public endpoint, without a slash at its end.

        With an IAM token, Keystone's `/v3` at the end of a given endpoint is removed too.
        """
        return super().base().removesuffix("/v3") if self.auth_token else super().base()

    def host(self) -> str:
        """Return the region's host of STS; with an IAM token, its host of IAM."""
        return (IAM if self.auth_token else HUAWEI_STS).host(self.region)

    def credential(self, secrets: Mapping[str, Secret]) -> AccessKey | Secret:
        if self.credentials:
            return chain()
        if "access_key" in secrets:
            return access_key(secrets)
        return secrets["auth_token" if self.auth_token else "id_token"]

    def retrieve(self, call: Call) -> Flow:
        requested_at = call.clock.now()
        path = _SECURITY_TOKENS if self.auth_token else _WITH_OIDC if self.id_token else _ASSUME
        _check(call, path)
        response = yield self._request(call, path)
        from_iam = path == _SECURITY_TOKENS
        body = self.success_body(call, response, httpx.codes.CREATED if from_iam else httpx.codes.OK)
        credential = require_object(response, body, "credential" if from_iam else "credentials")
        names = _IAM_FIELDS if from_iam else self.token_fields
        values = {
            field: require_token(response, credential, name)
            for field, name in zip(self.token_fields, names, strict=True)
        }
        ends = require_time(response, credential, "expires_at" if from_iam else "expiration")
        if ends.timestamp() <= call.clock.now():
            raise unusable(response, "The API returned a key that has expired already.", body)
        metadata = {name: body[name] for name in _METADATA if name in body}
        return self.make_token(
            call,
            values,
            requested_at,
            expires_at=ends,
            metadata={**metadata, "request_id": get_request_id(response, body)},
        )

    def _request(self, call: Call, path: str) -> httpx.Request:
        url, credential = self.base() + path, call.credential
        headers = {**COMMON_HEADERS, "Accept": "application/json"}
        if path == _SECURITY_TOKENS:
            headers["X-Auth-Token"] = credential.reveal()
            return httpx.Request("POST", url, headers=headers, json=_security_tokens(call.params))
        body: dict[str, Any] = dict(call.params)
        if "tags" in body:
            body["tags"] = [dict(zip(("key", "value"), tag.split("=", 1), strict=True)) for tag in body["tags"]]
        if path == _WITH_OIDC:
            return httpx.Request("POST", url, headers=headers, json={**body, "id_token": credential.reveal()})
        return self.signed(call, credential, "POST", path, json.dumps(body).encode())


def _security_tokens(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of IAM's call: for the agency in `agency_name`, or without it for the IAM token's own user."""
    options = dict(params)
    policy = options.pop("policy", None)
    if "session_user" in options:
        options["session_user"] = {"name": options["session_user"]}
    method = "assume_role" if "agency_name" in options else "token"
    identity = {"methods": [method], method: options}
    return {"auth": {"identity": identity if policy is None else {**identity, "policy": json.loads(policy)}}}


def _check(call: Call, path: str) -> None:
    """Raise `ParameterError` if a parameter is missing, too large or malformed, or if the call does not take it."""
    params = call.params
    for name in params:
        if name not in _TAKES[path]:
            raise ParameterError(
                f"Parameter {name} is not available with this profile's way to sign in.",
                hint=f"Leave it out. The call takes {', '.join(_TAKES[path])}.",
            )
    missing = [name for name in _NEEDS[path] if name not in params]
    if path == _SECURITY_TOKENS:
        agency_only = [name for name in ("domain_id", "domain_name", "session_user") if name in params]
        if "agency_name" not in params and agency_only:
            missing = ["agency_name"]
        elif "agency_name" in params and ("domain_id" in params) == ("domain_name" in params):
            raise ParameterError("Parameter agency_name needs either domain_id or domain_name, but not both.")
    if ("serial_number" in params) != ("token_code" in params):
        missing = ["token_code" if "serial_number" in params else "serial_number"]
    if missing:
        raise ParameterError(
            f"Parameter {missing[0]} is missing.", hint=f"{missing[0]}: {HuaweiSts.params[missing[0]].help}"
        )
    _check_sizes(call, path)


def _check_sizes(call: Call, path: str) -> None:
    params: Mapping[str, Any] = call.params
    life = params.get("duration_seconds", 0)
    chained = isinstance(call.credential, AccessKey) and call.credential.security_token is not None
    limit = _MAX_CHAINED_LIFE if chained else _MAX_LIFE
    if path != _SECURITY_TOKENS and life > limit:
        because = " with a temporary access key" if chained else ""
        raise ParameterError(f"Parameter duration_seconds must be at most {limit}{because}, not {life}.")
    for name in ("policy_ids", "tags", "transitive_tag_keys"):
        if len(params.get(name, ())) > _MAX_IDS:
            raise ParameterError(f"Parameter {name} must have at most {_MAX_IDS} entries.")
    if not all("=" in tag for tag in params.get("tags", ())):
        raise ParameterError("Each entry of parameter tags must be KEY=VALUE.")
    check_json_object("policy", params.get("policy"), _MAX_POLICY_LENGTH)
