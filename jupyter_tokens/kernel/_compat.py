"""Access to undocumented parts of IPython, ipykernel, jupyter_client and ipywidgets, with the reason for each.

No other module in `kernel/`, `widgets/` or `cli/` uses private names of these packages. `tests/kernel/test_compat.py`
checks each part against the installed versions, and `make canary` checks it against pre-releases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

# If the first of the lines begins with `%%name`, turns all lines into a call of that magic. IPython itself does this
# for whole cells only; `cells.py` does it for the lines below `%%withtoken`.
from IPython.core.inputtransformer2 import cell_magic

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic import Magics

__all__ = [
    "DELIMITER",
    "SHOW_TRACEBACK",
    "VIEW_COUNT",
    "call_later",
    "cell_magic",
    "kernel_session",
    "line_magics",
    "publish_text",
    "publisher",
    "publishes",
    "replace",
    "set_traceback",
    "unregister",
    "wrap",
]

DELIMITER = b"<IDS|MSG>"
"""The frame before a message's signature. The signature covers the four frames after it, and must be made again if one
of these frames changes."""

SHOW_TRACEBACK = "_showtraceback"
"""The shell's method that shows a traceback. A handler of `set_custom_exc` would have to format the traceback."""

VIEW_COUNT = "_view_count"
"""The trait in which the front end reports how many views a widget has. There is no public trait for this."""


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


def wrap(owner: Any, name: str, hook: Callable[..., Any]) -> Callable[[], None]:
    """Replace a method of one object by a hook, and return a function that restores the method, as `replace` does.

    The hook is called with the original method as its first argument. Used where the object offers no public hook.
    """
    return replace(owner, name, partial(hook, getattr(owner, name)))


# Messages


def kernel_session(shell: InteractiveShell) -> Any:
    """Return the session that sends the messages of a shell's kernel; None if there is no such session.

    A shell has no public attribute for the session. Plain IPython and kernels without ipykernel have no such session.
    """
    return getattr(getattr(shell, "kernel", None), "session", None)


def publisher(socket: Any) -> Any:
    """Return the thread that publishes what is sent to a socket; None if no such thread is running.

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
    """Publish text from the calling thread, after all earlier text. `stream.write` leaves this to another thread."""
    stream.flush()
    content = {"name": stream.name, "text": text}
    stream.session.send(stream.pub_thread, "stream", content, parent=stream.parent_header, ident=stream.topic)


# The shell


def set_traceback(error: BaseException, lines: Sequence[str]) -> None:
    """Make IPython show these lines instead of an error's traceback.

    `set_custom_exc` could do the same, but a shell has only one custom handler, and that is left to the user.
    """
    error._render_traceback_ = lambda: list(lines)  # type: ignore[attr-defined]


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
