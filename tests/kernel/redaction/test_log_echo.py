"""What reaches the server's log has no known value in it, and is otherwise what was written, byte by byte."""

from __future__ import annotations

import io
import os
import select
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ipykernel.iostream import IOPubThread, OutStream
from jupyter_client.session import Session

from jupyter_tokens.kernel.redaction import log_echo
from jupyter_tokens.kernel.redaction.known_values import KnownValues
from jupyter_tokens.kernel.redaction.log_echo import LogEcho
from jupyter_tokens.kernel.redaction.search import Search

VALUE = "7211546f57cd432790643bb6612da19d"
LABEL = b"[token x]"
WAIT = 300


class Unheard(IOPubThread):
    """What ipykernel's stream publishes through: here nobody listens."""

    def __init__(self) -> None:
        self.io_loop = None
        self.thread = threading.Thread()

    def schedule(self, call: Callable[[], None]) -> None:
        """Never."""


class Watched:
    """ipykernel's own stream on a descriptor of the test, whose log is a pipe that the test reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = KnownValues()
        known.add(VALUE, "token x")
        self.looked_for: Search | None = known.search()
        self.log, log = os.pipe()
        self.file = os.fdopen(log, "wb", buffering=0)
        monkeypatch.setattr("sys.stdout", self.file)
        self.stream = OutStream(Session(key=b"key"), Unheard(), "stdout", watchfd="force")
        self.before = type(self.stream)
        self.echo = LogEcho(self.stream, lambda: self.looked_for)
        self.writes = self.file.fileno()

    def logged(self, count: int) -> bytes:
        """So many bytes of the log."""
        data = b""
        while len(data) < count:
            assert select.select([self.log], [], [], WAIT)[0], data
            data += os.read(self.log, 65536)
        return data

    def close(self) -> None:
        self.echo.close()
        self.stream.close()
        self.file.close()
        os.close(self.log)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(monkeypatch)
    yield made
    made.close()


def echoers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "jupyter_tokens log"]


def test_a_value_does_not_reach_the_log(watched: Watched) -> None:
    os.write(watched.writes, f"a {VALUE} b\n".encode())
    assert watched.logged(14) == b"a [token x] b\n"


def test_a_value_that_is_split_between_two_reads_does_not_reach_the_log(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_echo, "HOLD_SECONDS", WAIT)
    os.write(watched.writes, f"a {VALUE[:9]}".encode())
    assert watched.logged(2) == b"a "
    os.write(watched.writes, f"{VALUE[9:]} b\n".encode())
    assert watched.logged(12) == b"[token x] b\n"


def test_an_end_that_nothing_follows_is_written_in_a_moment(watched: Watched) -> None:
    os.write(watched.writes, VALUE[:9].encode())
    assert watched.logged(9) == VALUE[:9].encode()


def test_bytes_that_are_no_text_come_out_as_they_went_in(watched: Watched) -> None:
    data = bytes(range(256)) * 200 + "é…".encode()
    writer = threading.Thread(target=os.write, args=(watched.writes, data))
    writer.start()
    assert watched.logged(len(data)) == data
    writer.join()


def test_switched_off_it_passes_on_all(watched: Watched) -> None:
    watched.looked_for = None
    os.write(watched.writes, VALUE.encode())
    assert watched.logged(len(VALUE)) == VALUE.encode()


def test_other_threads_find_the_logs_descriptor(watched: Watched) -> None:
    os.write(watched.stream.fileno(), b"a subprocess that is given the stream\n")
    assert watched.logged(38)
    assert not echoers()


def test_it_is_still_ipykernels_stream(watched: Watched) -> None:
    assert isinstance(watched.stream, OutStream)
    assert type(watched.stream).__name__ == "OutStream"


def test_closing_writes_what_is_there_and_leaves_no_thread_and_no_trace(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_echo, "HOLD_SECONDS", WAIT)
    os.write(watched.writes, f"a {VALUE[:9]}".encode())
    watched.logged(2)
    assert echoers()
    watched.echo.close()
    assert watched.logged(9) == VALUE[:9].encode()
    assert not echoers()
    assert type(watched.stream) is watched.before
    os.write(watched.writes, VALUE.encode())
    assert watched.logged(len(VALUE)) == VALUE.encode()


def test_it_can_be_opened_again(watched: Watched) -> None:
    watched.echo.close()
    watched.echo = LogEcho(watched.stream, lambda: watched.looked_for)
    os.write(watched.writes, VALUE.encode() + b"\n")
    assert watched.logged(10) == LABEL + b"\n"


def test_what_python_prints_is_searched_where_it_is_copied_to_the_terminal() -> None:
    class Stream:
        echo: Any = None

    known = KnownValues()
    known.add(VALUE, "token x")
    stream, terminal = Stream(), io.StringIO()
    stream.echo = terminal
    searches = [known.search()]
    echo = LogEcho(stream, lambda: searches[-1])
    stream.echo.write(f"{VALUE}\n")
    stream.echo.flush()
    searches.append(None)  # type: ignore[arg-type]
    stream.echo.write("as it is")
    assert terminal.getvalue() == "[token x]\nas it is"
    echo.close()
    assert stream.echo is terminal


def test_a_stream_that_is_not_watched_is_left_alone() -> None:
    stream = io.StringIO()
    LogEcho(stream, lambda: None).close()
    assert type(stream) is io.StringIO
