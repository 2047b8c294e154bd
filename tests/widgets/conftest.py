"""A session on a real sandbox, and what the browser would know of its widgets."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import comm
import comm.base_comm
import pytest
from IPython.core.formatters import DisplayFormatter
from ipywidgets import HTML, Box, Button, HBox, VBox, Widget
from ipywidgets.widgets.widget import _instances

from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.widgets import live
from jupyter_tokens.widgets.live import Live, Snapshot

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


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A widget waits for its first look however busy the machine is, so that it has its rows when it is made."""
    monkeypatch.setattr(live, "READ_TIMEOUT_SECONDS", DEADLINE)


@pytest.fixture
def session(profiles: dict[str, Any], namespace: dict[str, Any]) -> Iterator[TokenSession]:
    client = Client(Profiles.from_settings(profiles))
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


class Viewer:
    """Notes by whom it is drawn, and of what."""

    def __init__(self, *, counts: bool = False) -> None:
        self.counts = counts
        self.drawn: list[str] = []
        self.seen: Snapshot | None = None

    def render(self, seen: Snapshot, now: float) -> bool:
        self.drawn.append(threading.current_thread().name)
        self.seen = seen
        return self.counts


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
            manager: Any = comm.get_comm_manager()  # Any: a stream and an identity are not needed
            manager.comm_close(None, None, message)

    def text(self) -> str:
        return json.dumps(self.heard, default=repr)


@pytest.fixture(autouse=True)
def front_end(monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    """See `FrontEnd`."""
    listening = FrontEnd()

    class Line(comm.base_comm.BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, *_more: Any, **_keys: Any) -> None:
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
    known: dict[str, Any] = {}
    for widget in models().values():
        # One that the feed's thread closes meanwhile is saved no more.
        with suppress(AttributeError):
            known |= Widget.get_manager_state(widgets=[widget])["state"]
    return json.dumps(known, default=repr)


def models() -> dict[str, Widget]:
    """The widgets that there are, by their ids; no public list of ipywidgets bears that some are being closed."""
    return dict(_instances)


def leaked(front_end: FrontEnd, sandbox: Sandbox, *texts: str) -> set[str]:
    """The forms in which a secret or a token left the kernel, or may be saved."""
    return leaks("\n".join([front_end.text(), state(), *texts]), sandbox)


def bundle(live: Live) -> dict[str, Any]:
    """What a cell that shows it puts out."""
    data: dict[str, Any] = DisplayFormatter().format(live)[0]
    return data


def shown(live: Live) -> Live:
    """As a cell shows it in a front end."""
    bundle(live)
    live.set_state({"_view_count": 1})
    return live


def within(box: Box) -> Iterator[Widget]:
    """All that is in a box, at any depth."""
    for child in box.children:
        yield child
        if isinstance(child, Box):
            yield from within(child)


def text_of(*widgets: Widget) -> str:
    """The HTML that is seen of them."""
    return "".join(it.value for it in widgets if isinstance(it, HTML) and it.layout.display != "none")


class Row:
    """A profile's row, by what a user sees of it."""

    def __init__(self, box: Box) -> None:
        self.box = box

    @property
    def name(self) -> str:
        found = re.search(r"<strong>(.*?)</strong>", text_of(*within(self.box)))
        assert found is not None
        return found[1]

    def says(self, text: str) -> bool:
        return text in text_of(*within(self.box))

    def buttons(self) -> set[str]:
        return {it.description for it in within(self.box) if isinstance(it, Button)}

    def __getitem__(self, label: str) -> Any:
        """The control with this description or placeholder."""
        (control,) = (
            it for it in within(self.box) if label in (getattr(it, "description", ""), getattr(it, "placeholder", ""))
        )
        return control

    def is_at_rest(self) -> bool:
        return f"jupyter_tokens widgets: {self.name}" not in threads()

    def clicked(self, button: str, text: str) -> None:
        """Clicks, and waits for what is drawn then."""
        self[button].click()
        until(lambda: self.is_at_rest() and self.says(text))


def rows(live: Live) -> dict[str, Row]:
    """The rows of a card or a panel by their profiles' names."""
    # Its first line begins with the profile's name.
    lines = [(box, line) for box in within(live) if isinstance(box, VBox) for line in box.children[:1]]
    found = [Row(box) for box, line in lines if isinstance(line, HBox) and "<strong>" in text_of(*line.children[:1])]
    return {row.name: row for row in found}
