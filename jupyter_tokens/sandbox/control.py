"""The sandbox's own routes under /_sandbox/: request counts, planned faults, and facts about a token."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from .api import World, iso
from .faults import FaultError, Plan
from .messages import Request, Response, json_response

PREFIX = "/_sandbox/"


class Control:
    """Answers requests whose path begins with PREFIX."""

    def __init__(self, world: World, plan: Plan, requests: Counter[str], clear_faults: Callable[[], None]) -> None:
        self._world, self._plan, self._requests, self._clear_faults = world, plan, requests, clear_faults
        self._routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "requests"): lambda _request: json_response(200, dict(self._requests)),
            ("DELETE", "requests"): self._reset_requests,
            ("GET", "faults"): lambda _request: json_response(200, self._plan.summary()),
            ("POST", "faults"): self._plan_faults,
            ("DELETE", "faults"): self._forget_faults,
            ("GET", "whoami"): self._whoami,
        }

    def answer(self, request: Request) -> Response:
        """Answer a request; refuse it if it comes from a web page."""
        if request.header("origin") is not None:
            # Any web page can send requests to loopback.
            return _message(403, "the sandbox refuses requests from web pages, which have the header Origin")
        route = self._routes.get((request.method, request.path.removeprefix(PREFIX)))
        if route is None:
            known = ", ".join(f"{method} {PREFIX}{name}" for method, name in self._routes)
            return _message(404, f"no such route; known routes: {known}")
        return route(request)

    def _reset_requests(self, _request: Request) -> Response:
        for name in self._requests:
            self._requests[name] = 0
        return Response(204)

    def _forget_faults(self, _request: Request) -> Response:
        self._clear_faults()
        return Response(204)

    def _plan_faults(self, request: Request) -> Response:
        try:
            wanted: Any = json.loads(request.body)
            faults = wanted if isinstance(wanted, list) else [wanted]
            for fault in faults:
                self._plan.parse(fault)
        except FaultError as error:
            return _message(400, str(error))
        except RecursionError:
            return _message(400, "the body is nested too deeply")
        except ValueError:
            return _message(400, "the body is not JSON")
        # Either all faults are planned or none: an invalid fault has already been refused above.
        for fault in faults:
            self._plan.add(fault)
        return json_response(201, self._plan.summary())

    def _whoami(self, request: Request) -> Response:
        token = self._world.find_valid(request.credentials("Bearer") or request.credentials("token") or "")
        if token is None:
            refusal = _message(401, "Authorization has no token, or the token is unknown, has expired or was revoked")
            return refusal.with_headers({"WWW-Authenticate": "Bearer"})
        expires_at = None if token.expires_at is None else iso(token.expires_at)
        body = {"api": token.api, "expires_at": expires_at, "subject": token.subject}
        return json_response(200, body, [("Cache-Control", "no-store")])


def _message(status: int, message: str) -> Response:
    return json_response(status, {"message": message})
