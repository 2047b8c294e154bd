"""A session on a real sandbox, and what the browser would know of its widgets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comm
import comm.base_comm
import pytest
from ipywidgets import Widget
from ipywidgets.widgets.widget import _instances

from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.widgets.live import Live

from ..e2e.test_tutorials import leaks

DEADLINE = 300.0


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set and deleted, so that monkeypatch puts back what is injected.
    for name in ("ONEACCESS_TOKEN", "PAI_DLC_TOKEN", "MODELARTS_TOKEN", "EIAM_TOKEN", "MINE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def namespace() -> dict[str, Any]:
    """The notebook's variables."""
    return {}


@pytest.fixture
def profiles(sandbox: Sandbox, tmp_path: Path) -> dict[str, Any]:
    """The sandbox's five; a test may change them before it asks for the session."""
    return dict(sandbox.profiles(tmp_path))


@pytest.fixture
def session(profiles: dict[str, Any], namespace: dict[str, Any]) -> Iterator[TokenSession]:
    client = Client(Profiles.of(profiles))
    made = TokenSession(namespace, client)
    yield made
    Widget.close_all()
    made.close()
    client.close()
    until(lambda: not threads())


def threads() -> list[str]:
    """The widgets' threads that run."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("jupyter_tokens widgets"))


def until(seen: Callable[[], Any]) -> Any:
    """What another thread brings about sooner or later."""
    end = time.monotonic() + DEADLINE
    while not (value := seen()):
        assert time.monotonic() < end, "too late"
        time.sleep(0.01)
    return value


class FrontEnd:
    """Hears what the kernel sends on its comms.

    answers : what it says to the message of a kind on a comm that is not a widget's. closes : with which it hangs up.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.closes: dict[str, Any] = {}

    def reacts(self, line: comm.base_comm.BaseComm, kind: str) -> None:
        if line.target_name == "jupyter.widget":
            return
        if kind in self.answers:
            line.handle_msg({"content": {"data": self.answers[kind]}})
        if kind in self.closes:
            message = {"content": {"comm_id": line.comm_id, "data": self.closes[kind]}}
            comm.get_comm_manager().comm_close(None, None, message)

    def text(self) -> str:
        return json.dumps(self.heard, default=repr)


@pytest.fixture(autouse=True)
def front_end(monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    """See `FrontEnd`."""
    listening = FrontEnd()

    class Line(comm.base_comm.BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, **_keys: Any) -> None:
            listening.heard.append((self.target_name, msg_type, data or {}))

        def open(self, *arguments: Any, **options: Any) -> None:
            super().open(*arguments, **options)
            listening.reacts(self, "comm_open")

        def send(self, *arguments: Any, **options: Any) -> None:
            super().send(*arguments, **options)
            listening.reacts(self, "comm_msg")

    monkeypatch.setattr(comm, "create_comm", Line)
    return listening


def state() -> str:
    """All that a front end knows of the widgets, and that is saved with a notebook."""
    return json.dumps(
        [Widget.get_manager_state(), [widget.get_state() for widget in _instances.values()]], default=repr
    )


def leaked(front_end: FrontEnd, sandbox: Sandbox, *texts: str) -> set[str]:
    """The forms in which a secret or a token left the kernel, or may be saved."""
    return leaks("\n".join([front_end.text(), state(), *texts]), sandbox)


def shown(live: Live) -> Live:
    """As a cell shows it in a front end."""
    live._repr_mimebundle_()
    live.set_state({"_view_count": 1})
    return live
