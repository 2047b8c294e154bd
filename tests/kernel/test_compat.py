"""What `kernel/_compat.py` uses of other projects is there in the installed versions."""

from __future__ import annotations

import ast
import inspect
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ipywidgets
import jupyter_client.session
import pytest
import zmq
from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class
from jupyter_client.session import Session

from jupyter_tokens.kernel import _compat

ROOT = Path(_compat.__file__).parents[1]
WAIT = 300


class Published:
    """ipykernel's own publishing thread and stream, on a socket that nobody reads."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.thread = IOPubThread(self.context.socket(zmq.PUB))
        self.thread.start()
        self.stream = OutStream(Session(key=b"key"), self.thread, "stdout", watchfd=False)

    def close(self) -> None:
        self.stream.close()
        self.thread.stop()
        self.thread.close()
        self.context.term()


@pytest.fixture
def published() -> Iterator[Published]:
    made = Published()
    yield made
    made.close()


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


class Owner:
    def method(self) -> str:
        return "own"


def test_a_method_comes_back_and_nothing_is_left() -> None:
    owner = Owner()
    restore = _compat.replace(owner, "method", lambda: "ours")
    assert owner.method() == "ours"
    restore()
    restore()
    assert owner.method() == "own"
    assert not vars(owner)


def test_what_somebody_had_put_there_before_comes_back() -> None:
    owner = Owner()
    owner.method = theirs = lambda: "theirs"  # type: ignore[method-assign]
    _compat.replace(owner, "method", lambda: "ours")()
    assert owner.method is theirs


def test_what_somebody_puts_there_afterwards_stays() -> None:
    owner = Owner()
    restore = _compat.replace(owner, "method", lambda: "ours")
    owner.method = theirs = lambda: "theirs"  # type: ignore[method-assign]
    restore()
    assert owner.method is theirs


REPLACED: dict[str, Callable[[InteractiveShell], Any]] = {
    "jupyter_client serialize": lambda _shell: Session(key=b"key"),
    "jupyter_client send": lambda _shell: Session(key=b"key"),
    f"IPython {_compat.SHOW_TRACEBACK}": lambda shell: shell,
    "IPython user_expressions": lambda shell: shell,
    "IPython log_output": lambda shell: shell.displayhook,
    "IPython log_write": lambda shell: shell.logger,
}


@pytest.mark.parametrize("name", REPLACED)
def test_what_is_replaced_is_there(shell: InteractiveShell, name: str) -> None:
    package, attribute = name.split()
    owner = REPLACED[name](shell)
    assert callable(getattr(owner, attribute, None)), f"{attribute} is gone from {package} {version(package)}"


def test_ipykernels_shell_shows_tracebacks_in_the_same_place() -> None:
    attribute = _compat.SHOW_TRACEBACK
    assert attribute in vars(ZMQInteractiveShell), f"{attribute} is gone from ipykernel {version('ipykernel')}"


def test_a_kernels_shell_has_its_kernel_and_that_has_a_session() -> None:
    for owner, name in ((ZMQInteractiveShell, "kernel"), (IPythonKernel, "session")):
        assert hasattr(owner, name), f"{owner.__name__}.{name} is gone from ipykernel {version('ipykernel')}"


def test_a_plain_shell_has_no_session(shell: InteractiveShell) -> None:
    assert _compat.kernel_session(shell) is None


def test_the_frames_of_a_message_are_divided_where_we_look() -> None:
    session = Session(key=b"key")
    frames = session.serialize(session.msg("stream", {"name": "stdout", "text": "x"}))
    at = frames.index(_compat.DELIMITER) + 1
    assert _compat.DELIMITER == jupyter_client.session.DELIM
    assert frames[at] == session.sign(frames[at + 1 : at + 5])
    assert session.unpack(frames[at + 4]) == {"name": "stdout", "text": "x"}


def test_a_call_comes_on_the_publishing_thread(published: Published) -> None:
    came = threading.Event()
    threads: list[threading.Thread] = []

    def call() -> None:
        threads.append(threading.current_thread())
        came.set()

    assert _compat.publisher(published.stream.pub_thread) is published.thread
    _compat.call_later(published.thread, 0.001, call)
    assert came.wait(WAIT)
    assert threads == [published.thread.thread]


def test_a_thread_that_has_ended_publishes_nothing(published: Published) -> None:
    published.thread.stop()
    assert _compat.publisher(published.thread) is None
    _compat.call_later(published.thread, 0.001, lambda: pytest.fail("it was called"))


def test_a_stream_sends_a_text_at_once(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(published.stream.session, "send", lambda *given, **_how: sent.append(given))
    assert _compat.publishes(published.stream)
    _compat.publish_text(published.stream, "now")
    assert sent == [(published.thread, "stream", {"name": "stdout", "text": "now"})]


def test_an_error_shows_other_lines(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("hidden")
    _compat.set_traceback(error, ["shown instead"])
    shell.user_ns["error"] = error
    shell.run_cell("raise error")
    printed = capsys.readouterr()
    assert "shown instead" in printed.out + printed.err
    assert "hidden" not in printed.out + printed.err


def test_a_cell_magic_becomes_lines(shell: InteractiveShell) -> None:
    (line,) = _compat.cell_magic(["%%time\n", "1 + 1\n"])
    assert line == "get_ipython().run_cell_magic('time', '', '1 + 1\\n')\n"


def test_magics_are_found_and_removed(shell: InteractiveShell) -> None:
    @magics_class
    class Mine(Magics):
        @line_magic
        def of_this_test(self, line: str) -> None:
            """Nothing."""

    mine: Any = Mine(shell)  # Any: IPython says that all configurables are shells
    shell.register_magics(mine)
    assert "of_this_test" in _compat.line_magics(shell)
    assert mine in shell.configurables
    _compat.unregister(shell, mine)
    assert "of_this_test" not in _compat.line_magics(shell)
    assert mine not in shell.configurables


def test_the_front_end_counts_a_widgets_views() -> None:
    assert _compat.VIEW_COUNT in ipywidgets.VBox().keys, f"it is gone from ipywidgets {version('ipywidgets')}"


def test_no_other_module_here_uses_a_private_name_of_another_object() -> None:
    protocols = {"_repr_mimebundle_", "_replace", "_asdict"}  # IPython's display protocol; of named tuples
    found = []
    for path in [*ROOT.glob("kernel/**/*.py"), *ROOT.glob("widgets/*.py"), *ROOT.glob("cli/**/*.py")]:
        if path == Path(inspect.getfile(_compat)):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id="self" | "cls")):
                    pass
                case ast.Attribute(attr=name) if name[0] == "_" and name[:2] != "__" and name not in protocols:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert not found
