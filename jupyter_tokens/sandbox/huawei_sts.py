"""Huawei Cloud STS v5: issues temporary access keys of an agency. ModelArts and IAM in the sandbox accept them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any, ClassVar

from .accounts import is_secret
from .api import ErrorTable, RefusedError, iso
from .huawei import MISSING, HuaweiApi, json_body, reply
from .messages import Request, Response, json_object

AGENCY_URN = "iam::sandbox:agency:admin"
_ASSUME, _WITH_OIDC = "/v5/agencies/assume", "/v5/agencies/assume-with-oidc"
_LIVES, _CHAINED_LIVES, _DEFAULT_LIFE = range(900, 43_201), range(900, 3_601), 3600
_MAX_ITEMS = 20
_POLICY_LENGTHS, _TOKEN_LENGTHS = range(2, 4097), range(4, 20_001)


class HuaweiSts(HuaweiApi):
    """Issues keys of agencies. An agency trusts any caller that can sign, and the identity providers in `Accounts`."""

    name: ClassVar[str] = "huawei-sts"
    # Of these STS codes only two are documented: for an agency that does not exist (404), and for denied access (403).
    default_errors: ClassVar[ErrorTable] = {
        400: ("STS5.0001", "The request is invalid."),
        401: ("STS5.0002", "The caller cannot be authenticated."),
        403: ("PAP5.0001", "Access denied."),
        404: ("STS5.1106", "The agency does not exist."),
        429: ("APIGW.0308", "The throttling threshold has been reached"),
        500: ("STS5.0003", "Internal error."),
        503: ("APIGW.0202", "Backend unavailable"),
    }

    def respond(self, request: Request) -> Response:
        """Check the caller, then the body; return a temporary key."""
        if request.path not in (_ASSUME, _WITH_OIDC):
            raise RefusedError(404, "APIGW.0101", "The API does not exist")
        if request.method != "POST":
            raise RefusedError(405, "APIGW.0106", "The method is not allowed")
        # A request with an id_token need not be signed; if it is signed, the signature is verified.
        if request.path == _ASSUME or request.header("authorization") is not None:
            self._verifier.verify(request)
        given = _checked(json_body(request), _OIDC_FORMS if request.path == _WITH_OIDC else _FORMS)
        _, _, account, _, agency = given["agency_urn"].split(":", 4)
        if request.path == _WITH_OIDC:
            self._check_id_token(given)
        if agency == MISSING:
            raise RefusedError(404)
        life = given.get("duration_seconds", _DEFAULT_LIFE)
        if life not in (_CHAINED_LIVES if request.header("x-security-token") else _LIVES):
            raise _wrong("duration_seconds")
        end = self.world.token_expiry(self.name, request, life)
        key_id, secret, token = self.issue_key(end)
        session = given["agency_session_name"]
        body = {
            "source_identity": given.get("source_identity", ""),
            "assumed_agency": {
                "urn": f"sts::{account}:assumed-agency:{agency}/{session}",
                "id": f"{secrets.token_hex(16)}:{session}",
            },
            "credentials": {
                "access_key_id": key_id,
                "secret_access_key": secret,
                "security_token": token,
                "expiration": iso(end, "milliseconds"),
            },
        }
        return reply(200, body)

    def _check_id_token(self, given: dict[str, Any]) -> None:
        known, token = self.world.accounts.id_tokens.get(given["provider_urn"].split(":", 4)[4]), given["id_token"]
        # A token that the sandbox's own APIs issued counts as a token of any identity provider.
        if self.world.find_valid(token) is None and not is_secret(known, token):
            raise RefusedError(401, message="The id_token is not valid or has expired.")


def _wrong(name: str) -> RefusedError:
    return RefusedError(400, message=f"The parameter {name} is missing or not valid.")


def _checked(body: dict[str, Any], forms: dict[str, Callable[[Any], bool]]) -> dict[str, Any]:
    """Return the body. Raises RefusedError if a required field is missing, or any field is unknown or malformed."""
    for name in _NEEDED & forms.keys() - body.keys():
        raise _wrong(name)
    for name, value in body.items():
        if name not in forms or not forms[name](value):
            raise _wrong(name)
    if ("serial_number" in body) != ("token_code" in body):
        raise _wrong("token_code")
    return body


def _text(pattern: str) -> Callable[[Any], bool]:
    expression = re.compile(pattern)
    return lambda value: isinstance(value, str) and expression.fullmatch(value) is not None


def _is_policy(value: Any) -> bool:
    return isinstance(value, str) and len(value) in _POLICY_LENGTHS and json_object(value) is not None


def _is_string_list(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) <= _MAX_ITEMS and all(isinstance(text, str) and text for text in value)
    )


def _is_tag_list(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_ITEMS
        and all(
            isinstance(tag, dict) and set(tag) == {"key", "value"} and _is_string_list([*tag.values()]) for tag in value
        )
    )


_NEEDED = {"agency_urn", "agency_session_name", "provider_urn", "id_token"}
_COMMON: dict[str, Callable[[Any], bool]] = {
    "agency_urn": _text(r"(?=.{1,1500}$)iam::[^:\s]+:agency:\S+"),
    "agency_session_name": _text(r"[A-Za-z0-9_+=,.@-]{2,128}"),
    "duration_seconds": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "policy": _is_policy,
    "policy_ids": _is_string_list,
}
_FORMS = {
    **_COMMON,
    "external_id": _text(r".{2,1224}"),
    "source_identity": _text(r"[A-Za-z0-9_+=,.@-]{2,64}"),
    "serial_number": _text(r"\S+"),
    "token_code": _text(r"[0-9]{6}"),
    "tags": _is_tag_list,
    "transitive_tag_keys": _is_string_list,
}
_OIDC_FORMS = {
    **_COMMON,
    "provider_urn": _text(r"iam::[^:\s]+:oidc-provider:\S+"),
    "id_token": lambda value: isinstance(value, str) and len(value) in _TOKEN_LENGTHS,
}
