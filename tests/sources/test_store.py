"""Real processes that share a store, against the sandbox: how many calls they make, and what a death costs."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.sandbox import Sandbox

from ..cli.machine import SECONDS
from ..hearing import started, until_heard
from .conftest import write

FETCH = """
import hashlib, logging, sys
from jupyter_tokens import TokenError, get_token
from jupyter_tokens.client import shared_client
logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
shared_client().source
print("ready", flush=True)
sys.stdin.readline()
try:
    print(hashlib.sha256(get_token("oneaccess").reveal().encode()).hexdigest())
except TokenError as error:
    print(error.reason)
"""
KERNEL = "import hashlib\nfrom jupyter_tokens import get_token\n"
KERNEL += 'print(hashlib.sha256(get_token("oneaccess").reveal().encode()).hexdigest())'
CANARY = "c4n4ry-5ecr3t-of-0neaccess"


class Process:
    """A cold process that has everything but a token."""

    def __init__(self, before: str = "") -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", before + FETCH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> Process:
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == "ready\n"
        return self

    def go(self) -> Process:
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()
        return self

    def end(self) -> str:
        """The digest of its token, or the reason why it has none."""
        out, self.err = self.popen.communicate(timeout=SECONDS)
        return out.strip()


Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[Process] = []

    def start(before: str = "") -> Process:
        begun.append(Process(before))
        return begun[-1]

    yield start
    for process in begun:
        process.popen.kill()
        process.popen.communicate()


@pytest.fixture
def profile(sandbox: Sandbox, tmp_path: Path, config_dir: Path) -> dict[str, Any]:
    """Configured, with its secret in a file."""
    profile = sandbox.profiles(tmp_path)["oneaccess"]
    write(config_dir, oneaccess=profile)
    return profile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "store"
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", f"file:{folder}")
    return folder


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "file":
        return str(request.getfixturevalue("folder"))
    url: str = request.getfixturevalue("redis_server").url
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", url)
    return url


def together(start: Start, count: int) -> list[str]:
    """How cold processes end that ask at the same moment."""
    processes = [start() for _ in range(count)]
    for process in processes:
        process.ready()
    for process in processes:
        process.go()
    return [process.end() for process in processes]


def test_twelve_cold_processes_make_one_call(
    sandbox: Sandbox, store: str, profile: dict[str, Any], start: Start
) -> None:
    ends = together(start, 12)
    assert len(set(ends)) == 1
    assert len(ends[0]) == 64
    assert sandbox.requests["oneaccess"] == 1
    # They all came at once to where no key was.
    assert len((Path(os.environ["JUPYTER_DATA_DIR"]) / "jupyter_tokens_store.key").read_text().split()) == 1


def test_six_processes_with_one_wrong_secret_make_one_call(
    sandbox: Sandbox, store: str, profile: dict[str, Any], tmp_path: Path, start: Start
) -> None:
    Path(str(profile["client_secret"]).removeprefix("file:")).write_text(CANARY)
    assert together(start, 6) == ["unauthorized"] * 6
    assert sandbox.requests["oneaccess"] == 1


def test_the_command_a_program_and_a_kernel_share(
    sandbox: Sandbox, folder: Path, profile: dict[str, Any], start: Start
) -> None:
    command = [sys.executable, "-m", "jupyter_tokens.cli.app", "get", "oneaccess"]
    token = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout.strip()
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert start().ready().go().end() == digest
    manager, client = started()
    try:
        until_heard(client, SECONDS)
        texts: list[str] = []
        client.execute_interactive(
            KERNEL, output_hook=lambda m: texts.append(m["content"].get("text", "")), timeout=SECONDS
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert digest in "".join(texts)
    assert sandbox.requests["oneaccess"] == 1


def test_a_holder_that_is_killed_in_its_call_is_followed_by_another(
    sandbox: Sandbox, store: str, profile: dict[str, Any], start: Start
) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "hang"})
    holder, follower = start().ready().go(), start().ready()
    while sandbox.requests["oneaccess"] == 0:
        assert holder.popen.poll() is None
    follower.go()
    holder.popen.send_signal(signal.SIGKILL)
    assert len(follower.end()) == 64
    assert sandbox.requests["oneaccess"] == 2
    sandbox.clear_faults()


KILLS = """
import hashlib, os, random, signal, sys, time
from jupyter_tokens.sources.local import LocalSource
dice, slowest = random.Random(int(sys.argv[2])), 0.0
mine = LocalSource()
key = mine.key("oneaccess")
mine.get(key)
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        source = LocalSource()
        while True:
            source.get(key, refresh=True)
    time.sleep(dice.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    began = time.monotonic()
    assert LocalSource().get(key).reveal()
    assert mine.get(key, refresh=True).reveal()
    slowest = max(slowest, time.monotonic() - began)
print(slowest)
"""


@pytest.mark.slow
def test_holders_that_are_killed_at_any_moment_cost_nobody_anything(
    sandbox: Sandbox,
    folder: Path,
    profile: dict[str, Any],
    full: bool,
) -> None:
    count = 200 if full else 20
    command = [sys.executable, "-W", "ignore", "-c", KILLS, str(count), "7"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert (ended.returncode, ended.stderr) == (0, "")
    # The kernel frees a lock at once; a call's time limit is 30 s.
    assert float(ended.stdout) < 10
    assert {file.suffix for file in folder.iterdir()} == {".slot", ".lock"}


# The largest file that the process may write: as a full disk, with another error number.
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"


def test_a_disk_that_takes_nothing_more_costs_only_the_sharing(
    sandbox: Sandbox, folder: Path, profile: dict[str, Any], start: Start
) -> None:
    # With a key; what cannot be written is the lock, and then the slot.
    first = start().ready().go().end()
    for file in folder.glob("*.slot"):
        file.unlink()
    full = start(FULL).ready().go()
    assert len(full.end()) == 64
    assert "The token store is not used" in full.err
    assert full.err.count("\n") == 1
    assert list(folder.glob("*.slot")) == []
    assert start().ready().go().end() != first


# Root may write everywhere: without this it is as anybody else.
WITHOUT_PRIVILEGE = """
import ctypes, os
if os.geteuid() == 0:
    masks = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), masks) == 0
"""


def test_a_read_only_folder_still_serves(sandbox: Sandbox, folder: Path, profile: dict[str, Any], start: Start) -> None:
    first = start().ready().go().end()
    folder.chmod(0o500)
    assert start(WITHOUT_PRIVILEGE).ready().go().end() == first
    (slot,) = folder.glob("*.slot")
    slot.unlink()
    alone = start(WITHOUT_PRIVILEGE).ready().go()
    assert len(alone.end()) == 64
    assert "The token store is not used" in alone.err
    assert list(folder.glob("*.slot")) == []
    assert sandbox.requests["oneaccess"] == 2
