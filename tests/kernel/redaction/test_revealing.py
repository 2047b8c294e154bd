"""What is revealed on purpose is that block's and that thread's alone."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

import pytest

from jupyter_tokens.kernel.redaction.revealing import is_revealing, revealing


class Stream:
    """What revealing needs of ipykernel's stream."""

    name = "stdout"
    topic = b"stream.stdout"
    pub_thread = object()

    def __init__(self) -> None:
        self.told: list[str] = []
        self.session = self
        self.parent_header = {"msg_id": "cell"}

    def write(self, text: str) -> int:
        self.told.append(f"write {text}")
        return len(text)

    def flush(self) -> None:
        self.told.append("flush")

    def send(self, socket: object, kind: str, content: dict[str, Any], *, parent: Any, ident: Any) -> None:
        assert (socket, kind, parent, ident) == (self.pub_thread, "stream", self.parent_header, self.topic)
        assert is_revealing()
        self.told.append(f"send {content['name']} {content['text']}")


@contextmanager
def printing() -> Iterator[Stream]:
    # Not in a fixture: pytest puts its own stream there between the fixtures and the test.
    stream = Stream()
    with redirect_stdout(cast("TextIO", stream)), redirect_stderr(io.StringIO()):
        yield stream


def test_within_the_block_what_is_printed_is_sent_at_once() -> None:
    with printing() as stream:
        sys.stdout.write("before")
        with revealing(), revealing():
            sys.stdout.write("within")
        sys.stdout.write("after")
    assert stream.told == ["write before", "flush", "send stdout within", "write after"]
    assert "write" not in vars(stream)


def test_other_threads_reveal_nothing() -> None:
    with printing() as stream, revealing():
        other = threading.Thread(target=lambda: sys.stdout.write(str(is_revealing())))
        other.start()
        other.join()
    assert stream.told == ["write False"]


def test_it_ends_with_the_block_also_after_an_error() -> None:
    def fail() -> None:
        with revealing():
            assert is_revealing()
            raise ValueError

    with printing() as stream, pytest.raises(ValueError):
        fail()
    assert not is_revealing()
    assert "write" not in vars(stream)
