"""Scans notebooks when they are saved, for tokens of this server and for strings that look like other secrets.

Shared documents of jupyter-collaboration are saved by the server itself. If such a file is redacted, the outputs in the
open document are redacted too. An error of the scan never keeps a notebook from being saved, and no message contains a
value.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from ..scan.notebook import Finding, Scan, redact, scan
from ..scan.values import Known

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ..sources.cache import Key
    from ..token import Token
    from .app import TokensExtension

__all__ = ["SaveHook"]

_COLLABORATION = "jupyter_server_ydoc"
_FORMAT = 4
_MAX_NAMED = 5
_UNPROCESSABLE = 422
_MIN_SWEEP = 1024
_MAX_WITHOUT_EXPIRY = 1024
"""Maximum number of tokens without an expiry that are kept. As none of them expires, the oldest are dropped."""


class SaveHook:
    """Scans each notebook before any contents manager writes it. A hook in the user's configuration still runs."""

    def __init__(self, extension: TokensExtension) -> None:
        self._extension = extension
        self._server = extension.server
        self._shared = _SharedDocuments(extension.server, lambda content: scan(content, self._valid_tokens()))
        self._hooked: list[Any] = []
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], Token] = {}
        self._sweep_at = _MIN_SWEEP
        self._known: Known | None = None
        # Record all tokens from the start: after a refresh, the old token is still valid, but no longer in the cache.
        extension.source.watch(self.add_token)
        self.install()

    def install(self) -> None:
        """Make sure that the server's current contents manager calls `before_save`.

        Other extensions may replace the manager at any time. So this is called again when the server has started, and
        whenever a new token with a value arrives.
        """
        contents: Any = self._server.web_app.settings["contents_manager"]
        if any(contents is each for each in self._hooked):
            return
        self._hooked.append(contents)
        if str(getattr(contents.save, "__module__", "")).startswith("jupyter_server."):
            # Jupyter's own managers run registered hooks, after the hook in the user's configuration.
            contents.register_pre_save_hook(self.before_save)
            return
        # A manager of another package may run no hooks, or only for some files, or pass saves on to further managers.
        # But every save calls `save` of this manager first.
        try:
            contents.save = self._wrap_save(contents.save)
        except AttributeError:
            self._extension.log.error(  # noqa: TRY400 (the traceback says nothing more)
                "scan_on_save has no effect: notebooks are saved by %s, which offers no way to scan them first.",
                type(contents).__qualname__,
            )

    def _wrap_save(self, save: Any) -> Any:
        @wraps(save)
        def scanned(model: dict[str, Any], path: str = "", *args: Any, **kwargs: Any) -> Any:
            self.before_save(model=model, path=path)
            return save(model, path, *args, **kwargs)

        return scanned

    def before_save(self, *, model: dict[str, Any], path: str, **_: Any) -> None:
        """Scan a notebook before Jupyter saves it. Raises `HTTPError` if it must not be saved because of a finding."""
        content = model.get("content")
        if model.get("type") != "notebook" or not isinstance(content, dict) or content.get("nbformat") != _FORMAT:
            return
        path = path.strip("/")
        try:
            is_shared = self._shared.is_open(path)
            replaces_all = is_shared and self._extension.scan_on_save == "refuse"
            scanned = (partial(scan, everywhere=True) if replaces_all else scan)(content, self._valid_tokens())
        except Exception as error:
            # Only the type: the error's text may quote what was scanned.
            self._extension.log.warning(
                "%s: could not be scanned for tokens, and is saved as it is: %s", path, type(error).__name__
            )
            return
        if scanned.findings:
            self._handle_findings(path, content, scanned, is_shared=is_shared)

    def _handle_findings(self, path: str, content: dict[str, Any], scanned: Scan, *, is_shared: bool) -> None:
        mode, log, activity = self._extension.scan_on_save, self._extension.log, self._extension.activity
        found = scanned.findings
        if mode == "refuse" and not is_shared:
            activity.found(path, "refused", _finding_names(found))
            raise HTTPError(
                _UNPROCESSABLE,
                f"Not saved, because jupyter_tokens found secrets in the notebook: {_describe(found)}. "
                "Remove them, and save again.",
            )
        # The server itself saves a shared document, so no user would see an error, and a refusal would lose all other
        # changes.
        replaces = [each for each in found if mode == "refuse" or (mode == "redact" and each.place.may_change)]
        if replaces:
            redact(content, scanned.edits)
            activity.found(path, "redacted", _finding_names(replaces))
            log.warning("%s: redacted: %s", path, _describe(replaces))
            if is_shared:
                self._shared.redact(path)
        left = [each for each in found if each not in replaces]
        if left:
            activity.found(path, "saved", _finding_names(left))
            log.warning("%s: saved, but the notebook contains secrets: %s", path, _describe(left))

    def add_token(self, key: Key, token: Token) -> None:
        """Search notebooks for this token from now on, until it expires. Ignores a token without a value."""
        if token.has_value:
            with self._lock:
                for value in token.values().values():
                    entry = key.profile, value
                    # A token that arrives again moves to the end, because the first ones are dropped first.
                    self._tokens.pop(entry, None)
                    self._tokens[entry] = token
                self._known = None
                if len(self._tokens) >= self._sweep_at:
                    # Not only when a notebook is saved: tokens also arrive if no notebook is ever saved.
                    self._drop_expired()
                    self._sweep_at = max(_MIN_SWEEP, 2 * len(self._tokens))
            self.install()

    def _valid_tokens(self) -> Known:
        with self._lock:
            self._drop_expired()
            if self._known is None:
                self._known = Known({value: f"token {profile}" for profile, value in self._tokens})
            return self._known

    def _drop_expired(self) -> None:
        now = self._extension.clock.now()
        expired = [
            entry
            for entry, token in self._tokens.items()
            if token.expires_at is not None and token.expires_at.timestamp() <= now
        ]
        without_expiry = [entry for entry, token in self._tokens.items() if token.expires_at is None]
        for entry in expired + without_expiry[:-_MAX_WITHOUT_EXPIRY]:
            del self._tokens[entry]
            self._known = None


def _finding_names(found: Sequence[Finding]) -> list[str]:
    named = [str(each) for each in found[:_MAX_NAMED]]
    return [*named, f"and {len(found) - _MAX_NAMED} more"] if len(found) > _MAX_NAMED else named


def _describe(found: Sequence[Finding]) -> str:
    return "; ".join(_finding_names(found))


class _SharedDocuments:
    """The notebooks that are open as shared documents. `scan` finds the secrets in them."""

    def __init__(self, serverapp: ServerApp, scan: Callable[[dict[str, Any]], Scan]) -> None:
        self._server = serverapp
        self._scan = scan
        self._tasks: set[asyncio.Task[None]] = set()

    def is_open(self, path: str) -> bool:
        """Whether a notebook is open as a shared document."""
        extension = self._collaboration()
        if extension is None:
            return False
        file_id = self._server.web_app.settings["file_id_manager"].get_id(path)
        return bool(extension.ywebsocket_server.room_exists(f"json:notebook:{file_id}"))

    def redact(self, path: str) -> None:
        """Redact the outputs and the widget state of an open shared document in the background, for all its users."""
        task = asyncio.get_running_loop().create_task(self._redact(path))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _redact(self, path: str) -> None:
        extension: Any = self._collaboration()
        try:
            document = await extension.get_document(path=path, content_type="notebook", file_format="json", copy=False)
            if document is not None:
                self._redact_document(document)
        except Exception as error:
            # Only the type: the error's text may quote the document.
            self._server.log.warning(
                "%s: the file is redacted, but the open shared document is not: %s", path, type(error).__name__
            )

    def _redact_document(self, document: Any) -> None:
        from pycrdt import Map  # noqa: PLC0415 (comes with jupyter-collaboration)

        # There is no await here, so that no user's change comes in between.
        meta, cells = document.ydoc.get("meta", type=Map), document.ycells
        content = {**meta.to_py(), "cells": cells.to_py()}
        edits = self._scan(content).edits
        redact(content, edits)
        with document.ydoc.transaction():
            # Replace single outputs: if a running cell were replaced, its further output would be lost.
            for place in {path[:4] for path, _ in edits}:
                match place:
                    case "cells", int(cell), "outputs", int(output):
                        _replace(cells[cell]["outputs"], output, content["cells"][cell]["outputs"][output])
                    case _:
                        meta["metadata"]["widgets"] = content["metadata"]["widgets"]

    def _collaboration(self) -> Any:
        """Return the extension of jupyter-collaboration; None if it is not used."""
        apps = self._server.extension_manager.extension_apps.get(_COLLABORATION, ())
        return next((app for app in apps if not app.disable_rtc), None)


def _replace(outputs: Any, index: int, output: Any) -> None:
    from pycrdt import Map, Text  # noqa: PLC0415 (comes with jupyter-collaboration)

    before = outputs[index]
    text = before.get("text")
    if isinstance(text, Text):
        # A stream. Change its text in place, because a running cell may still add to it.
        text.clear()
        text += output["text"]
    else:
        outputs[index] = Map(output) if isinstance(before, Map) else output
