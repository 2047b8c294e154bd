"""The sandbox in a process of its own, with its log in a file, which tells every token that it has handed out.

This file is the process's program too: it reads its accounts, tells where it serves, and then, for each line that it
reads, all tokens, and whatever else of a login has to stay secret.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import httpx

from jupyter_tokens.sandbox import Accounts, Sandbox, app, running
from jupyter_tokens.sandbox.api import Issued, World
from jupyter_tokens.sandbox.messages import Request, Response
from jupyter_tokens.sandbox.openid import PREFIX
from jupyter_tokens.sandbox.profiles import neighbours, profiles
from jupyter_tokens.sandbox.server import Server


@dataclass
class Vendors:
    """The five APIs, seen from outside."""

    accounts: Accounts
    process: subprocess.Popen[str]
    url: str

    def profiles(self, secrets: Path) -> dict[str, dict[str, Any]]:
        return profiles(self.accounts, self.url, secrets)

    def openid(self, secrets: Path) -> dict[str, Any]:
        """The profile that a person logs in to."""
        return neighbours(self.accounts, self.url, secrets)["openid"]

    def issued(self) -> dict[str, str]:
        """All tokens that there ever were, and whose each is."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told: dict[str, str] = json.loads(self.process.stdout.readline())
        return told

    def calls(self, api: str) -> int:
        asked = httpx.get(f"{self.url}/_sandbox/requests").raise_for_status()
        return int(asked.json()[api])

    def fails(self, api: str, kind: str) -> None:
        """The next call does."""
        httpx.post(f"{self.url}/_sandbox/faults", json={"api": api, "kind": kind}).raise_for_status()


@contextmanager
def serving(accounts: Accounts, folder: Path, environment: dict[str, str]) -> Iterator[Vendors]:
    """folder : for its log, and the addresses that it was asked for."""
    command = [sys.executable, __file__, str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        (folder / "vendors.log").open("w") as log,
        subprocess.Popen(command, env=environment, stderr=log, text=True, **pipes) as process,
    ):
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asdict(accounts)) + "\n")
            process.stdin.flush()
            yield Vendors(accounts, process, json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def _of_a_login(request: Request, answer: Response) -> Iterator[tuple[str, str]]:
    """What the provider and its clients tell each other, and nobody else: each value, and what it is."""
    said = {name: values[0] for name, values in parse_qs(request.body.decode("latin-1")).items()}
    back = parse_qs(urlsplit(dict(answer.headers).get("Location", "")).query)
    given = json.loads(answer.body) if answer.body.startswith(b"{") else {}
    for name, where in (
        ("code", {name: values[0] for name, values in back.items()}),
        ("code_verifier", said),
        ("device_code", given),
        ("refresh_token", given),
        ("id_token", given),
    ):
        if isinstance(value := where.get(name), str):
            yield value, f"openid-{name}"


def main(folder: Path) -> None:
    logging.basicConfig(level=logging.DEBUG)
    issued: dict[str, str] = {}
    issue = World.issue

    def remembered(world: World, value: str, token: Issued) -> None:
        # What is revoked later, too.
        issued[value] = token.api
        issue(world, value, token)

    class Logging(Server):
        def __init__(self, handle: Callable[[Request], Response], *options: Any) -> None:
            def logged(request: Request) -> Response:
                with (folder / "addresses.txt").open("a", encoding="utf-8") as file:
                    file.write(f"{request.method} {request.target}\n")
                answer = handle(request)
                if request.path.startswith(PREFIX):
                    issued.update(_of_a_login(request, answer))
                return answer

            super().__init__(logged, *options)

    with (
        patch.object(World, "issue", remembered),
        patch.object(app, "Server", Logging),
        running(Sandbox(Accounts.from_mapping(json.loads(sys.stdin.readline())))) as sandbox,
    ):
        print(json.dumps(sandbox.url), flush=True)
        for _ in sys.stdin:
            print(json.dumps(issued), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
