"""Alibaba Cloud STS 2015-04-01: issues temporary access keys of a role. PAI and EIAM in the sandbox accept them."""

from __future__ import annotations

import re
import secrets
from typing import Any, ClassVar

from .accounts import TemporaryKey, is_secret
from .alibaba import AlibabaApi, check_rpc, known_parameters, mandatory
from .api import Issued, RefusedError, iso
from .messages import Request, json_object, whole_number

ACCOUNT, ROLE = "1234567890123456", "adminrole"
ROLE_ARN = f"acs:ram::{ACCOUNT}:role/{ROLE}"
PROVIDER_ARN = f"acs:ram::{ACCOUNT}:oidc-provider/"
_OIDC = "AssumeRoleWithOIDC"
_COMMON = ("Action", "Version", "Format", "Timestamp", "SignatureNonce")
_BOTH = ("RoleArn", "RoleSessionName", "DurationSeconds", "Policy")
_SIGNED = (*_BOTH, "ExternalId", "SourceIdentity")
_ANONYMOUS = (*_BOTH, "OIDCProviderArn", "OIDCToken")
_ARN = re.compile(r"acs:ram::([0-9]{1,32}):role/([A-Za-z0-9._/-]{1,64})")
# The documentation allows no space in SourceIdentity, but the SDK's recorded call contains one.
_FORMS = {
    "RoleSessionName": re.compile(r"[A-Za-z0-9.@_-]{2,64}"),
    "ExternalId": re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}"),
    "SourceIdentity": re.compile(r"(?!acs:|aliyun:|alibabacloud:)[A-Za-z0-9_+=,.@ -]{2,64}"),
}
_DEFAULT_LIFE, _LIVES = "3600", range(900, 43_201)
_MAX_POLICY_LENGTH = 2048
_TOKEN_LENGTHS = range(4, 20_001)


def _wrong(name: str, message: str) -> RefusedError:
    return RefusedError(400, f"InvalidParameter.{name}", message)


class AlibabaSts(AlibabaApi):
    """The STS API, with one role that any access key and any identity provider of the sandbox's accounts may assume."""

    name: ClassVar[str] = "alibaba-sts"
    action: ClassVar[str] = "AssumeRole"
    version: ClassVar[str] = "2015-04-01"

    def check(self, request: Request) -> None:
        """Check the call. AssumeRoleWithOIDC needs no signature. Raises `RefusedError`."""
        if _action(request) != _OIDC:
            super().check(request)
            return
        given = dict(request.params)
        if given.get("Version", request.header("x-acs-version")) != self.version:
            raise RefusedError(404, "InvalidVersion", "Specified parameter Version is not valid.")
        if given.get("Format", "JSON").upper() != "JSON":
            raise RefusedError(400, "InvalidParameter.Format", "The sandbox answers only in JSON.")
        self._verifier.check_date(mandatory(given, "Timestamp"))
        self._verifier.use_nonce("", mandatory(given, "SignatureNonce"))

    def perform(self, request: Request) -> dict[str, Any]:
        """Return a temporary key, and the role session that it belongs to."""
        check_rpc(request)
        anonymous = _action(request) == _OIDC
        params = [pair for pair in request.params if not (anonymous and pair[0] in _COMMON)]
        given = known_parameters(params, _ANONYMOUS if anonymous else _SIGNED)
        role = _check_role(given)
        extra = self._federated(given) if anonymous else {}
        if "SourceIdentity" in given:
            extra["SourceIdentity"] = given["SourceIdentity"]
        end = self.world.token_expiry(self.name, request, _life(given))
        key_id, secret = "STS." + secrets.token_hex(11), secrets.token_urlsafe(32)
        token = "CAIS" + secrets.token_hex(240)
        self._verifier.add_key(key_id, TemporaryKey(secret, token, end))
        self.world.issue(token, Issued(self.name, end, {"access_key_id": key_id, "role": role}))
        session = given["RoleSessionName"]
        return {
            "Credentials": {
                "AccessKeyId": key_id,
                "AccessKeySecret": secret,
                "SecurityToken": token,
                "Expiration": iso(int(end)),
            },
            "AssumedRoleUser": {
                "Arn": f"acs:ram::{ACCOUNT}:role/{role}/{session}",
                "AssumedRoleId": f"344584339364951186:{session}",
            },
            **extra,
        }

    def _federated(self, given: dict[str, str]) -> dict[str, Any]:
        provider, token = mandatory(given, "OIDCProviderArn"), mandatory(given, "OIDCToken")
        if len(token) not in _TOKEN_LENGTHS:
            raise RefusedError(401, "AuthenticationFail.OIDCToken.Invalid", "The OIDC token is not valid.")
        if not provider.startswith(PROVIDER_ARN):
            raise RefusedError(401, "AuthenticationFail.NoPermission", "The role does not trust the identity provider.")
        known = self.world.accounts.id_tokens.get(provider.removeprefix(PROVIDER_ARN))
        issued = self.world.find(token)
        if issued is not None and not issued.is_valid(self.world.clock()):
            raise RefusedError(401, "AuthenticationFail.OIDCToken.Expired", "The OIDC token has expired.")
        # A token that the sandbox's own APIs issued counts as a token of any identity provider.
        if issued is None and not is_secret(known, token):
            raise RefusedError(401, "AuthenticationFail.OIDCToken.Invalid", "The OIDC token is not valid.")
        return {"OIDCTokenInfo": {"Issuer": "https://idp.example.com", "Subject": "s", "VerificationInfo": "Success"}}


def _action(request: Request) -> str | None:
    """Return the action from the header, or else from the query."""
    return request.header("x-acs-action") or dict(request.params).get("Action")


def _check_role(given: dict[str, str]) -> str:
    """Check the parameters about role and session; return the role's name."""
    arn = mandatory(given, "RoleArn")
    match = _ARN.fullmatch(arn)
    if match is None:
        raise _wrong("RoleArn", "The parameter RoleArn is wrongly formed.")
    mandatory(given, "RoleSessionName")
    for name, form in _FORMS.items():
        if name in given and not form.fullmatch(given[name]):
            raise _wrong(name, f"The parameter {name} is wrongly formed.")
    _check_policy(given.get("Policy"))
    if match.groups() != (ACCOUNT, ROLE):
        raise RefusedError(404, "EntityNotExist.Role", "The specified role does not exist.")
    return match[2]


def _check_policy(policy: str | None) -> None:
    if policy is None:
        return
    if not 1 <= len(policy) <= _MAX_POLICY_LENGTH:
        raise _wrong("PolicySize", "The size of the policy is not valid.")
    if not {"Version", "Statement"} <= (json_object(policy) or {}).keys():
        raise _wrong("PolicyGrammar", "The parameter Policy has not passed grammar check.")


def _life(given: dict[str, str]) -> int:
    life = whole_number(given.get("DurationSeconds", _DEFAULT_LIFE), _LIVES)
    if life is None:
        raise _wrong("DurationSeconds", "The Min/Max value of DurationSeconds is 15min/12hr.")
    return life
