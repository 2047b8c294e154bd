"""Kernels that ask their server for tokens, each by proofs with the key of its own connection file.

`python tests/load/kernels.py` takes its orders as JSON on standard input, and prints what the kernels saw.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from jupyter_tokens.protocol.proof import HEADER, prove


@dataclass
class Order:
    """Of one process. files : the kernels' connection files. begin : on the wall clock; it is one for all processes.

    turns : how often each kernel asks, each time for the next profile. interval : seconds between two of them.
    """

    port: int
    files: Sequence[str]
    profiles: Sequence[str]
    begin: float
    turns: int
    interval: float


@dataclass
class Seen:
    """taken : when a question was due after the beginning, and the seconds from then to its whole answer.

    obtained : of each profile, when the server had asked the vendor for the tokens that came.
    """

    taken: list[tuple[float, float]] = field(default_factory=list)
    obtained: dict[str, list[str]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)


class Kernel:
    def __init__(self, file: Path, order: Order, seen: Seen) -> None:
        self._id = file.stem.removeprefix("kernel-")
        self._key = json.loads(file.read_text())["key"].encode()
        self._order, self._seen = order, seen
        self._latest: dict[str, str] = {}

    async def ask(self, number: int) -> None:
        """number : of this kernel, by which the kernels are spread over the interval and over the profiles."""
        order = self._order
        reader, writer = await asyncio.open_connection("127.0.0.1", order.port)
        for turn in range(order.turns):
            due = order.interval * (turn + number / len(order.files))
            await asyncio.sleep(max(0.0, order.begin + due - time.time()))
            profile = order.profiles[(turn + number) % len(order.profiles)]
            try:
                writer.write(self._question(profile))
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                body = await reader.readexactly(int(head.partition("content-length:")[2].partition("\r\n")[0]))
                self._check(profile, head, json.loads(body))
            except (OSError, EOFError, ValueError, KeyError) as error:
                # By its kind: an answer holds a token.
                self._seen.wrong[type(error).__name__] += 1
                return
            self._seen.taken.append((due, time.time() - order.begin - due))
        writer.close()

    def _question(self, profile: str) -> bytes:
        body = json.dumps({"profile": profile, "params": {}, "refresh": False, "newer_than": None}).encode()
        proof = prove(self._key, self._id, "token", body, time=int(time.time()), nonce=uuid4().hex)
        head = [
            f"POST /jupyter-tokens/kernels/{self._id}/token HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            f"{HEADER}: {proof}",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + body

    def _check(self, profile: str, head: str, answer: Mapping[str, object]) -> None:
        status = head.partition("\r\n")[0]
        if status != "http/1.1 200 ok":
            self._seen.wrong[status] += 1
            return
        obtained, left, known = str(answer["obtained_at"]), answer["expires_in"], self._seen.obtained[profile]
        fine = {
            "the token of another profile": answer["profile"] == profile,
            "no value": bool(answer["value"]),
            "a dead token": isinstance(left, int | float) and left > 0,
            "an older token": obtained >= self._latest.get(profile, ""),
        }
        self._latest[profile] = obtained
        if obtained not in known:
            known.append(obtained)
        self._seen.wrong.update(problem for problem, no in fine.items() if not no)


async def ask(order: Order) -> Seen:
    seen = Seen(obtained={profile: [] for profile in order.profiles})
    kernels = [Kernel(Path(file), order, seen) for file in order.files]
    await asyncio.gather(*(kernel.ask(number) for number, kernel in enumerate(kernels)))
    return seen


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(ask(Order(**json.load(sys.stdin)))))))
