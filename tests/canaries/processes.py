"""What `ps` shows of every process, and the system of our own: their arguments, environments and limits."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from .places import ARGUMENTS, ENVIRONMENT
from .traces import Trace

EVERY_SECONDS = 0.1
_KERNEL = b"ipykernel_launcher"
_ROLES = {b"jupyterlab": "server", b"vendors.py": "vendors", b"jupyter_tokens.cli.app": "command"}


class Processes(threading.Thread):
    """Looks again and again until it is told to end. home : the HOME that only the run's own processes have."""

    def __init__(self, home: Path) -> None:
        super().__init__(name="looks at processes", daemon=True)
        self._home = f"HOME={home}".encode()
        self._over = threading.Event()
        self._traces: set[Trace] = set()
        # Neither changes while a program runs.
        self._looked_at: set[tuple[int, bytes]] = set()
        self.core_limits: dict[str, set[str]] = {}

    def run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self.look()

    def end(self) -> set[Trace]:
        """All that was seen."""
        assert self.is_alive(), "it has not looked until now"
        self._over.set()
        self.join()
        return self._traces

    def look(self) -> None:
        """At those that have come since, and programs that have taken another's place."""
        running: dict[int, bytes] = {}
        for process in Path("/proc").glob("[0-9]*"):
            # Of those that have just ended there is nothing.
            with suppress(OSError):
                running[int(process.name)] = (process / "cmdline").read_bytes()
        for number, arguments in running.items() - self._looked_at:
            self._looked_at.add((number, arguments))
            program = Path(os.fsdecode(arguments.partition(b"\0")[0])).name
            self._traces.add(Trace(ARGUMENTS, program, arguments))
            with suppress(OSError):
                self._look_inside(number, running)

    def _look_inside(self, number: int, running: dict[int, bytes]) -> None:
        process = Path("/proc", str(number))
        variables = (process / "environ").read_bytes().split(b"\0")
        if self._home not in variables:
            return
        role = _role(number, running)
        self.core_limits.setdefault(role, set()).add(_core_limit((process / "limits").read_text()))
        for variable in variables:
            name = os.fsdecode(variable.partition(b"=")[0])
            self._traces.add(Trace(ENVIRONMENT, f"{role}: {name}", variable))


def _core_limit(limits: str) -> str:
    for line in limits.splitlines():
        if line.startswith("Max core file size"):
            return line.split()[-3]
    raise ProcessLookupError("It has just ended.")


def _role(number: int, running: dict[int, bytes]) -> str:
    arguments = running[number]
    if _KERNEL in arguments:
        return "kernel"
    above = _parent(number)
    while above in running:
        if _KERNEL in running[above]:
            return "child of a kernel"
        above = _parent(above)
    words = arguments.split(b"\0")
    known = [role for word, role in _ROLES.items() if any(each.endswith(word) for each in words)]
    return known[0] if known else Path(os.fsdecode(words[0])).name.rstrip("0123456789.")


def _parent(number: int) -> int:
    with suppress(OSError):
        # After the name, which may hold anything.
        return int(Path("/proc", str(number), "stat").read_text().rpartition(")")[2].split()[1])
    return 0
