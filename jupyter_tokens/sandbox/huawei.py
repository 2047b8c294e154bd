"""What the APIs behind Huawei Cloud's gateway (ModelArts, IAM, STS) share: temporary keys, bodies and errors."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from .accounts import TemporaryKey
from .api import Api, Issued, RefusedError, World
from .messages import Request, Response, json_object, json_response
from .sdk_hmac import SdkHmacVerifier

MISSING = "missing"
"""The name of an agency that does not exist. An agency with any other name exists, in every account."""


class HuaweiApi(Api):
    """Base class of the APIs behind Huawei Cloud's gateway."""

    def __init__(self, world: World, verifier: SdkHmacVerifier) -> None:
        super().__init__(world)
        self._verifier = verifier

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create an error in the gateway's form."""
        request_id = secrets.token_hex(16)
        body = {"error_code": refused.code, "error_msg": refused.message, "request_id": request_id}
        return json_response(refused.status, body, [("X-Request-Id", request_id)])

    def issue_key(self, end: float) -> tuple[str, str, str]:
        """Issue a temporary access key that is valid until `end`; return its id, secret and security token."""
        key_id, secret = "HST" + secrets.token_hex(9).upper(), secrets.token_hex(20)
        token = "hQpjb" + secrets.token_hex(240)
        self._verifier.add_key(key_id, TemporaryKey(secret, token, end))
        self.world.issue(token, Issued(self.name, end, {"access_key_id": key_id}))
        return key_id, secret, token


def reply(status: int, body: dict[str, Any], headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Create a response with a request id."""
    return json_response(status, body, [("X-Request-Id", secrets.token_hex(16)), *headers])


def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request. Raises RefusedError."""
    if request.media_type != "application/json":
        raise RefusedError(400, message="The Content-Type must be application/json.")
    body = json_object(request.body)
    if body is None:
        raise RefusedError(400, message="The request body is not a JSON object.")
    return body
