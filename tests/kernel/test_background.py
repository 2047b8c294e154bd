"""Reports to the server: none is lost when a session ends."""

from __future__ import annotations

import threading

from jupyter_tokens.kernel.background import Reporter


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "jupyter_tokens reports":
            thread.join(60)


def test_a_change_right_before_the_end_is_reported() -> None:
    held, sent, begun = ["one"], [], threading.Event()

    def send(_last: object) -> object:
        sent.append(held[0])
        begun.set()
        return held[0]

    reporter = Reporter(send)
    reporter.notify()
    assert begun.wait(60)
    held[0] = "another"
    reporter.notify()
    reporter.stop()
    ended()
    assert sent[-1] == "another"
