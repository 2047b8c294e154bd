"""Redacts the live documents of jupyter-collaboration, which the server shares among browsers and saves by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..scan.notebook import Scan, redact

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

__all__ = ["SharedDocuments"]

_EXTENSION = "jupyter_server_ydoc"


class SharedDocuments:
    """The notebooks that are open as shared documents. scan : finds what has to be replaced."""

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
        """Redacts the outputs and widget state of a shared document, soon and for all who have it open."""
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
            # Only the type: the text of the error may quote the document.
            self._server.log.warning(
                "%s: the file is redacted, the shared document is not: %s", path, type(error).__name__
            )

    def _redact_document(self, document: Any) -> None:
        from pycrdt import Map  # noqa: PLC0415 (comes with jupyter-collaboration)

        # Without a pause, so that no change of a user's comes in between.
        meta, cells = document.ydoc.get("meta", type=Map), document.ycells
        content = {**meta.to_py(), "cells": cells.to_py()}
        edits = self._scan(content).edits
        redact(content, edits)
        with document.ydoc.transaction():
            # Output by output: in a new cell, the further output of a running one would be lost.
            for place in {path[:4] for path, _ in edits}:
                match place:
                    case "cells", int(cell), "outputs", int(output):
                        _replace(cells[cell]["outputs"], output, content["cells"][cell]["outputs"][output])
                    case _:
                        meta["metadata"]["widgets"] = content["metadata"]["widgets"]

    def _collaboration(self) -> Any:
        """The extension of jupyter-collaboration, or None without it."""
        apps = self._server.extension_manager.extension_apps.get(_EXTENSION, ())
        return next((app for app in apps if not app.disable_rtc), None)


def _replace(outputs: Any, index: int, output: Any) -> None:
    from pycrdt import Map, Text  # noqa: PLC0415 (comes with jupyter-collaboration)

    before = outputs[index]
    text = before.get("text")
    if isinstance(text, Text):
        # Of a stream, to which the cell may be adding.
        text.clear()
        text += output["text"]
    else:
        outputs[index] = Map(output) if isinstance(before, Map) else output
