"""A Jupyter server, killed while it fetches a token and while it writes a profile with a secret."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from .fuse import Point
from .home import Home
from .victims import COUNT, ON_LINUX, SECONDS, Forks, Toll, Victim

pytestmark = ON_LINUX

FULL, FEW = 200, 4
LOGIN = "l0gin-of-the-test"
FIRST = "s3cr3t-of-the-first-day"


class Server:
    """One that serves."""

    def __init__(self, victim: Victim, client: httpx.Client) -> None:
        self.victim = victim
        self._client = client

    def fetch(self, name: str = "first") -> None:
        answer = self._client.post(f"/jupyter-tokens/profiles/{name}/token", json={"refresh": True})
        assert answer.status_code == 200, answer.text

    def put(self, name: str, profile: dict[str, Any]) -> None:
        self._client.put(f"/jupyter-tokens/profiles/{name}", json=profile).raise_for_status()

    def profiles(self) -> set[str]:
        """Those with which nothing is wrong."""
        listed = self._client.get("/jupyter-tokens/profiles").json()["profiles"]
        return {profile["name"] for profile in listed if profile["error"] is None}

    def struck(self, point: Point, does: Callable[[], None]) -> None:
        def asked() -> None:
            with suppress(httpx.TransportError):
                does()

        self.victim.struck(point, asked)


Serve = Callable[..., Any]


@pytest.fixture
def serve(warm: Forks, home: Home) -> Serve:
    ready = home.beside / "ready"
    os.mkfifo(ready)
    options = [
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={home.work}",
        f"--IdentityProvider.token={LOGIN}",
        "--ServerApp.jpserver_extensions={'jupyter_tokens': True}",
        "--ServerApp.open_browser=False",
        "--ServerApp.allow_root=True",
        "--TokensExtension.allow_edit=True",
        "--debug",
    ]

    @contextmanager
    def serve(function: str, point: Point | None = None) -> Iterator[Server]:
        """function : of the handler that is to be killed. At the end the server is killed in any case."""
        inside = None if point is None or point.kind == "time" else point
        entry = "server/handlers.py", function
        victim = warm.start(home, "server", str(ready), *options, point=inside, entry=entry)
        url = f"http://127.0.0.1:{_told(ready, victim)}"
        with httpx.Client(base_url=url, headers={"Authorization": f"token {LOGIN}"}, timeout=SECONDS) as client:
            yield Server(victim, client)
        victim.kill()
        assert victim.wait() == -9, home.log.read_text()

    return serve


def _told(pipe: Path, by: Victim) -> str:
    """What a process writes into a pipe; empty if it ends before that."""
    handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ready = select.select([handle, by.end], [], [], SECONDS)[0]
        return os.read(handle, 100).decode() if handle in ready else ""
    finally:
        os.close(handle)


def test_fetch(serve: Serve, home: Home, full: bool) -> None:
    home.begin_with("first", FIRST)
    before = home.profiles()
    with serve("post", COUNT) as server:
        server.fetch()
        began = time.perf_counter()
        server.fetch()
        seconds = time.perf_counter() - began
        server.victim.arm()
        server.fetch()
        steps = server.victim.counted()
    toll = Toll("server, fetch")
    for point in toll.points(steps, FULL if full else FEW, seconds=seconds):
        with serve("post", point) as server:
            server.fetch()
            server.struck(point, server.fetch)
        toll.note(point, server.victim)
        assert home.profiles() == before
        assert not home.leftovers()
    home.leave(home.file, home.store("first"))
    with serve("post") as server:
        assert not home.leftovers()
        assert server.profiles() == {"first"}
        server.fetch()
    assert home.holding([FIRST]) == {home.store("first")}
    assert not home.holding(home.issued())
    toll.tell()


def test_put(serve: Serve, home: Home, full: bool) -> None:
    """New profiles, and new secrets of one that there is."""
    home.begin_with("first", FIRST)
    secret = FIRST
    with serve("put", COUNT) as server:
        began = time.perf_counter()
        server.put("timed", _with_secret(home, "s3cr3t-timed"))
        seconds = time.perf_counter() - began
        server.victim.arm()
        server.put("counted", _with_secret(home, "s3cr3t-counted"))
        steps = server.victim.counted()
    toll = Toll("server, put")
    for turn, point in enumerate(toll.points(steps, FULL if full else FEW, seconds=seconds)):
        name, new, before = "first" if turn % 3 else f"profile-{turn}", f"s3cr3t-{turn:04}", home.profiles()
        with serve("put", point) as server:
            # It is the start after the last one's death.
            assert not home.leftovers()
            assert server.profiles() == set(before)
            server.fetch()
            server.struck(point, partial(server.put, name, _with_secret(home, new)))
        toll.note(point, server.victim)
        ways = [{**home.profile(), "client_secret": home.reference(name, end)} for end in ("", ".2")]
        assert home.profiles() in (before, *({**before, name: way} for way in ways))
        changed = home.profiles() != before
        if changed or name == "first":
            # The profile is the old one or the new one, with the secret that belongs to it.
            assert home.written(name) == (new if changed else secret)
        if changed and name == "first":
            secret = new
            home.accept(secret)
        left = home.leftovers()
        toll.left += bool(left)
        assert home.holding([new]) <= {*home.stores(name), *left}
        assert home.holding([secret]) <= home.stores("first") | left
    with serve("put") as server:
        assert not home.leftovers()
        server.put("last", _with_secret(home, "s3cr3t-of-the-last-day"))
        assert server.profiles() == set(home.profiles())
        home.accept("s3cr3t-of-the-last-day")
        server.fetch("last")
        home.accept(secret)
        server.fetch("first")
    assert home.holding([secret]) <= home.stores("first")
    assert not home.holding(home.issued())
    toll.tell()


def _with_secret(home: Home, secret: str) -> dict[str, Any]:
    return {**home.profile(), "client_secret": {"value": secret, "store": "file"}}
