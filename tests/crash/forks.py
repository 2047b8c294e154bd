"""A warm process: all is imported, no thread runs, and each process that a test kills is forked from it.

`python tests/crash/forks.py` takes lines of JSON: {"start": …} answers with the new process' id, {"wait": id} with the
status of its end. When the input ends, so do all that live.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.crash.fuse import Fuse, Point


def _cli(arguments: list[str]) -> None:
    from jupyter_tokens.cli.app import main

    sys.argv = ["jupyter-tokens", *arguments]
    main()


def _server(arguments: list[str]) -> None:
    """The first argument is a pipe, into which it writes its port when it serves."""
    from jupyter_server.serverapp import ServerApp

    ready, *options = arguments
    app = ServerApp.instance()
    # Without the extensions that happen to be installed.
    app.find_server_extensions = lambda: None  # type: ignore[method-assign]
    app.initialize(options)
    app.io_loop.add_callback(lambda: Path(ready).write_text(str(app.port)))
    app.start()


def _kernel(arguments: list[str]) -> None:
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(arguments)


def _program(arguments: list[str]) -> None:
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "cli": _cli,
    "server": _server,
    "kernel": _kernel,
    "program": _program,
}


def _warm() -> None:
    """Imports what an operation would else import: that would be most of its steps."""
    ours = ("cli.add", "cli.app", "cli.draft", "cli.get", "kernel.magics", "config.editing", "server.answers")
    for name in (
        *(f"jupyter_tokens.{name}" for name in (*ours, "server.app", "sources.local", "transport")),
        "argcomplete.completers",
        "httpcore",
        "ipykernel.ipkernel",
        "ipykernel.kernelapp",
        "jupyter_core.migrate",
        "jupyter_server.serverapp",
        "jupyter_server.services.kernels.connection.channels",
    ):
        import_module(name)
    from jupyter_tokens.providers.catalogue import provider_class, provider_ids

    for name in provider_ids():
        provider_class(name)


_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent has died."""


def _child(order: Mapping[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    os.setsid()
    # The first terminal that the leader of a session opens becomes its own.
    terminal, append = order["terminal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND
    standard = os.open(terminal or os.devnull, os.O_RDWR)
    for target, log in ((0, None), (1, order["out"]), (2, order["log"])):
        os.dup2(standard if terminal or log is None else os.open(log, append, 0o600), target)
    fuse = order["fuse"]
    if fuse is not None:
        lit = Fuse(tuple(fuse["entry"]), Point(*fuse["point"]), Path(fuse["report"]))
        if fuse["armed"]:
            lit.arm()
        else:
            signal.signal(signal.SIGUSR2, lit.arm)
    PROGRAMS[order["program"]](order["arguments"])


def _start(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _child(order)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main() -> None:
    _warm()
    # A thread would be missing in each fork, with the locks that it held.
    assert threading.active_count() == 1
    alive: set[int] = set()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    orders = os.fdopen(os.dup(0))
    print(json.dumps({"ready": True}), file=answers)
    try:
        for line in orders:
            order = json.loads(line)
            if "start" in order:
                pid = _start(order["start"])
                alive.add(pid)
                print(json.dumps({"pid": pid}), file=answers)
            else:
                _, status = os.waitpid(order["wait"], 0)
                alive.discard(order["wait"])
                print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), file=answers)
    finally:
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    _main()
