"""Every route with every kind of stranger. A new route is in this table as soon as it is in ROUTES."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from tornado import web

from jupyter_tokens.protocol.handles import Handle, Handles
from jupyter_tokens.protocol.proof import HEADER
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.service.app import ROUTES, Route, TokenService
from jupyter_tokens.service.handlers import OWNER

from ..doubles import Clock
from .conftest import ALICE, BOB, CAROL, NARROW, PROMETHEUS, SERVICE, Ask, Browser, Hub, user
from .test_service import _path

CALLS = [(method, route) for route in ROUTES for method in route.callers]
BODY = b"{}"


class Scene(NamedTuple):
    """Alice has a handle, and is logged in by a browser."""

    service: TokenService
    application: web.Application
    hub: Hub
    clock: Clock
    handle: Handle
    cookies: dict[str, str]

    def proof(self) -> str:
        return self.handle.prove("token", BODY, time=int(self.clock.now()), nonce=uuid4().hex)


def _nothing(_: Scene) -> dict[str, str]:
    return {}


def _token(token: str) -> Callable[[Scene], dict[str, str]]:
    return lambda _: {"Authorization": f"token {token}"}


def _revoked(scene: Scene) -> dict[str, str]:
    """A token that the hub knew, as the server was not stopped then."""
    scene.hub.owners.pop(ALICE)
    scene.clock.advance(scene.service.cache_max_age)
    # Of the login's cache there is one clock only, the machine's.
    scene.application.settings["login"].cache.clear()
    return {"Authorization": f"token {ALICE}"}


def _revoked_handle(scene: Scene) -> dict[str, str]:
    scene.service.handles.revoke(scene.handle.id)
    return {HEADER: scene.proof()}


def _replayed(scene: Scene) -> dict[str, str]:
    """Another replica has let it in."""
    proof = scene.proof()
    Handles(scene.clock, scene.service.records).check(scene.handle.id, "token", proof, BODY)
    return {HEADER: proof}


def _cookie(scene: Scene) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in scene.cookies.items())}


# What each shows, and the statuses of its answers: by who may use the route, and for the page by method; all else.
_SENT_AWAY: dict[str, int] = {"get people": 302, "post people": 403}
_MINE: dict[str, int] = {"users": 200, "owner": 404, "get people": 200, "post people": 400}
STRANGERS: dict[str, tuple[Callable[[Scene], dict[str, str]], dict[str, int], int]] = {
    "no token": (_nothing, _SENT_AWAY, 401),
    "a made-up cookie": (lambda _: {"Cookie": f"service-jupyter-tokens={ALICE}"}, _SENT_AWAY, 401),
    "a browser's cookie": (_cookie, {"get people": 200, "post people": 403}, 401),
    "another scheme": (lambda _: {"Authorization": f"Basic {ALICE}"}, _SENT_AWAY, 401),
    "a wrong token": (_token("hub-t0ken-of-nobody"), _SENT_AWAY, 403),
    "a token without the scope of access": (_token(NARROW), {}, 403),
    "another user": (_token(BOB), _MINE, 403),
    "a user without a grant": (_token(CAROL), _MINE, 403),
    "another service": (_token(SERVICE), {}, 403),
    "Prometheus": (_token(PROMETHEUS), {"read:metrics": 200}, 403),
    "a revoked token": (_revoked, _SENT_AWAY, 403),
    "a revoked handle": (_revoked_handle, _SENT_AWAY, 401),
    "a proof that another replica has let in": (_replayed, _SENT_AWAY, 401),
}


@pytest.fixture
def scene(
    service: TokenService, application: web.Application, hub: Hub, clock: Clock, browse: Callable[[], Browser]
) -> Scene:
    handle = Handle.new("oneaccess", {})
    facts: dict[str, Any] = {"handle_id": handle.id, "key": handle.key.hex(), "profile": "oneaccess", "params": {}}
    service.handles.issue(OWNER + "alice", **facts)
    browser = browse()
    browser.page(ALICE)
    return Scene(service, application, hub, clock, handle, dict(browser.client.cookies))


@pytest.mark.parametrize(("method", "route"), CALLS, ids=[f"{method} {route.pattern}" for method, route in CALLS])
@pytest.mark.parametrize("stranger", STRANGERS)
def test_every_route_with_every_stranger(
    method: str, route: Route, stranger: str, scene: Scene, ask: Ask, sandbox: Sandbox
) -> None:
    show, by_kind, else_ = STRANGERS[stranger]
    who = route.callers[method]
    body: Any = {} if method == "post" else None
    if who == "granted" and method == "post":
        body = {"profile": "oneaccess"}
        if route.pattern == "v1/handles":
            body |= {"id": uuid4().hex, "key": "0" * 64}
    answer = ask(method, _path(route.pattern, "oneaccess", scene.handle.id, "revoke"), None, body, headers=show(scene))
    always = {"anybody": 200, "login": 400, "holder": 403}
    page = {f"{method} people": 403 for method in ("get", "post")}
    expected = always.get(who) or ({**page, **by_kind}.get(f"{method} {who}") or by_kind.get(who, else_))
    assert answer.status_code == expected
    if answer.status_code >= 400 and who not in {"people", "login"}:
        assert set(answer.json()) >= {"message", "reason", "code", "request_id", "retryable"}
    assert sandbox.requests.total() == 0
    assert [issued.id for issued in scene.service.handles.in_use()] == (
        [] if stranger == "a revoked handle" else [scene.handle.id]
    )


def test_a_token_in_a_query_opens_nothing(ask: Ask, scene: Scene) -> None:
    for method, route in CALLS:
        body = {"profile": "oneaccess"} if route.pattern == "v1/token" else {} if method == "post" else None
        path = _path(route.pattern, "oneaccess", scene.handle.id, "revoke")
        status = ask(method, path, None, body, params={"token": ALICE}).status_code
        assert status == {"anybody": 200, "login": 400, "holder": 403, "people": {"get": 302}.get(method, 403)}.get(
            route.callers[method], 401
        )


def test_a_refused_worker_is_recorded_with_its_profile(
    ask: Ask, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    counted = 'jupyter_tokens_service_asks_total{outcome="not_granted",profile="oneaccess",user="alice"} '

    def refusals() -> float:
        lines = ask("GET", "metrics", PROMETHEUS).text.splitlines()
        return sum(float(line.removeprefix(counted)) for line in lines if line.startswith(counted))

    scene.hub.owners[ALICE] = user("alice")
    scene.clock.advance(scene.service.cache_max_age)
    assert ask("POST", "v1/profiles", ALICE, {}).status_code == 200
    before = refusals()
    path = f"v1/handles/{scene.handle.id}/token"
    assert ask("POST", path, None, {}, headers={HEADER: scene.proof()}).status_code == 403
    assert refusals() == before + 1
    assert '"profile": "oneaccess", "reason": "not_granted", "user": "alice"' in caplog.text


def test_the_hint_about_a_missing_scope_is_for_the_tokens_owner(ask: Ask, hub: Hub) -> None:
    hub.owners[PROMETHEUS] = {"kind": "service", "name": "prometheus", "scopes": ["read:metrics"]}
    of_service, of_user = (ask("GET", "metrics", token).json()["message"] for token in (PROMETHEUS, NARROW))
    assert "load_roles" in of_service
    assert "server_token_scopes" not in of_service
    assert "server_token_scopes" in of_user


def test_the_proof_is_good_where_it_was_not_used(ask: Ask, scene: Scene) -> None:
    path = f"v1/handles/{scene.handle.id}/token"
    assert ask("POST", path, None, {}, headers={HEADER: scene.proof()}).status_code == 200
