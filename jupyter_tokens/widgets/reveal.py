"""Hands a value to a front end that can show it without saving it, and to no other; knows no widget.

A comm of its own, because whatever a widget holds is saved with the notebook. It is opened without the value, which
follows only after the front end has said that it has a place for it. The contract is in docs/widgets.md.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Literal

import comm

from ..errors import TokenError
from ..kernel.redaction.revealing import revealing

if TYPE_CHECKING:
    from ..token import Token

__all__ = ["SECONDS", "TARGET", "Action", "NoPlace", "hand_over"]

Action = Literal["show", "copy"]

TARGET = "jupyter_tokens.reveal"
"""Name of the comm's target in the front end."""
SECONDS = 20
"""How long a value stays on the screen."""
_PATIENCE_SECONDS = 2.0


class NoPlace(TokenError):
    """No front end has a place that shows a value without saving it."""


def hand_over(token: Token, action: Action, *, patience: float = _PATIENCE_SECONDS) -> None:
    """Has the front end show or copy the value; blocks until it has, or at most twice `patience` seconds.

    Raises `NoPlace` if no front end can, `NoValue` for a token that has none.
    """
    told = {"profile": token.profile, "action": action, "seconds": SECONDS}
    value = token.reveal()
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # Listening before it is opened, so that no answer can be missed.
    line = comm.create_comm(target_name=TARGET, primary=False)
    line.on_msg(lambda message: answers.put(message["content"].get("data")))
    hung_up = threading.Event()

    def hang_up(message: dict[str, Any]) -> None:
        hung_up.set()
        # It can say with it how it went, but is ready for nothing any more.
        answers.put({**(message["content"].get("data") or {}), "ready": False})

    line.on_close(hang_up)
    try:
        line.open(data=told)
        _expect(answers, "ready", patience)
        if hung_up.is_set():
            raise _no_place()
        with revealing():
            line.send({**told, "value": value})
        _expect(answers, "shown", patience, unless=value)
    finally:
        if not hung_up.is_set():
            line.close()


def _expect(answers: queue.SimpleQueue[Any], word: str, patience: float, *, unless: str | None = None) -> None:
    """Waits for an answer that says so. unless : what an error must not hold, for it is shown in a widget."""
    try:
        answer = answers.get(timeout=patience)
    except queue.Empty:
        answer = None
    if not isinstance(answer, dict):
        raise _no_place()
    if answer.get(word) is not True:
        problem = str(answer.get("error") or "")
        raise _no_place("" if unless is not None and unless in problem else problem[:200])


def _no_place(problem: str = "") -> NoPlace:
    return NoPlace(
        problem or "This front end has no place to show a token without saving it.",
        hint="Install jupyter_tokens for JupyterLab too, or print(token.reveal()) where the output is not kept.",
    )
