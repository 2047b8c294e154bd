"""Notebooks are scanned when they are saved, whichever contents manager the server uses in the end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.contents.manager import AsyncContentsManager, ContentsManager
from traitlets.config import Config

from jupyter_tokens.server.app import TokensExtension

from ..scan.notebooks import code, notebook, output
from .saving import Save, jp_server_config, mode, save, value

__all__ = ["jp_server_config", "mode", "save", "value"]  # fixtures


def with_value(value: str, metadata: Any = None) -> Any:
    return notebook(code("show(1)", [output({"text/plain": f"a {value} b"})]), metadata=metadata or {})


class Stored:
    """What a manager of another package stores, in a dict in place of a cloud's bucket. It runs no hooks."""

    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        self.saved[path.strip("/")] = model.pop("content")
        return model | {
            "name": path,
            "path": path,
            "created": "2026-01-01T00:00:00Z",
            "last_modified": "2026-01-01T00:00:00Z",
            "content": None,
            "format": None,
            "mimetype": None,
            "writable": True,
        }


class Bucket(Stored, AsyncContentsManager):
    def __init__(self, **kwargs: Any) -> None:
        Stored.__init__(self)
        AsyncContentsManager.__init__(self, **kwargs)

    async def file_exists(self, path: str = "") -> bool:
        return False

    async def dir_exists(self, path: str = "") -> bool:
        return True

    async def is_hidden(self, path: str) -> bool:
        return False


class Nested(ContentsManager):
    """Hands all files to a manager of its own, as those do that mount several places."""

    def __init__(self, inner: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner

    def save(self, model: Any, path: str = "") -> Any:
        return self.inner.save(model, path)

    def file_exists(self, path: str = "") -> bool:
        return False

    def dir_exists(self, path: str = "") -> bool:
        return True

    def is_hidden(self, path: str) -> bool:
        return False


class Closed:
    """Lets nobody change it."""

    __slots__ = ()

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        raise NotImplementedError


def replace(jp_serverapp: Any, contents: Any) -> None:
    """What another extension does when it is loaded."""
    jp_serverapp.contents_manager = jp_serverapp.web_app.settings["contents_manager"] = contents


def written(root: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in root.glob("a.*")}


async def start(jp_serverapp: Any) -> None:
    await jp_serverapp.extension_manager.start_all_extensions()


# jupytext names its function as Jupyter did before 2021.
@pytest.mark.filterwarnings("ignore:A `_load_jupyter_server_extension` function was not found:DeprecationWarning")
class TestJupytext:
    """Its extension is loaded after ours, and replaces the contents manager."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config: Config) -> Config:
        jp_server_config.ServerApp.jpserver_extensions["jupyterlab_jupytext"] = True
        return jp_server_config

    @pytest.fixture(autouse=True)
    def started(self, jp_serverapp: Any, jp_asyncio_loop: asyncio.AbstractEventLoop) -> None:
        jp_asyncio_loop.run_until_complete(start(jp_serverapp))
        assert "jupytext" in type(jp_serverapp.contents_manager).__module__

    async def test_redacts(self, save: Save, value: str, jp_root_dir: Path) -> None:
        assert (await save(with_value(value))).code == 201
        text = (jp_root_dir / "a.ipynb").read_text()
        assert "[token oneaccess]" in text
        assert value not in text

    async def test_redacts_both_of_a_pair(self, save: Save, value: str, jp_root_dir: Path) -> None:
        paired = {"jupytext": {"formats": "ipynb,md"}}
        assert (await save(with_value(value, paired))).code == 201
        assert (jp_root_dir / "a.md").exists()
        assert "[token oneaccess]" in (jp_root_dir / "a.ipynb").read_text()
        assert value not in (jp_root_dir / "a.ipynb").read_text() + (jp_root_dir / "a.md").read_text()

    class TestRefuse:
        @pytest.fixture
        def mode(self) -> str:
            return "refuse"

        async def test_nothing_of_a_pair_is_written(self, save: Save, value: str, jp_root_dir: Path) -> None:
            paired = {"jupytext": {"formats": "ipynb,py:percent"}}
            response = await save(notebook(code(f"x = '{value}'"), metadata=paired))
            assert (response.code, written(jp_root_dir)) == (422, {})

        async def test_a_notebook_that_is_a_script(self, save: Save, value: str, jp_root_dir: Path) -> None:
            response = await save(notebook(code(f"x = '{value}'")), "a.py")
            assert (response.code, written(jp_root_dir)) == (422, {})


@pytest.mark.usefixtures("value")
class TestReplaced:
    @pytest.mark.parametrize("kind", ["bucket", "nested", "nested files"])
    async def test_before_the_start(
        self, kind: str, save: Save, value: str, jp_serverapp: Any, jp_root_dir: Path
    ) -> None:
        bucket = Bucket()
        files = AsyncLargeFileManager(parent=jp_serverapp)
        replace(jp_serverapp, {"bucket": bucket, "nested": Nested(bucket), "nested files": Nested(files)}[kind])
        await start(jp_serverapp)
        response = await save(with_value(value))
        assert response.code == 201, response.body
        text = "".join(written(jp_root_dir).values()) or json.dumps(bucket.saved["a.ipynb"])
        assert "[token oneaccess]" in text
        assert value not in text

    async def test_after_the_start_by_the_next_token(
        self, save: Save, extension: TokensExtension, jp_serverapp: Any
    ) -> None:
        await start(jp_serverapp)
        bucket = Bucket()
        replace(jp_serverapp, bucket)
        value = extension.source.get(extension.source.key("pai-dlc")).reveal()
        assert (await save(with_value(value))).code == 201
        assert value not in json.dumps(bucket.saved)

    async def test_each_manager_is_covered_once(
        self, save: Save, value: str, jp_serverapp: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        bucket = Bucket()
        for contents in (bucket, jp_serverapp.contents_manager, bucket):
            replace(jp_serverapp, contents)
            await start(jp_serverapp)
        await save(notebook(code(f"x = '{value}'")))
        assert caplog.text.count("a.ipynb: saved, but") == 1

    async def test_one_that_cannot_be_covered_is_named(
        self, jp_serverapp: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        replace(jp_serverapp, Closed())
        await start(jp_serverapp)
        (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert record.getMessage().startswith("scan_on_save has no effect: notebooks are saved by Closed")
