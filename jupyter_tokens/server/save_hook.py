"""Looks into notebooks when they are saved, for tokens that the server handed out and for the shapes of others.

It never keeps a notebook from being saved by a fault of its own, and never tells a value.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from ..scan.known import Known
from ..scan.notebook import Finding, Scan, redact, scan

if TYPE_CHECKING:
    from ..broker import Key
    from ..token import Token
    from .app import TokensExtension

__all__ = ["SaveHook", "install"]

_FORMAT = 4
_MOST_TOLD = 5
_UNPROCESSABLE = 422
_FEW = 1024
_MOST_ENDLESS = 1024
"""Tokens that tell no end of their life: nobody knows when one is dead, so the oldest are taken for that."""


class SaveHook:
    """Scans what is about to be saved: one hook beside those of the user."""

    def __init__(self, extension: TokensExtension) -> None:
        self._extension = extension
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], Token] = {}
        self._sweep_at = _FEW
        self._known: Known | None = None
        # From the start: a token that was refreshed since lives on, and the broker no longer knows it.
        extension.source.watch(self._arrived)

    def before_save(self, *, model: dict[str, Any], path: str, **_: Any) -> None:
        """Jupyter's pre-save hook. Raises `HTTPError` if the mode is to refuse and something was found."""
        content = model.get("content")
        if model.get("type") != "notebook" or not isinstance(content, dict) or content.get("nbformat") != _FORMAT:
            return
        try:
            scanned = scan(content, self._live())
        except Exception as error:
            # Of the error itself nothing: its text may quote what was scanned.
            self._extension.log.warning("%s: could not be scanned for tokens: %s", path, type(error).__name__)
            return
        if scanned.findings:
            self._act(path, content, scanned)

    def _act(self, path: str, content: dict[str, Any], scanned: Scan) -> None:
        mode, log = self._extension.scan_on_save, self._extension.log
        found = scanned.findings
        if mode == "refuse":
            raise HTTPError(
                _UNPROCESSABLE,
                f"Not saved, for it holds what no notebook should: {_told(found)}. Clear that, and save again.",
            )
        if mode == "redact" and scanned.edits:
            redact(content, scanned.edits)
            log.warning("%s: redacted: %s", path, _told([each for each in found if each.place.may_change]))
            found = [each for each in found if not each.place.may_change]
        if found:
            log.warning("%s: saved with what no notebook should hold: %s", path, _told(found))

    def _arrived(self, key: Key, token: Token) -> None:
        if token.has_value:
            with self._lock:
                written = key.profile, token.reveal()
                # One that comes again is among the newest again.
                self._tokens.pop(written, None)
                self._tokens[written] = token
                self._known = None
                if len(self._tokens) >= self._sweep_at:
                    # Nobody may be saving anything, and tokens come all the time.
                    self._drop_ended()
                    self._sweep_at = max(_FEW, 2 * len(self._tokens))

    def _live(self) -> Known:
        with self._lock:
            self._drop_ended()
            if self._known is None:
                self._known = Known({value: f"token {profile}" for profile, value in self._tokens})
            return self._known

    def _drop_ended(self) -> None:
        now = self._extension.clock.now()
        ended = [
            written
            for written, token in self._tokens.items()
            if token.expires_at is not None and token.expires_at.timestamp() <= now
        ]
        endless = [written for written, token in self._tokens.items() if token.expires_at is None]
        for written in ended + endless[:-_MOST_ENDLESS]:
            del self._tokens[written]
            self._known = None


def install(extension: TokensExtension) -> None:
    """Registers the hook with the server's contents manager; a hook of the user's own stays, and runs before it."""
    assert extension.serverapp is not None
    contents: Any = extension.serverapp.contents_manager
    contents.register_pre_save_hook(SaveHook(extension).before_save)


def _told(found: Sequence[Finding]) -> str:
    told = "; ".join(map(str, found[:_MOST_TOLD]))
    return f"{told}; and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else told
