"""Huawei Cloud STS v5: issues temporary access keys of an agency. ModelArts and IAM in the sandbox accept them."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar

from .accounts import TemporaryKey
from .api import Api, Issued, World
from .messages import Request, Response, json_response
from .sdk_hmac import NotVerifiedError, SdkHmacVerifier

AGENCY_URN = "iam::sandbox:agency:admin"
MISSING = "missing"
"""The name of an agency that does not exist. An agency with any other name exists, in every account."""
_ASSUME, _WITH_OIDC = "/v5/agencies/assume", "/v5/agencies/assume-with-oidc"
_AGENCY = re.compile(r"(?=.{1,1500}$)iam::([^:\s]+):agency:(\S+)")
_PROVIDER = re.compile(r"iam::[^:\s]+:oidc-provider:(\S+)")
_LIVES, _CHAINED_LIVES, _DEFAULT_LIFE = range(900, 43_201), range(900, 3_601), 3600
_MOST = 20
_POLICY_LENGTHS, _TOKEN_LENGTHS = range(2, 4097), range(4, 20_001)
# Of these STS codes only two are documented: for an agency that does not exist (404), and for denied access (403).
_PLAUSIBLE = {
    400: ("STS5.0001", "The request is invalid."),
    401: ("STS5.0002", "The caller cannot be authenticated."),
    403: ("PAP5.0001", "Access denied."),
    404: ("STS5.1106", "The agency does not exist."),
    429: ("APIGW.0308", "The throttling threshold has been reached"),
    500: ("STS5.0003", "Internal error."),
    503: ("APIGW.0202", "Backend unavailable"),
}


class _RefusedError(Exception):
    def __init__(self, status: int, message: str = "", code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def lend(world: World, verifier: SdkHmacVerifier, api: str, end: float) -> tuple[str, str, str]:
    """Issue a temporary access key that is valid until `end`; return its id, secret and security token."""
    key_id, secret, token = (
        "HST" + secrets.token_hex(9).upper(),
        secrets.token_hex(20),
        "hQpjb" + secrets.token_hex(240),
    )
    verifier.lend(key_id, TemporaryKey(secret, token, end))
    world.issue(token, Issued(api, end, {"access_key_id": key_id}))
    return key_id, secret, token


class HuaweiSts(Api):
    """Issues keys of agencies. An agency trusts any caller that can sign, and the identity providers in `Accounts`."""

    name: ClassVar[str] = "huawei-sts"
    variants: ClassVar[frozenset[str]] = frozenset({"expired", "stalled"})

    def __init__(self, world: World, verifier: SdkHmacVerifier) -> None:
        self.world, self._verifier = world, verifier

    def answer(self, request: Request) -> Response:
        """Check the caller, then the body; return a temporary key."""
        try:
            if request.path not in (_ASSUME, _WITH_OIDC):
                raise _RefusedError(404, "The API does not exist", "APIGW.0101")
            if request.method != "POST":
                raise _RefusedError(405, "The method is not allowed", "APIGW.0106")
            # A request with an id_token need not be signed; if it is signed, the signature is verified.
            if request.path == _ASSUME or request.header("authorization") is not None:
                self._verifier.verify(request)
            return self._assume(request)
        except NotVerifiedError as refused:
            return _error(401, f"Incorrect IAM authentication information: {refused}", "APIGW.0301")
        except _RefusedError as refused:
            return _error(refused.status, refused.message, refused.code)

    def failure(self, status: int) -> Response:
        """Create an error in the form that STS uses."""
        return _error(status)

    def _assume(self, request: Request) -> Response:
        asked = _body(request)
        given = _checked(asked, _OIDC_FORMS if request.path == _WITH_OIDC else _FORMS)
        agency = _AGENCY.fullmatch(given["agency_urn"])
        if agency is None:
            raise _wrong("agency_urn")
        if request.path == _WITH_OIDC:
            self._check_id_token(given)
        if agency[2] == MISSING:
            raise _RefusedError(404)
        life = given.get("duration_seconds", _DEFAULT_LIFE)
        if life not in (_CHAINED_LIVES if request.header("x-security-token") else _LIVES):
            raise _wrong("duration_seconds")
        end = self.world.end_of_life(self.name, request, life)
        key_id, secret, token = lend(self.world, self._verifier, self.name, end)
        session = given["agency_session_name"]
        body = {
            "source_identity": given.get("source_identity", ""),
            "assumed_agency": {
                "urn": f"sts::{agency[1]}:assumed-agency:{agency[2]}/{session}",
                "id": f"{secrets.token_hex(16)}:{session}",
            },
            "credentials": {
                "access_key_id": key_id,
                "secret_access_key": secret,
                "security_token": token,
                "expiration": datetime.fromtimestamp(end, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            },
        }
        return json_response(200, body, [("X-Request-Id", secrets.token_hex(16))])

    def _check_id_token(self, given: dict[str, Any]) -> None:
        provider, token = _PROVIDER.fullmatch(given["provider_urn"]), given["id_token"]
        if provider is None:
            raise _wrong("provider_urn")
        known = self.world.accounts.id_tokens.get(provider[1], "")
        issued = self.world.find(token)
        # A token that the sandbox's own APIs issued counts as a token of any identity provider.
        if issued is not None and issued.alive(self.world.clock()):
            return
        if not known or not hmac.compare_digest(known.encode(), token.encode("utf-8", "replace")):
            raise _RefusedError(401, "The id_token is not valid or has expired.")


def _wrong(name: str) -> _RefusedError:
    return _RefusedError(400, f"The parameter {name} is missing or not valid.")


def _body(request: Request) -> dict[str, Any]:
    if request.media_type != "application/json":
        raise _RefusedError(400, "The Content-Type must be application/json.")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise _RefusedError(400, "The request body is not a JSON object.")
    return body


def _checked(body: dict[str, Any], forms: dict[str, Callable[[Any], bool]]) -> dict[str, Any]:
    """Return the body. Raises `_RefusedError` if a required field is missing, or any field is unknown or malformed."""
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
    if not isinstance(value, str) or len(value) not in _POLICY_LENGTHS:
        return False
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST and all(isinstance(text, str) and text for text in value)


def _are_tags(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST
        and all(isinstance(tag, dict) and set(tag) == {"key", "value"} and _are_texts([*tag.values()]) for tag in value)
    )


_NEEDED = {"agency_urn", "agency_session_name", "provider_urn", "id_token"}
_COMMON: dict[str, Callable[[Any], bool]] = {
    "agency_urn": _text(_AGENCY.pattern),
    "agency_session_name": _text(r"[A-Za-z0-9_+=,.@-]{2,128}"),
    "duration_seconds": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "policy": _is_policy,
    "policy_ids": _are_texts,
}
_FORMS = {
    **_COMMON,
    "external_id": _text(r".{2,1224}"),
    "source_identity": _text(r"[A-Za-z0-9_+=,.@-]{2,64}"),
    "serial_number": _text(r"\S+"),
    "token_code": _text(r"[0-9]{6}"),
    "tags": _are_tags,
    "transitive_tag_keys": _are_texts,
}
_OIDC_FORMS = {
    **_COMMON,
    "provider_urn": _text(_PROVIDER.pattern),
    "id_token": lambda value: isinstance(value, str) and len(value) in _TOKEN_LENGTHS,
}


def _error(status: int, message: str = "", code: str = "") -> Response:
    known = _PLAUSIBLE.get(status, _PLAUSIBLE[500 if status >= HTTPStatus.INTERNAL_SERVER_ERROR else 400])
    request_id = secrets.token_hex(16)
    body = {"error_code": code or known[0], "error_msg": message or known[1], "request_id": request_id}
    return json_response(status, body, [("X-Request-Id", request_id)])
