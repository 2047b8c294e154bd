"""What jupyter-collaboration saves by itself is scanned too; no work is lost, and the live document is redacted."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_ydoc import YNotebook
from traitlets.config import Config

from jupyter_tokens.server.activity import SCHEMA_ID
from jupyter_tokens.server.app import TokensExtension

from ..scan.notebooks import WIDGETS, code, notebook, output
from .kernels import until
from .saving import value

__all__ = ["value"]  # a fixture

# A room of pycrdt leaves its streams open when the server ends.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STREAM = {"output_type": "stream", "name": "stdout"}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The store of a document is written to the current folder.
    monkeypatch.chdir(tmp_path)
    yield
    # Warnings about what is left open come here, not in another module's test.
    gc.collect()


@pytest.fixture(params=["redact", "refuse"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def jp_server_config(jp_server_config: Config, mode: str, tmp_path: Path) -> Config:
    jp_server_config.TokensExtension.scan_on_save = mode
    server = jp_server_config.ServerApp
    server.jpserver_extensions |= {"jupyter_server_ydoc": True, "jupyter_server_fileid": True}
    # Not all handlers of collaboration say who may use them.
    server.allow_unauthenticated_access = True
    jp_server_config.YDocExtension.document_save_delay = 0.05
    jp_server_config.BaseFileIdManager.db_path = str(tmp_path / "ids.db")
    return jp_server_config


@pytest.fixture
def found(jp_serverapp: Any, extension: TokensExtension) -> list[dict[str, Any]]:
    """The events that tell a front end what was found."""
    extension.activity.register()
    seen: list[dict[str, Any]] = []

    async def listen(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        seen.append(data)

    jp_serverapp.event_logger.add_listener(schema_id=SCHEMA_ID.format(kind="found"), listener=listen)
    return seen


@pytest.fixture(autouse=True)
def file(jp_serverapp: Any) -> Path:
    """A notebook with one empty cell."""
    file = Path(jp_serverapp.root_dir, "a.ipynb")
    file.write_text(json.dumps(notebook(code("", cell_id="c"))))
    return file


async def opened(jp_serverapp: Any) -> YNotebook:
    """The shared document of the notebook, as all who have it open see it."""
    (collaboration,) = jp_serverapp.extension_manager.extension_apps["jupyter_server_ydoc"]
    document: YNotebook = await collaboration.get_document(
        path="a.ipynb", content_type="notebook", file_format="json", copy=False, create=True
    )
    return document


def saved(jp_serverapp: Any) -> str:
    return Path(jp_serverapp.root_dir, "a.ipynb").read_text()


def saved_source(jp_serverapp: Any, cell: int) -> str:
    return "".join(json.loads(saved(jp_serverapp))["cells"][cell]["source"])


def set_outputs(document: YNotebook, *outputs: dict[str, Any]) -> None:
    document.set(notebook(code("show(1)", list(outputs), cell_id="c"), code("y = 2", cell_id="d")))


async def test_outputs_are_redacted_in_the_file_and_for_all_who_have_it_open(
    jp_serverapp: Any, value: str, found: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    document = await opened(jp_serverapp)
    set_outputs(document, {**STREAM, "text": f"a {value} b\n"}, output({"text/plain": f"'{value}'"}))
    await until(lambda: "[token oneaccess]" in saved(jp_serverapp))
    await until(lambda: value not in str(document.get()))
    first, second = document.get()["cells"][0]["outputs"]
    assert first["text"] == "a [token oneaccess] b\n"
    assert second["data"] == {"text/plain": "'[token oneaccess]'"}
    # The work beside it is there.
    assert document.get()["cells"][1]["source"] == "y = 2"
    assert saved_source(jp_serverapp, 1) == "y = 2"
    assert value not in saved(jp_serverapp)
    await until(lambda: found)
    assert found[0] == {
        "path": "a.ipynb",
        "outcome": "redacted",
        "found": [
            f"cell 1 output 1, line 1: token oneaccess ({len(value)} characters)",
            f"cell 1 output 2, line 1: token oneaccess ({len(value)} characters)",
        ],
    }
    assert "a.ipynb: redacted: cell 1 output 1" in caplog.text
    assert value not in caplog.text


async def test_a_running_cell_goes_on_writing_into_the_same_output(jp_serverapp: Any, value: str) -> None:
    document = await opened(jp_serverapp)
    set_outputs(document, {**STREAM, "text": f"a {value}\n"})
    text = document.ycells[0]["outputs"][0]["text"]
    await until(lambda: "[token oneaccess]" in str(text))
    text += "and so on\n"
    await until(lambda: "and so on" in saved(jp_serverapp))
    assert document.get()["cells"][0]["outputs"][0]["text"] == "a [token oneaccess]\nand so on\n"


async def test_widget_state(jp_serverapp: Any, value: str) -> None:
    document = await opened(jp_serverapp)
    state = {WIDGETS: {"state": {"m": {"state": {"value": value}}}}}
    document.set(notebook(code("1", cell_id="c"), metadata={"widgets": state}))
    await until(lambda: "[token oneaccess]" in saved(jp_serverapp))
    await until(lambda: value not in str(document.get()))
    assert "[token oneaccess]" in str(document.get()["metadata"])


async def test_a_source_is_the_users_and_nothing_else_is_lost(
    jp_serverapp: Any, value: str, mode: str, found: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    document = await opened(jp_serverapp)
    document.set(notebook(code(f"x = '{value}'", cell_id="c"), code("y = 2", cell_id="d")))
    await until(lambda: "y = 2" in saved(jp_serverapp))
    await until(lambda: found)
    assert value in document.get()["cells"][0]["source"]
    if mode == "redact":
        assert value in saved(jp_serverapp)
        assert found[0]["outcome"] == "saved"
        assert "a.ipynb: saved, but the notebook contains secrets: cell 1 source" in caplog.text
    else:
        assert saved_source(jp_serverapp, 0) == "x = '[token oneaccess]'"
        assert found[0]["outcome"] == "redacted"
    assert found[0]["found"] == [f"cell 1 source, line 1: token oneaccess ({len(value)} characters)"]


@pytest.mark.parametrize("mode", ["refuse"], indirect=True)
async def test_work_survives_that_all_have_closed_it(jp_serverapp: Any, value: str) -> None:
    (collaboration,) = jp_serverapp.extension_manager.extension_apps["jupyter_server_ydoc"]
    rooms = collaboration.ywebsocket_server
    document = await opened(jp_serverapp)
    set_outputs(document, output({"text/plain": value}))
    await until(lambda: "y = 2" in saved(jp_serverapp))
    # What the server does a minute after the last has closed it.
    for name in tuple(rooms.rooms):
        await rooms.delete_room(name=name)
    again = await opened(jp_serverapp)
    assert again is not document
    assert again.get()["cells"][1]["source"] == "y = 2"
    assert value not in str(again.get())
