"""ModelArts: the two calls that return the token of a development environment, and the list of notebooks.

Callers sign with AK/SK, or send an IAM token of the sandbox.
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any, ClassVar

from .api import ErrorTable, Issued, RefusedError, World
from .huawei import HuaweiApi, reply
from .messages import Request, Response
from .sdk_hmac import SdkHmacVerifier

PROJECT = "0123456789abcdef0123456789abcdef"
INSTANCE = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
NOT_RUNNING, FROZEN = "00000000-0000-4000-8000-000000006327", "00000000-0000-4000-8000-000000006326"
# LEASED is a notebook that stops when its lease ends. OLD_INSTANCE is older than notebooks: only the call
# `demanager` returns its token.
LEASED, OLD_INSTANCE = "6fa459ea-ee8a-3ca4-894e-000000003600", "DE-6fa459ea"
LEASE_SECONDS = 3600
_DEMANAGER = re.compile(r"/v1/([^/]+)/demanager/instances/([^/]+)/token")
_LIST = re.compile(r"/v1/([^/]+)/notebooks")
_NOTEBOOK = re.compile(r"/v1/([^/]+)/notebooks/([^/]+)")
_PROJECT_ID = re.compile(r"[0-9a-f]{32}")
_STATUS = {INSTANCE: "RUNNING", OLD_INSTANCE: "RUNNING", NOT_RUNNING: "STOPPED", FROZEN: "FROZEN"}
_CLOSED = {
    "STOPPED": ("ModelArts.6327", "The instance is not running."),
    "FROZEN": ("ModelArts.6326", "The instance is frozen."),
}
_UNKNOWN = ("ModelArts.6309", "The instance does not exist.")


class ModelArts(HuaweiApi):
    """Has the documentation's sample instance, instances in other states, and an old instance only for `demanager`."""

    name: ClassVar[str] = "modelarts"
    variants: ClassVar[frozenset[str]] = frozenset()
    default_errors: ClassVar[ErrorTable] = {
        400: ("ModelArts.0104", "The request parameter is invalid."),
        401: ("APIGW.0301", "Incorrect IAM authentication information: token expires"),
        403: ("ModelArts.0108", "Not authorized."),
        404: ("APIGW.0101", "The API does not exist or has not been published in the environment"),
        429: ("APIGW.0308", "The throttling threshold has been reached"),
        500: ("APIGW.9999", "System error"),
        503: ("APIGW.0202", "Backend unavailable"),
    }

    def __init__(self, world: World, verifier: SdkHmacVerifier) -> None:
        super().__init__(world, verifier)
        self._created = world.clock()
        # In the documentation's samples, `notebooks` returns a UUID as token, and `demanager` 32 hex digits.
        self._tokens = {instance: (str(uuid.uuid4()), secrets.token_hex(16)) for instance in (*_STATUS, LEASED)}

    def respond(self, request: Request) -> Response:
        """Check the caller, then the path, the project and the instance; return a token or the list."""
        project = self._authenticate(request)
        demanager, notebook = _DEMANAGER.fullmatch(request.path), _NOTEBOOK.fullmatch(request.path)
        match = demanager or notebook or _LIST.fullmatch(request.path)
        if request.method != "GET" or match is None:
            raise RefusedError(404)
        if not _PROJECT_ID.fullmatch(match[1]) or project not in ("", match[1]):
            raise RefusedError(403, "ModelArts.0210", "The project id in the request URL does not match the token.")
        if not (demanager or notebook):
            return reply(200, self._list(request))
        body = self._instance_token(match[2]) if demanager else self._notebook(match[2])
        self.world.issue(str(body["token"]), Issued(self.name, None, {"instance_id": match[2]}))
        return reply(200, body)

    def requests_token(self, request: Request) -> bool:
        """Whether a call requests a token: every call does, except the list of notebooks."""
        return _LIST.fullmatch(request.path) is None

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create an error in the form of ModelArts or its gateway."""
        if refused.code.startswith("APIGW."):
            return super().error(request, refused)
        # In the documentation, the error about an instance that does not exist has the field `error_message` at 400.
        spelling = "error_message" if (refused.status, refused.code) == (400, _UNKNOWN[0]) else "error_msg"
        return reply(refused.status, {spelling: refused.message, "error_code": refused.code})

    def _authenticate(self, request: Request) -> str:
        """Authenticate the caller; return the only project that the caller may access, or "" for any project."""
        if request.header("authorization") is not None:
            self._verifier.verify(request)
            # An AK may belong to many projects; this header selects the project.
            return request.header("x-project-id") or ""
        value = request.header("x-auth-token")
        if not value:
            raise RefusedError(401, "ModelArts.0201", "Token doesn't exist.")
        token = self.world.find(value)
        if token is None or token.api != "iam":
            raise RefusedError(401, "ModelArts.0203", "Invalid token.")
        if not token.is_valid(self.world.clock()):
            raise RefusedError(401, "ModelArts.0202", "Token has expired.")
        project = token.subject.get("project_id")
        if project is None:
            raise RefusedError(400, "ModelArts.0204", "Token must contain projectId info.")
        return project

    def _status(self, instance_id: str) -> str | None:
        if instance_id == LEASED:
            return "RUNNING" if self.world.clock() < self._created + LEASE_SECONDS else "STOPPED"
        return _STATUS.get(instance_id)

    def _instance_token(self, instance_id: str) -> dict[str, Any]:
        """Return the body for `demanager`: only the token. Raises `RefusedError` unless the instance is running."""
        status = self._status(instance_id)
        if status is None:
            raise RefusedError(400, *_UNKNOWN)
        if status in _CLOSED:
            raise RefusedError(400, *_CLOSED[status])
        return {"token": self._tokens[instance_id][1]}

    def _list(self, request: Request) -> dict[str, Any]:
        """Return the list of all notebooks as JSON, including their tokens."""
        limit = dict(request.params).get("limit", "10")
        if limit not in ("10", "20", "50"):
            raise RefusedError(400)
        found = [self._notebook(instance_id) for instance_id in self._tokens if instance_id != OLD_INSTANCE]
        return {"current": 0, "data": found, "pages": 1, "size": int(limit), "total": len(found)}

    def _notebook(self, instance_id: str) -> dict[str, Any]:
        """Return a notebook as JSON. The token is included, even if the notebook is not running."""
        status = self._status(instance_id)
        if status is None or instance_id == OLD_INSTANCE:
            raise RefusedError(404, *_UNKNOWN)
        created = int(self._created * 1000)
        return {
            "id": instance_id,
            "name": "notebook-sandbox",
            "description": "",
            "status": status,
            "feature": "NOTEBOOK",
            "flavor": "modelarts.vm.cpu.2u",
            "token": self._tokens[instance_id][0],
            "url": f"https://authoring-modelarts.sandbox.invalid/{instance_id}/lab",
            "workspace_id": "0",
            "create_at": created,
            "update_at": created,
            "lease": {
                "create_at": created,
                "duration": LEASE_SECONDS * 1000,
                "enable": instance_id == LEASED,
                "type": "timing",
                "update_at": created,
            },
        }
