"""Searches each message that a kernel's session sends; knows nothing of where the values are from.

Every message is searched once, as the bytes that go out: `serialize` is where all of them pass, whatever their kind.
Texts of streams pass through `send` before, because a value may be split between two of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .known_values import Search
from .replacement import replace

__all__ = ["HOLD_SECONDS", "MessageHooks", "later"]

HOLD_SECONDS = 0.25
"""How long the end of a text that may be the beginning of a value waits for what follows."""

_DELIMITER = b"<IDS|MSG>"
# Of `Session.send`, after its first two.
_ARGUMENTS = ("content", "parent", "ident", "buffers", "track", "header", "metadata")


class _Held(NamedTuple):
    """The end of a stream's text, and what it was to be sent with."""

    name: str
    text: str
    socket: Any
    parent: Mapping[str, Any]
    ident: Any


class MessageHooks:
    """The hooks of one session. search : what to look for now, or None if nothing is to be taken out.

    What is held back is released by the next message of its cell: the rest of the text, a result, a question to the
    user, the cell's end. The order of a cell's messages stays as it was.
    """

    def __init__(self, session: Any, search: Callable[[], Search | None]) -> None:
        self._session = session
        self._search = search
        self._held: dict[str, _Held] = {}
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._to_bytes: Callable[..., list[bytes]] = session.serialize
        self._pass_on: Callable[..., Any] = session.send
        self._endings = [replace(session, "serialize", self._serialize), replace(session, "send", self._send)]

    def close(self) -> None:
        """Puts the session's own functions back, and sends what is held."""
        for ending in self._endings:
            ending()
        with self._lock:
            for parent_id in list(self._held):
                self._release(parent_id)

    def _serialize(self, msg: dict[str, Any], ident: Any = None) -> list[bytes]:
        parts = self._to_bytes(msg, ident)
        search = self._search()
        if search is None:
            return parts
        header = parts.index(_DELIMITER) + 2
        changed = False
        # Not the headers: whoever waits for an answer knows it by them.
        for metadata_or_content in (header + 2, header + 3):
            if search.found(parts[metadata_or_content]):
                told = search.redacted_object(self._session.unpack(parts[metadata_or_content]))
                parts[metadata_or_content] = self._session.pack(told)
                changed = True
        if changed:
            parts[header - 1] = self._session.sign(parts[header : header + 4])
        return parts

    def _send(self, stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
        pass_on = partial(self._pass_on, stream)
        if os.getpid() != self._pid or len(args) > len(_ARGUMENTS):
            # A forked child has not the thread that would release what is held.
            return pass_on(msg_or_type, *args, **kwargs)
        given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
        search = self._search()
        message = msg_or_type if isinstance(msg_or_type, Mapping) else None
        kind, content, parent = (
            (msg_or_type, given.get("content"), given.get("parent"))
            if message is None
            else (message["header"]["msg_type"], message.get("content"), message.get("parent_header"))
        )
        if search is not None:
            given |= _without_values(search, given.get("buffers") or (message or {}).get("buffers"))
        held_back = kind == "stream" and isinstance(content, Mapping) and isinstance(content.get("text"), str)
        if not held_back or search is None or content is None or later(stream, None) is None:
            self._release(_id_of(parent))
            return pass_on(msg_or_type, **given)
        shown = self._hold(search, stream, content, parent, given.get("ident"))
        if shown == content["text"]:
            return pass_on(msg_or_type, **given)
        content = {**content, "text": shown}
        if not shown:
            return msg_or_type if message is not None else self._session.msg(kind, content, parent=parent)
        if message is None:
            return pass_on(kind, **{**given, "content": content})
        return pass_on({**message, "content": content}, **given)

    def _hold(self, search: Search, stream: Any, content: Mapping[str, Any], parent: Any, ident: Any) -> str:
        """What can be shown of a stream's text and of what was held before it."""
        parent_id = _id_of(parent)
        name, text = content.get("name", ""), content["text"]
        with self._lock:
            held = self._held.get(parent_id)
            if held is not None and held.name != name:
                self._release(parent_id)
            elif held is not None:
                text = self._held.pop(parent_id).text + text
            text, rest = search.split(text)
            if rest:
                kept = self._held[parent_id] = _Held(name, rest, stream, _header_of(parent), ident)
                later(stream, partial(self._release, parent_id, kept))
        return str(text)

    def _release(self, parent_id: str, only: _Held | None = None) -> None:
        if parent_id not in self._held:
            return
        with self._lock:
            held = self._held.get(parent_id)
            if held is None or (only is not None and held is not only):
                return
            del self._held[parent_id]
            content = {"name": held.name, "text": held.text}
            self._pass_on(held.socket, "stream", content, parent=held.parent, ident=held.ident)


def later(socket: Any, call: Callable[[], None] | None) -> Any:
    """Has something called on the kernel's publishing thread in a moment; None if `socket` does not lead to one."""
    thread = getattr(socket, "io_thread", None) or socket
    if not (hasattr(thread, "schedule") and hasattr(thread, "io_loop") and thread.thread.is_alive()):
        return None
    if call is not None:
        # The loop may only be spoken to on its own thread.
        thread.schedule(lambda: thread.io_loop.call_later(HOLD_SECONDS, call))
    return thread


def _header_of(parent: Any) -> Mapping[str, Any]:
    header = parent.get("header", parent) if isinstance(parent, Mapping) else {}
    return header if isinstance(header, Mapping) else {}


def _id_of(parent: Any) -> str:
    return str(_header_of(parent).get("msg_id", ""))


def _without_values(search: Search, buffers: Sequence[Any] | None) -> dict[str, Any]:
    """`buffers` for a message in whose binary parts there is a value; nothing for all others."""
    if not buffers:
        return {}
    redacted = [search.redacted_bytes(buffer) for buffer in buffers]
    if all(clean is None for clean in redacted):
        return {}
    return {"buffers": [old if clean is None else clean for old, clean in zip(buffers, redacted, strict=True)]}
