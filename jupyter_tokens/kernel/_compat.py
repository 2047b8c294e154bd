"""Every use of private names of IPython, ipykernel and jupyter_client, each with its reason.

No other module in `kernel/` and `widgets/` uses private names. `tests/kernel/test_compat.py` checks each item against
the installed versions, and `make canary` checks it against pre-releases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

# An input transformer may only return lines: this turns them into a call of a cell magic, as IPython itself does.
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
"""The frame before a message's signature. Whatever is changed after it has to be signed again."""

VIEW_COUNT = "_view_count"
"""Trait of a widget in which the front end reports the number of its views; there is no public one."""


class Point(NamedTuple):
    """An attribute that is replaced because its owner offers no hook."""

    owner: Any
    name: str


_ABSENT = object()


def replace(owner: Any, name: str, replacement: object) -> Callable[[], None]:
    """Set an attribute of one object; return a function that restores it.

    If another extension has replaced the attribute in the meantime, its replacement stays and still calls ours.
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
    """The session that sends all of the kernel's messages, or None. A shell has no public attribute for it."""
    return getattr(getattr(shell, "kernel", None), "session", None)


def serialize_point(session: Any) -> Point:
    """Where every message becomes bytes. A session offers no filter, and already exists when extensions are loaded."""
    return Point(session, "serialize")


def send_point(session: Any) -> Point:
    """Where every message is sent. Stream text is held back here if its end may be the start of a value."""
    return Point(session, "send")


def publisher(socket: Any) -> Any:
    """The kernel's publishing thread behind a socket, or None. A session does not say which thread it sends on."""
    thread = getattr(socket, "io_thread", None) or socket
    if hasattr(thread, "schedule") and hasattr(thread, "io_loop") and thread.thread.is_alive():
        return thread
    return None


def call_later(socket: Any, seconds: float, call: Callable[[], None]) -> None:
    """Call a function later, on the publishing thread. The thread offers no timer, and only it may use its loop."""
    thread = publisher(socket)
    if thread is not None:
        thread.schedule(lambda: thread.io_loop.call_later(seconds, call))


def publishes(stream: Any) -> bool:
    """Whether a stream has a thread of its own, which publishes what is printed."""
    return hasattr(stream, "pub_thread")


def publish_text(stream: Any, text: str) -> None:
    """Send text immediately, on this thread. `flush` would leave the sending to the stream's thread."""
    stream.flush()  # what was printed before
    content = {"name": stream.name, "text": text}
    stream.session.send(stream.pub_thread, "stream", content, parent=stream.parent_header, ident=stream.topic)


# The shell


def traceback_point(shell: InteractiveShell) -> Point:
    """Where the lines of a traceback are shown. A `set_custom_exc` handler would have to format the error itself."""
    return Point(shell, "_showtraceback")


def show_instead(error: BaseException, lines: Sequence[str]) -> None:
    """Make IPython show these lines instead of an error's traceback. `set_custom_exc` is left to the user."""
    error._render_traceback_ = lambda: list(lines)  # type: ignore[attr-defined]


def expressions_point(shell: InteractiveShell) -> Point:
    """Where user expressions are evaluated. The server sets variables with them; IPython fires no event for them."""
    return Point(shell, "user_expressions")


def result_point(shell: InteractiveShell) -> Point:
    """Where a result is recorded before it is sent; the record may be written to a database immediately."""
    return Point(shell.displayhook, "log_output")


def log_point(shell: InteractiveShell) -> Point:
    """Where `%logstart -o` writes outputs. The logger offers no filter."""
    return Point(shell.logger, "log_write")


def line_magics(shell: InteractiveShell) -> dict[str, Callable[..., Any]]:
    """The line magics by name. `register_function` can add a magic, but cannot wrap or remove one."""
    magics: dict[str, Callable[..., Any]] = shell.magics_manager.magics["line"]
    return magics


def unregister(shell: InteractiveShell, magics: Magics) -> None:
    """Unregister magics; IPython has no function for that."""
    configurables: list[Any] = shell.configurables
    # Otherwise %config would still set this instance's options after the extension is loaded again.
    configurables.remove(magics)
    registered: Any = shell.magics_manager
    for kind, names in magics.magics.items():
        for name in names:
            registered.magics[kind].pop(name, None)
