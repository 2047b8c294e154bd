"""Astra Control's token collection: the HTTP side, with bearer authentication."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import uuid
from http import HTTPStatus
from typing import Any, ClassVar

from .accounts import is_secret
from .api import Api, Issued, RefusedError, World, iso
from .astra_resources import MEDIA, VERSION, Resource, check_create, new_resource, problem, query, replace
from .messages import Request, Response, json_response

ACCOUNT, USER = "1f2e3d4c-5b6a-4789-8abc-def012345678", "09f8933c-ad74-4f4e-8ef5-1ffaa0fb8e9b"
TOKEN, OTHER_TOKEN = "822fab12-c224-4d1f-8118-5fb5d2def8b9", "822fab12-c224-5d1f-8118-5fb5d2def8b9"
_PATH = re.compile(r"/accounts/([^/]+)/core/v1/users/([^/]+)/tokens(?:/([^/]+))?")
_STAMP = "2022-10-06T20:58:16.305662Z"
_BY_STATUS = {400: 5, 401: 4, 403: 11, 404: 1, 409: 10}
_ALLOWED = {True: ("GET", "PUT", "DELETE"), False: ("GET", "POST")}


class Astra(Api):
    """One account with one user. The user has the tokens of the documentation's samples, but without values."""

    name: ClassVar[str] = "astra"

    variants: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._resources: dict[str, Resource] = {}
        self._values: dict[str, str] = {}
        for identifier, name in ((TOKEN, "Snapshot Script"), (OTHER_TOKEN, "Snapshot Taker")):
            self._resources[identifier] = new_resource(identifier, USER, {"name": name}, _STAMP)

    def respond(self, request: Request) -> Response:
        """Check the bearer token, then the collection, then the method; perform the call."""
        self._authenticate(request)
        match = _PATH.fullmatch(request.path)
        if match is None or match[1] != ACCOUNT or match[2] != USER:
            raise problem(2)
        if request.method not in _ALLOWED[bool(match[3])]:
            raise problem(11)
        if request.params and (match[3] or request.method == "POST"):
            raise problem(6, invalidParams=[{"name": name, "reason": "not supported"} for name, _ in request.params])
        if match[3]:
            return self._one(request, match[3])
        return self._create(request) if request.method == "POST" else self._list(request)

    def refuse(self, request: Request, refused: RefusedError) -> Response:
        """Create the response for a refusal: a problem from the vendor's catalogue, or one made up if none fits."""
        if refused.code:
            return self.error(request, refused)
        if refused.status in _BY_STATUS:
            return self.error(request, problem(_BY_STATUS[refused.status]))
        title = "Too many requests" if refused.status == HTTPStatus.TOO_MANY_REQUESTS else "The request failed"
        return self.error(request, RefusedError(refused.status, "about:blank", f"{title}.", title=title))

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create the response for a refusal: a problem document (RFC 9457)."""
        body = {"type": refused.code, "detail": refused.message, "status": str(refused.status), **refused.extra}
        body["correlationID"] = str(uuid.uuid4())
        return json_response(refused.status, body, (), "application/problem+json")

    def _authenticate(self, request: Request) -> None:
        given = request.credentials("Bearer")
        if not given:
            raise problem(3)
        known = [*self.world.accounts.astra, *self._values.values()]
        if not any(is_secret(token, given.encode("latin-1")) for token in known):
            raise problem(4)

    def _one(self, request: Request, identifier: str) -> Response:
        resource = self._resources.get(identifier)
        if resource is None:
            # As documented: for GET the error is about the collection, for other methods about the resource.
            raise problem(2 if request.method == "GET" else 1)
        if request.method == "GET":
            return json_response(200, resource, [("ETag", _etag(resource))], f"{MEDIA}+json")
        if request.method == "PUT":
            replace(resource, _json(request), self._now())
        else:
            del self._resources[identifier]
            if identifier in self._values:
                self.world.revoke(self._values.pop(identifier))
        return Response(204)

    def _create(self, request: Request) -> Response:
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
        return iso(self.world.clock(), "microseconds")


def _json(request: Request) -> Any:
    if request.media_type not in (f"{MEDIA}+json", "application/json"):
        raise problem(7)
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        raise problem(7) from None


def _etag(content: dict[str, Any]) -> str:
    return f'"{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]}"'
