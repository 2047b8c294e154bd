"""Access to undocumented parts of IPython, ipykernel, jupyter_client and ipywidgets, with the reason for each.

No other module in `kernel/`, `widgets/` or `cli/` uses private names of these packages. `tests/kernel/test_compat.py`
checks each part against the installed versions, and `make canary` checks it against pre-releases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

# If the first of the lines begins with `%%name`, turns all lines into a call of that magic. IPython itself does this
# for whole cells only; `cells.py` does it for the lines below `%%withtoken`.
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
"""The frame before a message's signature. The signature covers the four frames after it, and must be made again if one
of these frames changes."""

VIEW_COUNT = "_view_count"
"""The trait in which the front end reports how many views a widget has. There is no public trait for this."""


class Point(NamedTuple):
    """An attribute, given by owner and name, that has to be replaced because the owner offers no hook."""

    owner: Any
    name: str


_ABSENT = object()


def replace(owner: Any, name: str, replacement: object) -> Callable[[], None]:
    """Replace an attribute of one object, and return a function that restores the attribute.

    If other code has replaced the attribute again by then, the returned function changes nothing: the other
    replacement stays, and may still call ours.
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
    """Return the session that sends the messages of a shell's kernel; None if there is no such session.

    A shell has no public attribute for the session. Plain IPython and kernels without ipykernel have no such session.
    """
    return getattr(getattr(shell, "kernel", None), "session", None)


def serialize_point(session: Any) -> Point:
    """Return the session's method that turns every message into bytes. A session has no hook for this.

    A subclass would come too late, because the session already exists when extensions are loaded.
    """
    return Point(session, "serialize")


def send_point(session: Any) -> Point:
    """Return the session's method that sends every message. A session has no hook that can hold a message back."""
    return Point(session, "send")


def publisher(socket: Any) -> Any:
    """Return the running thread that publishes what is sent to a socket, or None.

    No public attribute leads to this thread.
    """
    thread = getattr(socket, "io_thread", None) or socket
    if hasattr(thread, "schedule") and hasattr(thread, "io_loop") and thread.thread.is_alive():
        return thread
    return None


def call_later(socket: Any, seconds: float, call: Callable[[], None]) -> None:
    """Call a function on a socket's publishing thread after some seconds; do nothing if there is no such thread.

    The thread offers no timer, and its event loop may only be used on the thread itself.
    """
    thread = publisher(socket)
    if thread is not None:
        thread.schedule(lambda: thread.io_loop.call_later(seconds, call))


def publishes(stream: Any) -> bool:
    """Whether a stream passes printed text to a thread that publishes it, as a kernel's streams do."""
    return hasattr(stream, "pub_thread")


def publish_text(stream: Any, text: str) -> None:
    """Send text from the calling thread, after earlier text. `stream.write` would leave this to another thread."""
    stream.flush()
    content = {"name": stream.name, "text": text}
    stream.session.send(stream.pub_thread, "stream", content, parent=stream.parent_header, ident=stream.topic)


# The shell


def traceback_point(shell: InteractiveShell) -> Point:
    """Return the shell's method that shows a traceback. A handler of `set_custom_exc` would have to format it."""
    return Point(shell, "_showtraceback")


def show_instead(error: BaseException, lines: Sequence[str]) -> None:
    """Make IPython show these lines instead of an error's traceback.

    `set_custom_exc` could do the same, but it takes only one handler, and this is left to the user.
    """
    error._render_traceback_ = lambda: list(lines)  # type: ignore[attr-defined]


def expressions_point(shell: InteractiveShell) -> Point:
    """Return the shell's method that evaluates user expressions. The Jupyter server sets variables with these.

    IPython fires no event for user expressions.
    """
    return Point(shell, "user_expressions")


def result_point(shell: InteractiveShell) -> Point:
    """Return the method that records a result. IPython may then write the record to a log or a database."""
    return Point(shell.displayhook, "log_output")


def log_point(shell: InteractiveShell) -> Point:
    """Return the method that writes to the log of `%logstart`, outputs included (`-o`). The logger offers no filter."""
    return Point(shell.logger, "log_write")


def line_magics(shell: InteractiveShell) -> dict[str, Callable[..., Any]]:
    """Return IPython's own table of line magics, by name. No public function removes a magic."""
    magics: dict[str, Callable[..., Any]] = shell.magics_manager.magics["line"]
    return magics


def unregister(shell: InteractiveShell, magics: Magics) -> None:
    """Unregister magics. IPython has no function for this."""
    configurables: list[Any] = shell.configurables
    # Otherwise %config would still set this instance's options after the extension is loaded again.
    configurables.remove(magics)
    registered: Any = shell.magics_manager
    for kind, names in magics.magics.items():
        for name in names:
            registered.magics[kind].pop(name, None)
