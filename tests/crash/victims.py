"""Starts processes from a warm one, and hears of their ends."""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .fuse import PACKAGE, Point, Steps
from .home import Home

SECONDS = 300
"""For whatever a process does, on a busy machine."""
COUNT = Point("any", 0)
ON_LINUX = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="handles of processes are Linux'")]
SEED = 20261122


@dataclass
class Victim:
    """A process. report : what its fuse has written. end : a handle that can be read from when it has ended."""

    forks: Forks
    pid: int
    report: Path
    end: int

    def arm(self) -> None:
        os.kill(self.pid, signal.SIGUSR2)

    def kill(self) -> None:
        """From outside; it may be dead already, but its id is nobody else's before `wait`."""
        os.kill(self.pid, signal.SIGKILL)

    def struck(self, point: Point, does: Callable[[], object]) -> None:
        """Has it do something, and die of it."""
        if point.kind != "time":
            self.arm()
            does()
            return
        blow = threading.Timer(point.number / 1e6, self.kill)
        blow.start()
        does()
        blow.join()

    def wait(self) -> int:
        """Until it has ended: its exit code, or the signal with a minus before it."""
        ended = select.select([self.end], [], [], SECONDS)[0]
        self.kill()
        status = int(self.forks.ask({"wait": self.pid})["status"])
        os.close(self.end)
        assert ended, "the process did not end"
        return status

    def counted(self) -> Steps:
        """The steps of the operation so far."""
        return Steps(*map(int, self.report.read_text().split()))

    def place(self) -> str:
        """Where in the source it killed itself; empty if it did not."""
        return self.report.read_text()


class Forks:
    """The warm process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(
        self,
        home: Home,
        program: str,
        *arguments: str,
        point: Point | None = None,
        entry: tuple[str, str] = ("", ""),
        armed: bool = False,
        terminal: str | None = None,
    ) -> Victim:
        """point : where it is to kill itself, once it is armed and has called the entry. terminal : its own."""
        report = home.beside / "report"
        report.unlink(missing_ok=True)
        fuse = {"point": point, "entry": entry, "armed": armed, "report": str(report)}
        order = {
            "program": program,
            "arguments": arguments,
            "environment": home.environment,
            "folder": str(home.work),
            "log": str(home.log),
            "out": str(home.out),
            "terminal": terminal,
            "fuse": None if point is None else fuse,
        }
        pid = int(self.ask({"start": order})["pid"])
        return Victim(self, pid, report, os.pidfd_open(pid))


class Toll:
    """Where the processes of one series were killed; tells at the end."""

    def __init__(self, series: str) -> None:
        self.series = series
        self.places: Counter[str] = Counter()
        self.left = 0

    def points(self, steps: Steps, times: int, *, seconds: float = 0.0) -> Iterator[Point]:
        """Drawn by a fixed seed, by turns among all steps, our own, and those that write.

        seconds : that the operation takes; then there are moments as well, in microseconds, for kills from outside.
        """
        rng = random.Random(f"{SEED} {self.series}")
        most = {**steps._asdict(), "time": int(seconds * 1e6)}
        kinds = itertools.cycle(kind for kind, number in most.items() if number)
        for kind in itertools.islice(kinds, times):
            yield Point(kind, rng.randint(1, most[kind]))

    def note(self, point: Point, victim: Victim) -> None:
        """A process is dead."""
        if point.kind == "time":
            self.places["from outside"] += 1
        else:
            self.places[victim.place().removeprefix(f"{PACKAGE}/") or "at its end"] += 1

    def tell(self) -> None:
        """Also checks that the kills were what they were meant to be."""
        times, rooms = self.places.total(), Counter[str]()
        for place, number in self.places.items():
            rooms["libraries" if place[0] in "/<" else place.partition(":")[0]] += number
        print(f"\n{self.series}: {times} kills at {len(self.places)} places:")
        print("  " + ", ".join(f"{room} {number}" for room, number in rooms.most_common()))
        print(f"  {self.left} times a temporary file was left until the next start")
        # The number of steps varies a little, with what threads do.
        assert self.places["at its end"] <= 1 + times // 10
        assert len(self.places) >= (times - self.places["from outside"]) // 3


@contextmanager
def forks() -> Iterator[Forks]:
    """The warm process, and at the end the end of all that was forked from it."""
    program = [sys.executable, str(Path(__file__).with_name("forks.py"))]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline(), "the warm process did not start"
        yield Forks(process)
        process.stdin.close()
        assert process.wait(SECONDS) == 0
