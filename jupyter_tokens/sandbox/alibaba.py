"""Alibaba Cloud's gateway in front of PAI, EIAM and STS: checks signature, action and version, and formats errors."""

from __future__ import annotations

import re
import secrets
import uuid
from abc import abstractmethod
from typing import Any, ClassVar

from .acs3 import Acs3Verifier
from .api import Api, ErrorTable, RefusedError, World
from .messages import Request, Response, json_response

_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")


def invalid(name: str, message: str) -> RefusedError:
    """Create the error `Invalid{Param}`, or `InvalidParameter` if the name is not safe to echo."""
    suffix = name if _PARAMETER.fullmatch(name) else "Parameter"
    return RefusedError(400, f"Invalid{suffix}", message)


def known_parameters(params: list[tuple[str, str]], known: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters as a dict. Raises RefusedError for a parameter that is unknown or given twice."""
    given: dict[str, str] = {}
    for name, value in params:
        if name not in known:
            raise invalid(name, "The parameter is unknown.")
        if name in given:
            raise invalid(name, "The parameter is given twice.")
        given[name] = value
    return given


def mandatory(given: dict[str, str], name: str) -> str:
    """Return a parameter's value. Raises RefusedError (`Missing{Param}`) if it is missing or empty."""
    if not given.get(name):
        raise RefusedError(400, f"Missing{name}", f"The parameter {name} is mandatory.")
    return given[name]


def check_rpc(request: Request) -> None:
    """Check that a call is a POST to the root. Raises RefusedError."""
    if request.method != "POST":
        raise RefusedError(400, "UnsupportedHTTPMethod", "This http method is not supported.")
    if request.path != "/":
        raise RefusedError(404)


class AlibabaApi(Api):
    """Base class of the APIs behind Alibaba Cloud's gateway."""

    default_errors: ClassVar[ErrorTable] = {
        400: ("InvalidParameter", "A parameter is not valid."),
        401: ("InvalidCredentials", "The credentials are not valid."),
        403: ("NoPermission", "You are not authorized to do this action."),
        404: ("InvalidApi.NotFound", "Specified api is not found, please check your url and method."),
        429: ("Throttling.Api", "Request was denied due to api flow control."),
        500: ("InternalError", "The request processing has failed due to some unknown error."),
        503: ("ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
    }
    action: ClassVar[str]
    list_action: ClassVar[str] = ""
    """The action that lists ids for which the API returns tokens, such as instances; "" if there is no such action."""
    version: ClassVar[str]

    def __init__(self, world: World, verifier: Acs3Verifier) -> None:
        super().__init__(world)
        self._verifier = verifier

    @abstractmethod
    def perform(self, request: Request) -> dict[str, Any]:
        """Return the body of the response, without RequestId. Called after `check` has accepted the request."""

    def respond(self, request: Request) -> Response:
        """Check the request and perform its action."""
        self.check(request)
        return _reply(200, _request_id(), self.perform(request))

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create an error in the gateway's form."""
        request_id = _request_id()
        body = {
            "HostId": (request.header("host") or "").rpartition("://")[2],
            "Code": refused.code,
            "Message": refused.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={refused.code}&requestId={request_id}",
        }
        return _reply(refused.status, request_id, body)

    def check(self, request: Request) -> None:
        """Raise RefusedError unless the request is signed and its action and version belong to this API."""
        self._verifier.verify(request)
        if request.header("x-acs-action") not in (self.action, self.list_action):
            raise RefusedError(404)
        if request.header("x-acs-version") != self.version:
            raise RefusedError(404, "InvalidVersion", "Specified parameter Version is not valid.")

    def lists(self, request: Request) -> bool:
        """Whether the action of a call is `list_action`."""
        return bool(self.list_action) and request.header("x-acs-action") == self.list_action

    def requests_token(self, request: Request) -> bool:
        """Whether a call requests a token: every call does, except those with `list_action`."""
        return not self.lists(request)

    def throttled(self, request: Request) -> Response:
        """Create the vendor's error for too many requests, which has HTTP status 400, not 429."""
        message = "Request was denied due to user flow control."
        return self.error(request, RefusedError(400, "Throttling.User", message))

    def retry_header(self, seconds: float) -> dict[str, str]:
        """Return the vendor's header that says how long to wait, in milliseconds."""
        return {"x-acs-retry-after": str(round(seconds * 1000))}


def _request_id() -> str:
    return str(uuid.uuid4()).upper()


def _reply(status: int, request_id: str, body: dict[str, Any]) -> Response:
    headers = [("x-acs-request-id", request_id), ("x-acs-trace-id", secrets.token_hex(16))]
    return json_response(status, {"RequestId": request_id, **body}, headers, "application/json;charset=utf-8")
