"""The base class of Huawei Cloud and T Cloud providers: signed requests, error responses and logins to IAM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from ..clock import utc
from ..errors import Throttled, Unauthorized
from ..token import Secret
from .answers import Meaning, json_object, require_object, require_time, require_token
from .base import COMMON_HEADERS, Call, RegionalProvider, parsed_url, raw_request
from .credentials.huawei import IamToken
from .signing.canonical import AccessKey
from .signing.sdk_hmac import signed_headers, timestamp

__all__ = ["IAM_MEANINGS", "HuaweiProvider", "iam_token"]

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


class HuaweiProvider(RegionalProvider):
    """Base class of providers that call an API of Huawei Cloud, or its IAM."""

    meanings: ClassVar = IAM_MEANINGS

    def code_and_message(self, response: httpx.Response, body: Mapping[str, Any]) -> tuple[object, object]:
        # IAM wraps its errors in `error`; the other APIs write error_message or error_msg at the top level.
        error = inner if isinstance(inner := body.get("error"), dict) else body
        message = error.get("error_message") or error.get("error_msg") or error.get("message")
        return error.get("error_code", error.get("code")), message

    def signed(
        self, call: Call, key: AccessKey, method: str, target: str, body: bytes = b"", *, project: str = ""
    ) -> httpx.Request:
        """Return a request, signed with an access key.

        `target` is the path and query, and `project` the id of the project to send in the header X-Project-Id.
        """
        url = parsed_url(self.base() + target)
        path, _, query = url.raw_path.decode("ascii").partition("?")
        headers = {"host": url.netloc.decode("ascii"), "content-type": "application/json"}
        if project:
            headers["x-project-id"] = project
        signature = signed_headers((method, path, query), headers, body, key, date=timestamp(utc(call.clock.now())))
        return raw_request(method, url, {**COMMON_HEADERS, "Accept": "application/json", **headers, **signature}, body)


def iam_token(response: httpx.Response) -> IamToken:
    """Return the IAM token from the response to a login: the value is in a header, the expiry in the body.

    Raises `ResponseError` if the value or the expiry is missing or invalid.
    """
    value = require_token(response, response.headers, "X-Subject-Token")
    token = require_object(response, json_object(response), "token")
    return IamToken(Secret(value), require_time(response, token, "expires_at").timestamp())
