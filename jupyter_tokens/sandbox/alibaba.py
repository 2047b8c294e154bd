"""Alibaba Cloud's gateway in front of PAI, EIAM and STS: checks signature, action and version, and formats errors."""

from __future__ import annotations

import re
import secrets
import uuid
from abc import abstractmethod
from http import HTTPStatus
from typing import Any, ClassVar

from .acs3 import Acs3Verifier, RefusedError
from .api import Api, World
from .messages import Request, Response, json_response

_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_PLAUSIBLE = {
    400: ("InvalidParameter", "A parameter is not valid."),
    401: ("InvalidCredentials", "The credentials are not valid."),
    403: ("NoPermission", "You are not authorized to do this action."),
    404: ("InvalidApi.NotFound", "Specified api is not found, please check your url and method."),
    429: ("Throttling.Api", "Request was denied due to api flow control."),
    500: ("InternalError", "The request processing has failed due to some unknown error."),
    503: ("ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
}


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
        raise RefusedError(400, f"Missing{name}", f"The parameter {name} is mandatory, in the query.")
    return given[name]


class AlibabaApi(Api):
    """Base class of the APIs behind Alibaba Cloud's gateway."""

    action: ClassVar[str]
    list_action: ClassVar[str] = ""
    """The action that lists ids for which the API returns tokens, such as instances; "" if there is no such action."""
    version: ClassVar[str]

    def __init__(self, world: World, verifier: Acs3Verifier) -> None:
        self.world, self._verifier = world, verifier

    @abstractmethod
    def perform(self, request: Request) -> dict[str, Any]:
        """Return the body of the response, without RequestId. Called after `check` has accepted the request."""

    def answer(self, request: Request) -> Response:
        """Check the request and perform its action. Refusals become error responses."""
        request_id = str(uuid.uuid4()).upper()
        try:
            self.check(request)
            return _reply(200, {"RequestId": request_id, **self.perform(request)})
        except RefusedError as refused:
            return _error(request_id, request.header("host") or "", refused)

    def check(self, request: Request) -> None:
        """Raise RefusedError unless the request is signed and its action and version belong to this API."""
        self._verifier.verify(request)
        if request.header("x-acs-action") not in (self.action, self.list_action):
            raise not_found()
        if request.header("x-acs-version") != self.version:
            raise RefusedError(404, "InvalidVersion", "Specified parameter Version is not valid.")

    def lists(self, request: Request) -> bool:
        """Whether the action of a call is `list_action`."""
        return bool(self.list_action) and request.header("x-acs-action") == self.list_action

    def hands_out(self, request: Request) -> bool:
        """Whether a call requests a token: every call does, except those with `list_action`."""
        return not self.lists(request)

    def failure(self, status: int) -> Response:
        """Create an error in the gateway's form."""
        code, message = _PLAUSIBLE.get(status, _PLAUSIBLE[500 if status >= HTTPStatus.INTERNAL_SERVER_ERROR else 400])
        return _error(str(uuid.uuid4()).upper(), self.name, RefusedError(status, code, message))

    def throttled(self) -> Response:
        """Create the vendor's error for too many requests, which has HTTP status 400, not 429."""
        message = "Request was denied due to user flow control."
        return _error(str(uuid.uuid4()).upper(), self.name, RefusedError(400, "Throttling.User", message))

    def retry_header(self, seconds: float) -> tuple[str, str]:
        """Return name and value of the vendor's header for the waiting time, which is in milliseconds."""
        return "x-acs-retry-after", str(round(seconds * 1000))


def not_found() -> RefusedError:
    """Create the error for an unknown path or action."""
    return RefusedError(404, *_PLAUSIBLE[404])


def _error(request_id: str, host: str, refused: RefusedError) -> Response:
    body = {
        "RequestId": request_id,
        "HostId": host.rpartition("://")[2],
        "Code": refused.code,
        "Message": refused.message,
        "Recommend": f"https://api.aliyun.com/troubleshoot?q={refused.code}&requestId={request_id}",
    }
    return _reply(refused.status, body)


def _reply(status: int, body: dict[str, Any]) -> Response:
    headers = [("x-acs-request-id", body["RequestId"]), ("x-acs-trace-id", secrets.token_hex(16))]
    return json_response(status, body, headers, "application/json;charset=utf-8")
