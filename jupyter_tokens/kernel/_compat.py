"""What we use of IPython, ipykernel and jupyter_client beyond what they promise, each with its reason.

Nothing else in `kernel/` and `widgets/` does. `tests/kernel/test_compat.py` looks for each item in the installed
versions, `make canary` in the pre-releases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

# An input transformer may only return lines: this makes the lines of a cell magic of them, as IPython itself would.
from IPython.core.inputtransformer2 import cell_magic

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic import Magics

__all__ = [
    "DELIMITER",
    "VIEW_COUNT",
    "Point",
    "call_later",
    "cell_magic",
    "expressions_point",
    "kernel_session",
    "line_magics",
    "log_point",
    "publish_text",
    "publisher",
    "publishes",
    "replace",
    "result_point",
    "send_point",
    "serialize_point",
    "show_instead",
    "traceback_point",
    "unregister",
]

DELIMITER = b"<IDS|MSG>"
"""Before the signature in the frames of a message: what is changed behind it has to be signed again."""

VIEW_COUNT = "_view_count"
"""Trait of a widget: only here does the front end report how many views of it there are."""


class Point(NamedTuple):
    """An attribute of an object that takes no hook, and so is replaced."""

    owner: Any
    name: str


_ABSENT = object()


def replace(owner: Any, name: str, replacement: object) -> Callable[[], None]:
    """Set an attribute of one object; return a function that restores it.

    If another extension has replaced it again by then, that replacement stays, and goes on calling ours.
    """
    attributes = vars(owner)
    before = attributes.get(name, _ABSENT)
    setattr(owner, name, replacement)

    def restore() -> None:
        if attributes.get(name) is replacement:
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    return restore


# Messages


def kernel_session(shell: InteractiveShell) -> Any:
    """The session through which a kernel sends all it sends, or None: a shell does not name it."""
    return getattr(getattr(shell, "kernel", None), "session", None)


def serialize_point(session: Any) -> Point:
    """Where every message becomes bytes. A session takes no filter, and exists before an extension is loaded."""
    return Point(session, "serialize")


def send_point(session: Any) -> Point:
    """Where every message is sent: a stream's text has to be held back there, if a value may be split in it."""
    return Point(session, "send")


def publisher(socket: Any) -> Any:
    """The kernel's publishing thread that a socket leads to, or None. No session says on which thread it sends."""
    thread = getattr(socket, "io_thread", None) or socket
    if hasattr(thread, "schedule") and hasattr(thread, "io_loop") and thread.thread.is_alive():
        return thread
    return None


def call_later(socket: Any, seconds: float, call: Callable[[], None]) -> None:
    """Calls something on the publishing thread, which has no timer of its own; its loop is used on that thread only."""
    thread = publisher(socket)
    if thread is not None:
        thread.schedule(lambda: thread.io_loop.call_later(seconds, call))


def publishes(stream: Any) -> bool:
    """Whether a stream sends what is printed, from a thread of its own."""
    return hasattr(stream, "pub_thread")


def publish_text(stream: Any, text: str) -> None:
    """Sends a text at once, on this thread. `flush` leaves the sending to the stream's thread."""
    stream.flush()  # what was printed before
    content = {"name": stream.name, "text": text}
    stream.session.send(stream.pub_thread, "stream", content, parent=stream.parent_header, ident=stream.topic)


# The shell


def traceback_point(shell: InteractiveShell) -> Point:
    """Where the lines of a traceback are shown. `set_custom_exc` would have to show the error itself."""
    return Point(shell, "_showtraceback")


def show_instead(error: BaseException, lines: Sequence[str]) -> None:
    """Has IPython show these lines in place of an error's traceback. `set_custom_exc` is the user's."""
    error._render_traceback_ = lambda: list(lines)  # type: ignore[attr-defined]


def expressions_point(shell: InteractiveShell) -> Point:
    """Where user expressions are evaluated, by which a server sets variables: no event says so."""
    return Point(shell, "user_expressions")


def result_point(shell: InteractiveShell) -> Point:
    """Where a result is recorded, before it is sent, and may go to a database at once."""
    return Point(shell.displayhook, "log_output")


def log_point(shell: InteractiveShell) -> Point:
    """Where `%logstart -o` writes what is shown: the logger takes no filter."""
    return Point(shell.logger, "log_write")


def line_magics(shell: InteractiveShell) -> dict[str, Callable[..., Any]]:
    """The line magics by name. `register_function` can add one, but neither wrap nor remove it."""
    magics: dict[str, Callable[..., Any]] = shell.magics_manager.magics["line"]
    return magics


def unregister(shell: InteractiveShell, magics: Magics) -> None:
    """Removes magics, for which IPython has no function."""
    configurables: list[Any] = shell.configurables
    # Or %config would go on setting these after the extension was loaded again.
    configurables.remove(magics)
    registered: Any = shell.magics_manager
    for kind, names in magics.magics.items():
        for name in names:
            registered.magics[kind].pop(name, None)
