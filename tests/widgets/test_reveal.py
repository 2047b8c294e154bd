"""A value is handed to a front end that has said it can show it, and to nobody else; with a real kernel too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_tokens import Token
from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.errors import NoValue
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.widgets.row import COMM_TARGET, NotShown, hand_over

from ..doubles import CANARY
from ..hearing import started
from .conftest import FrontEnd

READY, SHOWN = {"ready": True}, {"shown": True}
OPENING = {"profile": "mine", "action": "copy", "seconds": 20}


def token(value: str | None = CANARY) -> Token:
    return Token(value, profile="mine", provider="oneaccess", obtained_at=datetime.now(UTC))


def test_the_value_follows_when_the_front_end_is_ready(front_end: FrontEnd) -> None:
    front_end.answers = {"comm_open": READY, "comm_msg": SHOWN}
    hand_over(token(), "copy")
    assert front_end.heard == [
        (COMM_TARGET, "comm_open", OPENING),
        (COMM_TARGET, "comm_msg", {**OPENING, "value": CANARY}),
        (COMM_TARGET, "comm_close", {}),
    ]


def test_the_front_end_may_say_how_it_went_by_hanging_up(front_end: FrontEnd) -> None:
    front_end.answers, front_end.closes = {"comm_open": READY}, {"comm_msg": SHOWN}
    hand_over(token(), "copy")
    # What the other side has closed is not closed again.
    assert [kind for _, kind, _ in front_end.heard] == ["comm_open", "comm_msg"]


@pytest.mark.parametrize("last", [{}, None, READY, SHOWN])
def test_one_that_hangs_up_at_once_gets_no_value(front_end: FrontEnd, last: Any) -> None:
    front_end.closes = {"comm_open": last}
    with pytest.raises(NotShown, match="cannot show"):
        hand_over(token(), "show")
    assert [kind for _, kind, _ in front_end.heard] == ["comm_open"]


@pytest.mark.parametrize("answer", [None, {}, {"ready": False}, {"ready": 1}, {"shown": True}, "ready", ["ready"]])
def test_without_a_clear_yes_no_value_leaves(front_end: FrontEnd, answer: Any) -> None:
    front_end.answers = {"comm_open": answer}
    with pytest.raises(NotShown, match="cannot show"):
        hand_over(token(), "show")
    assert CANARY not in front_end.text()


def test_silence_is_a_no_and_the_line_is_closed(front_end: FrontEnd) -> None:
    with pytest.raises(NotShown) as caught:
        hand_over(token(), "show", timeout=0.01)
    assert [kind for _, kind, _ in front_end.heard] == ["comm_open", "comm_close"]
    assert "jupyter tokens get" in caught.value.hint


def test_what_the_front_end_says_went_wrong_is_told(front_end: FrontEnd) -> None:
    front_end.answers = {"comm_open": READY, "comm_msg": {"error": "The browser does not allow copying here."}}
    with pytest.raises(NotShown, match="does not allow copying"):
        hand_over(token(), "copy")


def test_an_error_that_holds_the_value_is_not_repeated(front_end: FrontEnd, caplog: pytest.LogCaptureFixture) -> None:
    # At DEBUG, the kernel logs each message that comes in, this one too.
    caplog.set_level(logging.INFO, logger="Comm")
    front_end.answers = {"comm_open": READY, "comm_msg": {"error": f"Cannot copy {CANARY}."}}
    with pytest.raises(NotShown) as caught:
        hand_over(token(), "copy")
    assert CANARY not in str(caught.value)


def test_one_that_was_ready_and_hung_up_gets_no_value(front_end: FrontEnd) -> None:
    front_end.answers, front_end.closes = {"comm_open": READY}, {"comm_open": {}}
    with pytest.raises(NotShown):
        hand_over(token(), "show")
    assert CANARY not in front_end.text()


def test_a_token_without_a_value_asks_nobody(front_end: FrontEnd) -> None:
    with pytest.raises(NoValue):
        hand_over(token(None), "show")
    assert not front_end.heard


PROGRAM = """
import threading
from jupyter_tokens import get_token
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.widgets.row import hand_over
token = get_token("oneaccess")
outcome = []
def reveal():
    try:
        hand_over(token, "show", timeout=30)
        outcome.append("shown")
    except Exception as error:
        outcome.append(str(error))
thread = threading.Thread(target=reveal)
thread.start()
"""


@pytest.fixture
def kernel(profiles: dict[str, Any], config_dir: Path) -> Iterator[BlockingKernelClient]:
    write_config(config_dir, profiles)
    manager, client = started()
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def heard(client: BlockingKernelClient, kind: str, target: str = COMM_TARGET) -> dict[str, Any]:
    """The next message of a kind that is about our comm."""
    while True:
        message = client.get_iopub_msg(timeout=300)
        content: dict[str, Any] = message["content"]
        if message["msg_type"] == kind and content.get("target_name", target) == target:
            return content


def say(client: BlockingKernelClient, comm_id: str, kind: str, data: dict[str, Any]) -> None:
    client.shell_channel.send(client.session.msg(kind, {"comm_id": comm_id, "data": data}))


def value_of(sandbox: Sandbox) -> str:
    (value,) = sandbox.issued
    return value


def test_over_a_real_kernels_comm_it_passes_the_redaction(kernel: BlockingKernelClient, sandbox: Sandbox) -> None:
    kernel.execute("%load_ext jupyter_tokens")
    kernel.execute(PROGRAM)
    opened = heard(kernel, "comm_open")
    assert opened["data"] == {"profile": "oneaccess", "action": "show", "seconds": 20}
    say(kernel, opened["comm_id"], "comm_msg", READY)
    assert heard(kernel, "comm_msg")["data"]["value"] == value_of(sandbox)
    say(kernel, opened["comm_id"], "comm_msg", SHOWN)
    heard(kernel, "comm_close")
    kernel.execute("thread.join(); print(*outcome, token.reveal())")
    text = ""
    # A kernel may send what is printed in parts.
    while not text.endswith("\n"):
        text += heard(kernel, "stream")["text"]
    assert text == "shown [token oneaccess]\n"


def test_a_real_front_end_without_a_place_gets_no_value(kernel: BlockingKernelClient, sandbox: Sandbox) -> None:
    kernel.execute(PROGRAM)
    opened = heard(kernel, "comm_open")
    say(kernel, opened["comm_id"], "comm_close", {})
    kernel.execute("thread.join(); print(*outcome)")
    told: list[dict[str, Any]] = []
    while not told or told[-1]["msg_type"] != "stream":
        told.append(kernel.get_iopub_msg(timeout=300))
    assert "cannot show" in told[-1]["content"]["text"]
    assert value_of(sandbox) not in str(told)
