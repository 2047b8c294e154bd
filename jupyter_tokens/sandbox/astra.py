"""Astra Control's token collection: the HTTP side, with bearer authentication."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import uuid
from http import HTTPStatus
from typing import Any, ClassVar

from .api import Api, Issued, World, iso
from .astra_resources import MEDIA, VERSION, ProblemError, Resource, check_create, new_resource, query, replace
from .messages import Request, Response, json_response

ACCOUNT, USER = "1f2e3d4c-5b6a-4789-8abc-def012345678", "09f8933c-ad74-4f4e-8ef5-1ffaa0fb8e9b"
TOKEN, OTHER_TOKEN = "822fab12-c224-4d1f-8118-5fb5d2def8b9", "822fab12-c224-5d1f-8118-5fb5d2def8b9"
_PATH = re.compile(r"/accounts/([^/]+)/core/v1/users/([^/]+)/tokens(?:/([^/]+))?")
_STAMP = "2022-10-06T20:58:16.305662Z"
_PROBLEMS = {
    1: (404, "Resource not found", "The resource specified in the request URI wasn't found."),
    2: (404, "Collection not found", "The collection specified in the request URI wasn't found."),
    3: (401, "Missing bearer token", "The request is missing the required bearer token."),
    4: (401, "Invalid bearer token", "The bearer token provided is invalid, revoked, or doesn't exist."),
    5: (400, "Invalid query parameters", "The supplied query parameters are invalid."),
    6: (400, "Query parameters not supported", "The supplied query parameters aren't supported for this endpoint."),
    7: (400, "Invalid JSON payload", "The request body is not valid JSON."),
    8: (400, "Invalid JSON resource", "The request body JSON doesn't conform to the schema."),
    9: (400, "Invalid JSON resource", "The request body JSON didn't pass extended validation."),
    10: (
        409,
        "JSON resource conflict",
        "The request body JSON contains a field that conflicts with an idempotent value.",
    ),
    11: (403, "Operation not permitted", "The requested operation isn't permitted."),
}
_BY_STATUS = {400: 5, 401: 4, 403: 11, 404: 1, 409: 10}
_ALLOWED = {True: ("GET", "PUT", "DELETE"), False: ("GET", "POST")}


class Astra(Api):
    """One account with one user. The user has the tokens of the documentation's samples, but without values."""

    name: ClassVar[str] = "astra"

    def __init__(self, world: World) -> None:
        self.world = world
        self._resources: dict[str, Resource] = {}
        self._values: dict[str, str] = {}
        for identifier, name in ((TOKEN, "Snapshot Script"), (OTHER_TOKEN, "Snapshot Taker")):
            self._resources[identifier] = new_resource(identifier, USER, {"name": name}, _STAMP)

    def answer(self, request: Request) -> Response:
        """Check the bearer token, then the collection, then the method; perform the call."""
        try:
            self._authenticate(request)
            match = _PATH.fullmatch(request.path)
            if match is None or match[1] != ACCOUNT or match[2] != USER:
                raise ProblemError(2)
            if request.method not in _ALLOWED[bool(match[3])]:
                raise ProblemError(11)
            if match[3]:
                return self._one(request, match[3])
            return self._create(request) if request.method == "POST" else self._list(request)
        except ProblemError as problem:
            return _problem(problem)

    def failure(self, status: int) -> Response:
        """Create the error for a status: a problem from the vendor's catalogue, or an invented error if none fits."""
        if status in _BY_STATUS:
            return _problem(ProblemError(_BY_STATUS[status]))
        title = "Too many requests" if status == HTTPStatus.TOO_MANY_REQUESTS else "The request failed"
        body = {"type": "about:blank", "title": title, "detail": title + ".", "status": str(status)}
        return _reply(status, body)

    def _authenticate(self, request: Request) -> None:
        given = request.credentials("Bearer")
        if not given:
            raise ProblemError(3)
        known = [*self.world.accounts.astra, *self._values.values()]
        if not any(hmac.compare_digest(given.encode("latin-1"), token.encode()) for token in known):
            raise ProblemError(4)

    def _one(self, request: Request, identifier: str) -> Response:
        if request.params:
            reasons = [{"name": name, "reason": "not supported"} for name, _ in request.params]
            raise ProblemError(6, invalidParams=reasons)
        resource = self._resources.get(identifier)
        if resource is None:
            # As documented: for GET the error is about the collection, for other methods about the resource.
            raise ProblemError(2 if request.method == "GET" else 1)
        if request.method == "GET":
            return json_response(200, resource, [("ETag", _etag(resource))], f"{MEDIA}+json")
        if request.method == "PUT":
            replace(resource, _json(request), self._now())
        else:
            self._delete(identifier)
        return Response(204)

    def _delete(self, identifier: str) -> None:
        del self._resources[identifier]
        value = self._values.pop(identifier, None)
        if value is not None:
            self.world.revoke(value)

    def _create(self, request: Request) -> Response:
        if request.params:
            raise ProblemError(
                6, invalidParams=[{"name": name, "reason": "not supported"} for name, _ in request.params]
            )
        body = check_create(_json(request))
        identifier, value = str(uuid.uuid4()), base64.b64encode(secrets.token_bytes(33)).decode()
        resource = self._resources[identifier] = new_resource(identifier, USER, body, self._now())
        self._values[identifier] = value
        self.world.issue(value, Issued(self.name, None, {"token_id": identifier}))
        headers = [("Location", f"{request.path}/{identifier}"), ("ETag", _etag(resource))]
        # No other response contains the token's value.
        return json_response(201, {**resource, "token": value}, headers, f"{MEDIA}+json")

    def _list(self, request: Request) -> Response:
        items, count = query(self._resources.values(), request.params)
        metadata: dict[str, Any] = {"labels": [], "creationTimestamp": _STAMP, "modificationTimestamp": _STAMP}
        metadata["createdBy"] = "00000000-0000-0000-0000-000000000000"
        if count is not None:
            metadata["count"] = count
        body = {"type": "application/astra-tokens", "version": VERSION, "items": items, "metadata": metadata}
        return json_response(200, body, [("ETag", _etag(body))])

    def _now(self) -> str:
        return iso(self.world.clock(), fraction=True)


def _json(request: Request) -> Any:
    if request.media_type not in (f"{MEDIA}+json", "application/json"):
        raise ProblemError(7)
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        raise ProblemError(7) from None


def _etag(content: dict[str, Any]) -> str:
    return f'"{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]}"'


def _problem(problem: ProblemError) -> Response:
    status, title, detail = _PROBLEMS[problem.number]
    kind = f"https://astra.netapp.io/problems/{problem.number}"
    return _reply(status, {"type": kind, "title": title, "detail": detail, "status": str(status), **problem.extra})


def _reply(status: int, body: dict[str, Any]) -> Response:
    return json_response(status, {**body, "correlationID": str(uuid.uuid4())}, (), "application/problem+json")
