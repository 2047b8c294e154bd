"""Redacts each message that a kernel's session sends.

Every message is searched once, as the bytes that are sent: messages of all kinds pass through `serialize`. Two things
are searched in `send` instead: buffers, which do not pass through `serialize`, and stream text, because a value may be
split between two messages.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .._compat import DELIMITER, call_later, publisher, replace
from .search import Search

__all__ = ["HOLD_SECONDS", "MessageHooks"]

HOLD_SECONDS = 0.25
"""How long the end of a stream's text is held back if it may belong to an unfinished value."""

# The parameters of `Session.send` after the first two.
_ARGUMENTS = ("content", "parent", "ident", "buffers", "track", "header", "metadata")

# If the content of a message has been searched already, the message also holds it under this key.
_SEARCHED = "jupyter_tokens searched"
_TEXT, _NAMES = {"name", "text"}, {"stdout", "stderr"}


class _Held(NamedTuple):
    """The end of a stream's text that is held back, and the arguments to send it with."""

    name: str
    text: str
    socket: Any
    parent: Mapping[str, Any]
    ident: Any


class MessageHooks:
    """Redacts all messages that one `jupyter_client` session sends, until `close`.

    The end of a text is held back if it may be the beginning of a value. It is sent after `HOLD_SECONDS`, or with the
    cell's next message: the rest of the text, a result, a request for input, or the end of the cell. The order of a
    cell's messages does not change.

    Parameters
    ----------
    session : jupyter_client.session.Session
        The kernel's session.
    search : callable
        Returns the values to redact now, or None.
    """

    def __init__(self, session: Any, search: Callable[[], Search | None]) -> None:
        self._session = session
        self._search = search
        self._held: dict[str, _Held] = {}
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._original_serialize: Callable[..., list[bytes]] = session.serialize
        self._original_send: Callable[..., Any] = session.send
        # Replaced, because a session has no hooks, and exists already when extensions are loaded.
        self._cleanups = [replace(session, "serialize", self._serialize), replace(session, "send", self._send)]

    def close(self) -> None:
        """Remove the hooks, and send what is held back."""
        for cleanup in self._cleanups:
            cleanup()
        with self._lock:
            for parent_id in list(self._held):
                self._release(parent_id)

    def _serialize(self, msg: dict[str, Any], ident: Any = None) -> list[bytes]:
        parts = self._original_serialize(msg, ident)
        search = self._search()
        if search is None:
            return parts
        header = parts.index(DELIMITER) + 2
        changed = False
        # Headers are left alone: clients match replies by them.
        searched = msg.get(_SEARCHED, msg) is msg.get("content")
        for metadata_or_content in (header + 2,) if searched else (header + 2, header + 3):
            if search.may_hold(parts[metadata_or_content]):
                redacted = search.redacted_object(self._session.unpack(parts[metadata_or_content]))
                parts[metadata_or_content] = self._session.pack(redacted)
                changed = True
        if changed:
            parts[header - 1] = self._session.sign(parts[header : header + 4])
        return parts

    def _send(self, stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
        if os.getpid() != self._pid or len(args) > len(_ARGUMENTS):
            # A forked child does not have the thread that releases held text.
            return self._original_send(stream, msg_or_type, *args, **kwargs)
        given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
        search = self._search()
        message = msg_or_type if isinstance(msg_or_type, Mapping) else None
        kind, content, parent = (
            (msg_or_type, given.get("content"), given.get("parent"))
            if message is None
            else (message["header"]["msg_type"], message.get("content"), message.get("parent_header"))
        )
        if search is not None:
            given |= _redacted_buffers(search, given.get("buffers") or (message or {}).get("buffers"))
        held_back = kind == "stream" and isinstance(content, Mapping) and isinstance(content.get("text"), str)
        if not held_back or search is None or content is None or publisher(stream) is None:
            self._release(_parent_id(parent))
            return self._original_send(stream, msg_or_type, **given)
        if message is None:
            message = self._session.msg(kind, content, parent, given.get("header"), given.get("metadata"))
        shown = self._hold(search, stream, content, message["parent_header"], given.get("ident"))
        if content["text"] and not shown:
            return message
        content = {**content, "text": shown}
        searched = content if content.keys() == _TEXT and content["name"] in _NAMES else None
        return self._original_send(stream, {**message, "content": content, _SEARCHED: searched}, **given)

    def _hold(self, search: Search, stream: Any, content: Mapping[str, Any], parent: Any, ident: Any) -> str:
        """Return the part of the held and the new text that can be sent now; hold back the rest."""
        parent_id = _parent_id(parent)
        name, text = content.get("name", ""), content["text"]
        with self._lock:
            held = self._held.get(parent_id)
            if held is not None and held.name != name:
                self._release(parent_id)
            elif held is not None:
                text = self._held.pop(parent_id).text + text
            text, rest = search.split(text)
            if rest:
                new = self._held[parent_id] = _Held(name, rest, stream, _parent_header(parent), ident)
                call_later(stream, HOLD_SECONDS, partial(self._release, parent_id, new))
        return search.redacted(text)

    def _release(self, parent_id: str, only: _Held | None = None) -> None:
        if parent_id not in self._held:
            return
        with self._lock:
            held = self._held.get(parent_id)
            if held is None or (only is not None and held is not only):
                return
            del self._held[parent_id]
            content = {"name": held.name, "text": held.text}
            self._original_send(held.socket, "stream", content, parent=held.parent, ident=held.ident)


def _parent_header(parent: Any) -> Mapping[str, Any]:
    header = parent.get("header", parent) if isinstance(parent, Mapping) else {}
    return header if isinstance(header, Mapping) else {}


def _parent_id(parent: Any) -> str:
    return str(_parent_header(parent).get("msg_id", ""))


def _redacted_buffers(search: Search, buffers: Sequence[Any] | None) -> dict[str, Any]:
    """Return the argument `buffers` with the values redacted, or an empty dict if no buffer contains a value."""
    if not buffers:
        return {}
    redacted = [search.redacted_bytes(buffer) for buffer in buffers]
    if all(clean is None for clean in redacted):
        return {}
    return {"buffers": [old if clean is None else clean for old, clean in zip(buffers, redacted, strict=True)]}
