"""A real hub is killed and started again while its users fetch: which errors they see, and when these end."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.sources.cache import windows

from ..hearing import until_listening
from .notebooks import notebook
from .test_command import COMMAND
from .test_real_hub import RealHub, running_hub

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore::ResourceWarning")]
USERS = {"alice": "physics", "bob": "physics", "carol": "physics"}
LIFE = 10.0
# An expiry comes in whole seconds.
USED = LIFE - 1 - windows(LIFE)[0]
"""Seconds after which a token is fetched anew."""


class Ask(NamedTuple):
    """at : when it was answered, on the wall clock. outcome : "ok", or what else came."""

    at: float
    outcome: str


class Asking:
    """Asks again and again on a thread. Where errors end is what is looked at, so that an error is an outcome too."""

    def __init__(self, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        self.asks: list[Ask] = []
        self._ask = ask
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self._thread.start()

    def _go_on(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._told.wait(0.05):
                try:
                    status = self._ask(client).status_code
                    outcome = "ok" if status == httpx.codes.OK else f"HTTP {status}"
                except httpx.TransportError as error:
                    outcome = type(error).__name__
                self.asks.append(Ask(time.time(), outcome))

    def end(self) -> None:
        self._told.set()
        self._thread.join()


# What a notebook does that calls an API all the time. The websocket ends with the proxy, so it writes into a file.
NOTEBOOK = """
import json, time
from pathlib import Path
from jupyter_tokens import TokenError, get_token
asks, left, kept = [], Path({end!r}), Path({file!r})
while not left.exists():
    try:
        outcome = "ok" if get_token("shared").expires_in > 0 else "a dead token"
    except TokenError as error:
        outcome = type(error).__name__
    asks.append((time.time(), outcome))
    kept.with_suffix(".new").write_text(json.dumps(asks))
    kept.with_suffix(".new").rename(kept)
    time.sleep(0.05)
"""


@contextmanager
def notebooks_that_ask(hub: RealHub, stack: ExitStack) -> Iterator[Callable[[], dict[str, list[Ask]]]]:
    """One of each user; yields what says how they fared until now."""
    end = hub.folder / "end"
    files = {user: hub.folder / f"asks of {user}" for user in USERS}
    for user, file in files.items():
        opened = stack.enter_context(notebook(hub, user))
        opened.begin(NOTEBOOK.format(end=str(end), file=str(file)))
    hub.until(lambda: all(file.exists() for file in files.values()), 180)
    try:
        yield lambda: {
            f"notebook of {user}": [Ask(*ask) for ask in json.loads(file.read_text())] for user, file in files.items()
        }
    finally:
        end.touch()


@contextmanager
def service_of_its_own(hub: RealHub) -> Iterator[Path]:
    """The service as systemd starts it; yields its log."""
    command = [*COMMAND, "service", "--port", str(hub.service_port)]
    where = {"JUPYTER_CONFIG_DIR": str(hub.service_config), "JUPYTERHUB_API_URL": f"{hub.hub}/hub/api"}
    log = hub.folder / "service.log"
    with log.open("wb") as written:
        process = subprocess.Popen(command, env={**os.environ, **where}, stdout=written, stderr=written)
    try:
        until_listening(hub.service_port)
        yield log
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(life=LIFE) as served:
        yield served


@pytest.mark.parametrize("external", [True, False], ids=["service of its own", "service of the hub"])
def test_a_hub_that_is_killed_and_started_again(external: bool, tmp_path: Path, sandbox: Sandbox) -> None:
    hub = RealHub(tmp_path, sandbox, users=USERS, external=external)
    with ExitStack() as stack:
        log = stack.enter_context(service_of_its_own(hub)) if external else tmp_path / "hub.log"
        stack.enter_context(running_hub(hub))
        for user in USERS:
            hub.api.post(f"/hub/api/users/{user}")
        tokens = {user: hub.starts(user) for user in USERS}
        # As users' servers ask the service, as notebooks do it, and as the panel does it through the proxy.
        began = time.time()
        servers = {f"server of {user}": Asking(partial(_of_server, hub, token)) for user, token in tokens.items()}
        panels = {f"panel of {user}": Asking(partial(_of_panel, hub, user)) for user in USERS}
        for asking in (*servers.values(), *panels.values()):
            stack.callback(asking.end)
        in_notebooks = stack.enter_context(notebooks_that_ask(hub, stack))

        def seen() -> dict[str, list[Ask]]:
            return {who: list(asking.asks) for who, asking in {**servers, **panels}.items()} | in_notebooks()

        hub.until(lambda: all(len(asks) >= 20 for asks in seen().values()))
        killed, calls = time.time(), sandbox.requests["oneaccess"]
        hub.kill()
        if external:
            # Two lives without a hub.
            hub.until(lambda: sandbox.requests["oneaccess"] >= calls + 2)
        else:
            hub.until(lambda: all(asking.asks[-1].outcome != "ok" for asking in servers.values()))
        hub.begin()
        back = time.time()
        # Each of them is well again, and stays so for a life.
        hub.until(lambda: all(asks[-1].outcome == "ok" and asks[-1].at > back for asks in seen().values()))
        well, calls = time.time(), sandbox.requests["oneaccess"]
        hub.until(lambda: sandbox.requests["oneaccess"] > calls)
        hub.until(lambda: all(asks[-1].at > well + 1 for asks in seen().values()))
        found, ended = seen(), time.time()
    _tell(found, killed=killed, back=back)
    for asks in found.values():
        assert {ask.outcome for ask in asks if not killed <= ask.at <= well} == {"ok"}
    assert not [who for who, asks in found.items() if "a dead token" in {ask.outcome for ask in asks}]
    # One call a life, also while the hub was gone.
    assert sandbox.requests["oneaccess"] <= (ended - began) / USED + 1
    if external:
        # The hub's end is nothing to servers and notebooks. The panel's way is the hub's proxy, which a hub that
        # starts replaces.
        without_hub = [ask for who, asks in found.items() if not who.startswith("panel") for ask in asks]
        assert {ask.outcome for ask in without_hub} == {"ok"}
        assert '"stale": true' in log.read_text()


def _of_server(hub: RealHub, token: str, client: httpx.Client) -> httpx.Response:
    shown = {"Authorization": f"token {token}"}
    return client.post(f"{hub.service}/token", headers=shown, json={"profile": "shared"})


def _of_panel(hub: RealHub, user: str, client: httpx.Client) -> httpx.Response:
    path = f"{hub.url}{hub.prefix(user)}jupyter-tokens/profiles/shared/token"
    return client.post(path, headers=dict(hub.api.headers), json={})


def _tell(found: dict[str, list[Ask]], *, killed: float, back: float) -> None:
    print(f"\nthe hub was gone for {back - killed:.1f} s")
    for who, asks in found.items():
        errors = [ask for ask in asks if ask.outcome != "ok"]
        last = f", the last {errors[-1].at - back:+.1f} s after the hub was back" if errors else ""
        print(f"  {who}: {len(asks)} asks, errors {dict(Counter(ask.outcome for ask in errors))}{last}")
