"""What redaction adds to a cell that prints 10 MB in a kernel that knows 20 values, seen by the kernel's client."""

from __future__ import annotations

import base64
import os
import random
import secrets
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient, KernelManager

from jupyter_tokens.kernel.redaction.known_values import KnownValues

from .measure import Row

_WAIT = 120
# As long as those of the five APIs and their secrets: hexadecimal digits, letters of base64 and a JWT.
_PREPARE = """
import base64, random, secrets, string
from jupyter_tokens.kernel import redaction
from jupyter_tokens.client import shared_client

class Switch:
    on = True

def words(characters):
    letters = "".join(random.choices(string.ascii_lowercase + "    ", k=characters))
    return letters.ljust(characters, ".")

redaction.start(get_ipython(), shared_client(), lambda: Switch.on)
known = []
for number in range(4):
    known += [secrets.token_hex(16), secrets.token_hex(20), f"SATF{secrets.token_urlsafe(90)}",
              f"eyJhbGciOiJIUzI1NiJ9.{secrets.token_urlsafe(150)}.{secrets.token_urlsafe(32)}",
              secrets.token_urlsafe(30)]
for number, value in enumerate(known):
    get_ipython()._jupyter_tokens_redaction.add(value, f"profile-{number}")
lines = [words(79) for _ in range(131_072)]
long_lines = [words(1023) for _ in range(10_240)]
text = "\\n".join(lines)
encoded = base64.b64encode(random.randbytes(7_864_320)).decode()
with_values = [line if number % 1000 else f"{line[:30]} {known[0]}" for number, line in enumerate(lines)]
"""
_CELLS = {
    "lines of 80": ("for line in lines: print(line)", 1.10),
    "a value in 1 of 1000 lines": ("for line in with_values: print(line)", None),
    "lines of 1024": ("for line in long_lines: print(line)", None),
    "one text": ("print(text)", None),
    "one text of base64": ("print(encoded)", None),
}


class _Kernel:
    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> float:
        """Seconds until the client has heard all of what a cell does."""
        began = time.perf_counter()
        asked = self._client.execute(code)
        failed: list[Any] = []
        while True:
            message = self._client.get_iopub_msg(timeout=_WAIT)
            if message["parent_header"].get("msg_id") == asked:
                if message["msg_type"] == "error":
                    failed.append(message["content"]["evalue"])
                if message["content"].get("execution_state") == "idle":
                    break
        seconds = time.perf_counter() - began
        while self._client.get_shell_msg(timeout=_WAIT)["parent_header"].get("msg_id") != asked:
            pass
        if failed:
            raise RuntimeError(failed[0])
        return seconds


@contextmanager
def _kernel() -> Iterator[_Kernel]:
    manager = KernelManager()
    # The kernel's own remarks belong to nobody here.
    with Path(os.devnull).open("w") as nowhere:
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        manager.start_kernel(env={**os.environ, "PYTHONPATH": path}, stdout=nowhere, stderr=nowhere)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_WAIT)
        yield _Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def added(rounds: int) -> Iterator[Row]:
    """Each kind of text with redaction on and off, in turn: 10 % are promised for lines.

    The ratio is the median of those of neighbours, which a busy machine slows alike.
    """
    with _kernel() as kernel:
        kernel.run(_PREPARE)
        for name, (code, limit) in _CELLS.items():
            taken: dict[bool, list[float]] = {False: [], True: []}
            for number in range(rounds + 1):
                for on in (False, True) if number % 2 else (True, False):
                    kernel.run(f"Switch.on = {on}")
                    seconds = kernel.run(code)
                    if number:  # the first time warms up
                        taken[on].append(seconds)
            ratio = statistics.median(on / off for off, on in zip(taken[False], taken[True], strict=True))
            yield Row("redaction", f"{name}, off", statistics.median(taken[False]), 1.0)
            yield Row("redaction", f"{name}, on", statistics.median(taken[True]), ratio, limit)


def many(values: int = 1_000, rounds: int = 9) -> Iterator[Row]:
    """A search of 10 MB for 20 values and for many, in turn, and what it takes to know one value more.

    In seconds of the processor: nobody waits for anything here.
    """
    few, all_of_them = KnownValues(), KnownValues()
    taken: list[float] = []
    for number in range(values):
        value = secrets.token_urlsafe(24 + number % 200)
        if number < 20:
            few.add(value, "token x")
        began = time.thread_time()
        all_of_them.add(value, "token x")
        taken.append(time.thread_time() - began)
    text = base64.b64encode(random.randbytes(7_864_320))
    searches: list[tuple[float, float]] = []
    for _ in range(rounds):
        times = [time.thread_time()]
        for known in (few, all_of_them):
            known.search().may_hold(text)
            times.append(time.thread_time())
        searches.append((times[1] - times[0], times[2] - times[1]))
    first, second = (statistics.median(column) for column in zip(*searches, strict=True))
    yield Row("redaction", "search of 10 MB, 20 values", first, 1.0)
    yield Row("redaction", f"search of 10 MB, {values:,} values", second, second / first)
    begin, end = statistics.median(taken[:100]), statistics.median(taken[-100:])
    yield Row("redaction", "one value more, of the first 100", begin, 1.0)
    yield Row("redaction", f"one value more, of the last 100 of {values:,}", end, end / begin)


if __name__ == "__main__":
    for row in [*many(), *added(int(sys.argv[1]) if len(sys.argv) > 1 else 15)]:
        print(f"{row.name:<52} {row.seconds * 1e3:>9.2f} ms {row.ratio:>6.3f}{'' if row.held else '  broken'}")
