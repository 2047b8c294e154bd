"""A kernel, killed while it fetches a token, while it injects it into a file, and while it keeps that file fresh."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from .fuse import Point
from .home import Home
from .victims import COUNT, ON_LINUX, SECONDS, Forks, Toll, Victim

pytestmark = ON_LINUX

FULL, FEW = 200, 4
FIRST = "s3cr3t-of-the-first-day"
INJECT = "%gettoken first --refresh --file token.txt"

# The token is due for its refresh when its clocks have gone on by 1550 of its 1800 seconds; the refresher is woken as
# it would be after the machine has slept. `refreshed` comes back when the file holds another token.
PASSING_TIME = """
import threading
from pathlib import Path
from jupyter_tokens.clock import SystemClock
from jupyter_tokens.kernel.session import get_session

session = get_session(get_ipython())

def refreshed():
    before, changed = Path("token.txt").read_text(), threading.Event()
    end = session.watch(changed.set)
    for clock in ("now", "elapsed"):
        setattr(SystemClock, clock, staticmethod(lambda real=getattr(SystemClock, clock): real() + 1550))
    session.refresher.wake()
    while Path("token.txt").read_text() == before:
        assert changed.wait(50)
        changed.clear()
    end()
"""


class Kernel:
    """One that has loaded the extension."""

    def __init__(self, victim: Victim, client: BlockingKernelClient) -> None:
        self.victim = victim
        self._client = client
        self.run("%load_ext jupyter_tokens")

    def run(self, code: str) -> None:
        answer = self._answer(code)
        assert answer is not None
        assert answer["status"] == "ok", answer

    def _answer(self, code: str) -> dict[str, Any] | None:
        """None if it has died of it."""
        self._client.execute(code)
        poller = zmq.Poller()
        poller.register(self._client.shell_channel.socket, zmq.POLLIN)
        poller.register(self.victim.end, zmq.POLLIN)
        ready = dict(poller.poll(SECONDS * 1000))
        assert ready, code
        return None if self.victim.end in ready else dict(self._client.get_shell_msg(timeout=SECONDS)["content"])

    def struck(self, point: Point, code: str) -> None:
        self.victim.struck(point, lambda: self._answer(code))


Start = Callable[..., Any]


@pytest.fixture
def start(warm: Forks, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Start:
    home.begin_with("first", FIRST)
    # The path of a socket has to be short.
    folder = tmp_path_factory.mktemp("k")
    connection = str(folder / "kernel.json")
    write_connection_file(connection, transport="ipc", ip=str(folder / "s"), key=b"c0nnection-key-of-the-test")

    @contextmanager
    def start(entry: tuple[str, str], point: Point | None = None) -> Iterator[Kernel]:
        """entry : see `Fuse`. At the end the kernel is killed in any case."""
        inside = None if point is None or point.kind == "time" else point
        victim = warm.start(home, "kernel", "-f", connection, point=inside, entry=entry)
        client = BlockingKernelClient()
        client.load_connection_file(connection)
        client.start_channels(hb=False, stdin=False)
        try:
            yield Kernel(victim, client)
        finally:
            client.stop_channels()
            victim.kill()
            assert victim.wait() == -9, home.log.read_text()
            for socket in folder.glob("s-*"):
                socket.unlink()

    return start


def series(
    start: Start, home: Home, toll: Toll, times: int, *, entry: tuple[str, str], code: str, prepare: str = ""
) -> None:
    """Kills kernels that run `code`; each of them first does what one does that is not killed."""
    file = home.work / "token.txt"
    with start(entry, COUNT) as kernel:
        kernel.run(INJECT)
        kernel.run(prepare)
        kernel.victim.arm()
        began = time.perf_counter()
        kernel.run(code)
        # Slower than without counting.
        seconds = (time.perf_counter() - began) / 2
        steps = kernel.victim.counted()
    for turn, point in enumerate(toll.points(steps, times, seconds=seconds)):
        with start(entry, point) as kernel:
            # It is the start after the last one's death.
            kernel.run("%tokens")
            kernel.run(INJECT)
            assert not home.leftovers()
            before: str | None = file.read_text()
            assert before == home.issued()[-1]
            kernel.run(prepare)
            if code == INJECT and turn % 3 == 2:
                file.unlink()
                before = None
            known = len(home.issued())
            kernel.struck(point, code)
        toll.note(point, kernel.victim)
        new = home.issued()[known:]
        left = home.leftovers()
        toll.left += bool(left)
        found = file.read_text() if file.exists() else None
        assert found in {before, *new}
        assert found is None or stat.S_IMODE(file.stat().st_mode) == 0o600
        tokens = {path for path in left if path.parent == home.work}
        assert home.holding(new) <= {file, *tokens}
        assert all(path.read_text() in new for path in tokens)
        assert all(path.parent == home.digests for path in left - tokens)
    home.leave(file)
    with start(entry) as kernel:
        kernel.run(INJECT)
    assert not home.leftovers()
    assert set(home.profiles()) == {"first"}
    assert home.holding([FIRST]) == {home.store("first")}
    assert home.holding(home.issued()) == {file}
    toll.tell()


def test_fetch(start: Start, home: Home, full: bool) -> None:
    toll = Toll("kernel, fetch")
    code = "%gettoken first --refresh --var token"
    series(start, home, toll, FULL if full else FEW, entry=("kernel/magics.py", "gettoken"), code=code)


def test_injection_into_a_file(start: Start, home: Home, full: bool) -> None:
    toll = Toll("kernel, injection into a file")
    series(start, home, toll, FULL if full else FEW, entry=("kernel/magics.py", "gettoken"), code=INJECT)


def test_refresh_of_a_file(start: Start, home: Home, full: bool) -> None:
    toll, entry = Toll("kernel, refresh of a file"), ("sources/cache.py", "_run")
    series(start, home, toll, FULL if full else FEW, entry=entry, code="refreshed()", prepare=PASSING_TIME)
