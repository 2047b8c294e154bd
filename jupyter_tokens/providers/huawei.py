"""Reads the error responses of Huawei Cloud and T Cloud, and the response to a login at their IAM."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from ..errors import ApiError, Throttled, Unauthorized
from ..token import Secret
from .answers import Meaning, json_object, malformed, object_of, refusal, text_of, token_of, try_json_object
from .base import Call
from .credentials.huawei import IamToken, expiry_of

__all__ = ["IAM_MEANINGS", "iam_token", "refuse"]

# Source: IAM, "Error Codes"; API Gateway, "Error Codes". IAM's other codes say no more than the HTTP status.
IAM_MEANINGS = {
    "IAM.0061": Meaning(Unauthorized, "The account is locked: wait for 15 minutes before the next login."),
    "IAM.0062": Meaning(Unauthorized, "Check username, password and domain_name: a few refusals lock the account."),
    "APIGW.0301": Meaning(
        Unauthorized,
        "Check the credential of the profile and this machine's clock. A key is locked for 5 minutes after 5 refusals.",
    ),
    "APIGW.0308": Meaning(Throttled, "Try again later."),
}
# T Cloud's gateway begins its codes with APIG.
IAM_MEANINGS |= {code.replace("APIGW.", "APIG."): meaning for code, meaning in IAM_MEANINGS.items()}


def refuse(
    call: Call,
    response: httpx.Response,
    meanings: Mapping[str, Meaning],
    status_of: Mapping[str, int] | None = None,
) -> ApiError:
    """Return the error for a refused call, from any form of the vendor's error responses.

    `status_of` limits codes to a status: if such a code comes with another error status, `meanings` is not used, and
    the status alone decides which error it is.
    """
    body = try_json_object(response) or {}
    inner = body.get("error")
    # IAM wraps its errors in `error`; the other APIs write error_message or error_msg at the top level.
    told = inner if isinstance(inner, dict) else body
    code = told.get("error_code", told.get("code"))
    status = response.status_code
    other = status >= httpx.codes.BAD_REQUEST and (status_of or {}).get(str(code), status) != status
    return refusal(
        response,
        now=call.clock.now(),
        body=body,
        code=code,
        message=told.get("error_message") or told.get("error_msg") or told.get("message"),
        meanings={} if other else meanings,
    )


def iam_token(response: httpx.Response) -> IamToken:
    """Return the IAM token from the response to a login: the value is in a header, the expiry in the body.

    Raises `ResponseError` if the value or the expiry is missing or invalid.
    """
    value = token_of(response, response.headers, "X-Subject-Token")
    body = json_object(response)
    try:
        expires = expiry_of(text_of(response, object_of(response, body, "token"), "expires_at"))
    except (ValueError, OverflowError):
        raise malformed(response, "from IAM has no time in 'expires_at'", body) from None
    return IamToken(Secret(value), expires)
