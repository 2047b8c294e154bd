"""A token of the server gets into no saved notebook, and a fault of the scan keeps none from being saved."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager

from jupyter_tokens.clock import utc
from jupyter_tokens.scan import notebook as scanned
from jupyter_tokens.server import save_hook
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.token import Token

from ..doubles import Clock
from ..scan.notebooks import WIDGETS, code, notebook, output
from .conftest import Call, told
from .saving import Save, jp_server_config, mode, save, value

__all__ = ["jp_server_config", "mode", "save", "value"]  # fixtures

ACCESS_KEY = "LTAItestAccessKeyId01"


def with_value(value: str) -> Any:
    return notebook(
        code("show(1)", [output({"text/plain": f"a {value} b", "application/json": {"x": [json.dumps([value])]}})]),
        metadata={"widgets": {WIDGETS: {"state": {"m": {"state": {"value": value}}}}}},
    )


def saved(root: Path, name: str = "a.ipynb") -> str:
    return (root / name).read_text()


class TestRedact:
    async def test_no_output_is_written_with_a_held_token(
        self, save: Save, value: str, jp_root_dir: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert (await save(with_value(value))).code == 201
        text = saved(jp_root_dir)
        assert value not in text
        assert text.count("[token oneaccess]") == 3
        assert "a.ipynb: redacted: cell 1 output 1, line 1: token oneaccess" in caplog.text
        assert "the notebook contains secrets" not in caplog.text
        assert value not in caplog.text

    async def test_a_source_is_told_of_and_saved(
        self, save: Save, value: str, jp_root_dir: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert (await save(notebook(code(f"x = '{value}'")))).code == 201
        assert value in saved(jp_root_dir)
        assert "saved, but the notebook contains secrets: cell 1 source, line 1: token oneaccess" in caplog.text
        assert value not in caplog.text

    async def test_a_token_with_parameters_of_its_own(
        self, save: Save, call: Call, profiles: Any, jp_root_dir: Path
    ) -> None:
        answer = await call("POST", "profiles/pai-dlc/token", {"reveal": True, "params": {"TargetId": "dlcother"}})
        value = told(answer)["value"]
        await save(with_value(value))
        assert value not in saved(jp_root_dir)
        # A held token is told by its profile, not by its shape.
        assert "[token pai-dlc]" in saved(jp_root_dir)

    async def test_a_token_that_was_refreshed_since(
        self, save: Save, call: Call, value: str, jp_root_dir: Path
    ) -> None:
        newer = told(await call("POST", "profiles/oneaccess/token", {"reveal": True, "refresh": True}))["value"]
        assert newer != value
        await save(with_value(f"{value} {newer}"))
        assert value not in saved(jp_root_dir)
        assert newer not in saved(jp_root_dir)

    async def test_a_token_that_came_between_two_saves(
        self, save: Save, extension: TokensExtension, value: str, jp_root_dir: Path
    ) -> None:
        await save(with_value(value))
        other = extension.source.get(extension.source.key("eiam")).reveal()
        await save(with_value(f"{value} {other}"))
        assert "[token eiam]" in saved(jp_root_dir)

    async def test_a_token_that_was_created(
        self, *, save: Save, by_proof: Call, profiles: dict[str, Any], write_profiles: Any, jp_root_dir: Path
    ) -> None:
        write_profiles({**profiles, "astra": {**profiles["astra"], "allow_create": True}})
        asked = {"profile": "astra", "create": True, "params": {"name": "n"}}
        value = told(await by_proof("token", asked))["value"]
        await save(with_value(value))
        assert "[token astra]" in saved(jp_root_dir)
        assert value not in saved(jp_root_dir)

    async def test_an_ordinary_notebook_is_saved_as_it_is(
        self, save: Save, value: str, jp_root_dir: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        content = notebook(code("1", [output({"text/plain": "a git hash: 7211546f57cd432790643bb6612da19d"})]))
        assert (await save(content)).code == 201
        assert json.loads(saved(jp_root_dir))["cells"][0]["outputs"] == [
            {**content["cells"][0]["outputs"][0], "data": {"text/plain": [
                "a git hash: 7211546f57cd432790643bb6612da19d"]}}
        ]  # fmt: skip
        assert not [record for record in caplog.records if "the notebook contains secrets" in record.getMessage()]

    async def test_with_a_contents_manager_that_is_not_async(
        self, extension: TokensExtension, profiles: Any, jp_root_dir: Path
    ) -> None:
        contents = FileContentsManager(root_dir=str(jp_root_dir))
        contents.register_pre_save_hook(save_hook.SaveHook(extension).before_save)
        value = extension.source.get(extension.source.key("oneaccess")).reveal()
        contents.save({"type": "notebook", "format": "json", "content": with_value(value)}, "a.ipynb")
        assert value not in saved(jp_root_dir)

    async def test_what_is_no_notebook_is_left_alone(self, save: Save, value: str, jp_root_dir: Path) -> None:
        assert (await save(f"{value}\n", "a.txt", type="file", format="text")).code == 201
        assert saved(jp_root_dir, "a.txt") == f"{value}\n"

    async def test_beside_a_hook_of_the_user(
        self, save: Save, value: str, jp_serverapp: Any, jp_root_dir: Path
    ) -> None:
        seen: list[str] = []

        def clear_metadata(model: Any, path: str, **_: Any) -> None:
            seen.append(path)
            model["content"]["metadata"] = {"mine": True}

        jp_serverapp.contents_manager.pre_save_hook = clear_metadata
        assert (await save(with_value(value))).code == 201
        assert seen == ["a.ipynb"]
        assert json.loads(saved(jp_root_dir))["metadata"] == {"mine": True}
        assert value not in saved(jp_root_dir)

    async def test_a_fault_of_the_scan_does_not_keep_from_saving(
        self,
        save: Save,
        value: str,
        jp_root_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:

        def broken(*_: Any) -> None:
            raise ValueError(value)

        monkeypatch.setattr(save_hook, "scan", broken)
        assert (await save(with_value(value))).code == 201
        assert value in saved(jp_root_dir)
        assert "a.ipynb: could not be scanned for tokens, and is saved as it is: ValueError" in caplog.text
        assert value not in caplog.text

    @pytest.mark.parametrize("content", [None, [], {"nbformat": 3, "worksheets": []}, {"nbformat": 4, "cells": 7}])
    async def test_strange_content_is_jupyters_business(
        self, save: Save, content: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        await save(content)
        assert "could not be scanned" not in caplog.text


class TestWarn:
    @pytest.fixture
    def mode(self) -> str:
        return "warn"

    async def test_tells_the_places_and_changes_nothing(
        self, save: Save, value: str, jp_root_dir: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        content = with_value(value)
        assert (await save(content)).code == 201
        assert json.loads(saved(jp_root_dir))["metadata"] == content["metadata"]
        (record,) = [record for record in caplog.records if "a.ipynb: saved, but" in record.getMessage()]
        assert record.levelno == logging.WARNING
        assert value not in caplog.text

    async def test_a_long_list_is_cut(self, save: Save, value: str, caplog: pytest.LogCaptureFixture) -> None:
        await save(notebook(*(code(f"'{value}'", cell_id=f"c{n}") for n in range(9))))
        assert "cell 5 source" in caplog.text
        assert "; and 4 more" in caplog.text
        assert "cell 6 source" not in caplog.text


class TestRefuse:
    @pytest.fixture
    def mode(self) -> str:
        return "refuse"

    async def test_the_front_end_is_told_what_to_do(self, save: Save, value: str, jp_root_dir: Path) -> None:
        response = await save(with_value(value))
        assert response.code == 422
        # JupyterLab shows the message.
        message = json.loads(response.body)["message"]
        assert message.startswith(
            "Not saved, because jupyter_tokens found secrets in the notebook: cell 1 output 1, line 1: token one"
        )
        assert message.endswith("Remove them, and save again.")
        assert value not in response.body.decode()
        assert not (jp_root_dir / "a.ipynb").exists()

    async def test_a_shape_is_enough(self, save: Save, jp_root_dir: Path) -> None:
        response = await save(notebook(code(f"key = '{ACCESS_KEY}'")))
        assert (response.code, (jp_root_dir / "a.ipynb").exists()) == (422, False)
        assert "cell 1 source, line 1: Alibaba AccessKey id" in json.loads(response.body)["message"]

    async def test_what_is_cleared_can_be_saved(self, save: Save, value: str) -> None:
        assert (await save(notebook(code("show(1)")))).code == 201


class TestTheHook:
    async def test_an_expired_token_is_no_longer_looked_for(
        self, extension: TokensExtension, call: Call, profiles: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hook = save_hook.SaveHook(extension)
        value = told(await call("POST", "profiles/oneaccess/token", {"reveal": True}))["value"]
        assert scanned.scan(with_value(value), hook._valid_tokens()).findings
        clock = Clock()
        monkeypatch.setattr(type(extension), "clock", clock)
        ends = extension.source.get(extension.source.key("oneaccess")).expires_at
        assert ends is not None
        clock.wall = ends.timestamp() + 1
        assert not scanned.scan(with_value(value), hook._valid_tokens()).findings
        assert value not in repr(vars(hook))

    async def test_keeps_no_expired_tokens_if_nobody_saves(
        self, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        monkeypatch.setattr(type(extension), "clock", clock)
        hook = save_hook.SaveHook(extension)
        for number in range(5000):
            clock.advance(1)
            began = utc(clock.now())
            ends = utc(clock.now() + 10)
            token = Token(f"value-{number:08}", profile="a", provider="b", obtained_at=began, expires_at=ends)
            hook.add_token(Key("a"), token)
        assert len(hook._tokens) <= 1024

    async def test_keeps_the_newest_of_those_that_tell_no_end(self, extension: TokensExtension) -> None:
        hook = save_hook.SaveHook(extension)
        began, most = utc(extension.clock.now()), save_hook._MAX_WITHOUT_EXPIRY
        made = [
            Token(f"endless-{number:08}", profile="a", provider="b", obtained_at=began) for number in range(10 * most)
        ]
        for token in made:
            hook.add_token(Key("a"), token)
            # The vendor hands this one out again and again.
            hook.add_token(Key("a"), made[0])
            assert len(hook._tokens) <= 2 * most + 1
        content = notebook(*(code(token.reveal()) for token in (made[0], made[1], made[-most], made[-most + 1])))
        found = scanned.scan(content, hook._valid_tokens()).findings
        assert [finding.place.cell for finding in found] == [1, 4]
        assert len(hook._tokens) == most

    async def test_tokens_that_arrive_from_many_threads(self, extension: TokensExtension, profiles: Any) -> None:
        hook = save_hook.SaveHook(extension)
        keys = [extension.source.key("pai-dlc", {"TargetId": f"dlc{n}"}) for n in range(8)]
        tokens = await asyncio.gather(*(asyncio.to_thread(extension.source.get, key) for key in keys))
        content = notebook(*(code(token.reveal()) for token in tokens))
        assert {finding.kind for finding in scanned.scan(content, hook._valid_tokens()).findings} == {"token pai-dlc"}


class TestOff:
    @pytest.fixture
    def mode(self) -> str:
        return "off"

    async def test_nothing_is_looked_at(self, save: Save, value: str, jp_serverapp: Any, jp_root_dir: Path) -> None:
        assert jp_serverapp.contents_manager._pre_save_hooks == []
        assert (await save(with_value(value))).code == 201
        assert value in saved(jp_root_dir)


def test_off_by_default_and_then_not_even_imported() -> None:
    code = "import sys, jupyter_tokens.server.app as a; print(a.TokensExtension().scan_on_save, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mode, *modules = done.stdout.split()
    assert mode == "off"
    assert not [name for name in modules if "jupyter_tokens.scan" in name or "save_hook" in name]
