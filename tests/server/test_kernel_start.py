from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from traitlets.config import Config, Configurable

from jupyter_tokens.protocol.proof import START_VARIABLE
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server import kernel_start
from jupyter_tokens.server.app import Served, TokensExtension
from jupyter_tokens.server.kernel_start import NAME, set_default_provisioner
from jupyter_tokens.token import Token

from .conftest import SECRETS, value_of
from .kernels import IPYKERNEL, Client, started, write_spec

Write = Callable[[dict[str, Any]], Path]


pytestmark = pytest.mark.usefixtures("as_sent", "own_factory")


@pytest.fixture
def opted_in(profiles: dict[str, Any], write_profiles: Write) -> dict[str, Any]:
    """OneAccess's profile, which is injected at start, and one that is not."""
    written = {"oneaccess": {**profiles["oneaccess"], "inject_at_start": True}, "astra": profiles["astra"]}
    write_profiles(written)
    return written


async def environment(client: Client) -> dict[str, str]:
    seen: dict[str, str] = json.loads(await client.run("import os, json; print(json.dumps(dict(os.environ)))"))
    return seen


async def start(serverapp: Any, **options: Any) -> tuple[dict[str, str], Any]:
    """A kernel's environment in its first cell, and what it was told."""
    async with started(serverapp, **options) as client:
        seen = await environment(client)
    return seen, json.loads(seen.get(START_VARIABLE, "null"))


@pytest.mark.usefixtures("opted_in")
class TestFirstCell:
    async def test_has_the_variable_and_no_log_has_the_value(
        self, jp_serverapp: Any, extension: TokensExtension, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        seen, told = await start(jp_serverapp)
        assert told == {"oneaccess": "ok"}
        assert seen["ONEACCESS_TOKEN"] == value_of(extension)
        assert value_of(extension) not in caplog.text
        assert SECRETS["oneaccess"] not in json.dumps(seen) + caplog.text
        assert "jupyter_tokens injected" in caplog.text

    async def test_has_a_fresh_one_after_a_restart(self, jp_serverapp: Any, extension: TokensExtension) -> None:
        async with started(jp_serverapp) as client:
            extension.source.forget(extension.source.key("oneaccess"))
            await jp_serverapp.kernel_manager.restart_kernel(client.id, now=True)
            await client.ready_again()
            seen = await environment(client)
        assert seen["ONEACCESS_TOKEN"] == value_of(extension)
        assert json.loads(seen[START_VARIABLE]) == {"oneaccess": "ok"}

    async def test_replaces_what_the_server_itself_has_there(
        self, jp_serverapp: Any, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONEACCESS_TOKEN", "the server's")
        monkeypatch.setenv(START_VARIABLE, "of a server around this one")
        seen, told = await start(jp_serverapp)
        assert told == {"oneaccess": "ok"}
        assert seen["ONEACCESS_TOKEN"] == value_of(extension)

    async def test_has_nothing_there_once_it_is_deleted(self, jp_serverapp: Any) -> None:
        look = "import os; print(os.environ.get('ONEACCESS_TOKEN', 'nothing'))"
        async with started(jp_serverapp) as client:
            await client.run("%load_ext jupyter_tokens")
            await client.run("%withtoken oneaccess")
            assert await client.run(look) == "[token oneaccess]\n"
            await client.run("%gettoken oneaccess")
            await client.run("%deltoken oneaccess")
            assert await client.run(look) == "nothing\n"

    async def test_leaves_what_whoever_starts_the_kernel_sets(self, jp_serverapp: Any, sandbox: Sandbox) -> None:
        seen, told = await start(jp_serverapp, env={**os.environ, "ONEACCESS_TOKEN": "mine"})
        assert seen["ONEACCESS_TOKEN"] == "mine"
        assert "is already set" in told["oneaccess"]["message"]
        assert sandbox.requests["oneaccess"] == 0

    async def test_leaves_what_the_kernelspec_sets(self, jp_serverapp: Any, jp_data_dir: Path) -> None:
        write_spec(jp_data_dir, [sys.executable, *IPYKERNEL], env={"ONEACCESS_TOKEN": "the kernelspec's"})
        seen, told = await start(jp_serverapp, name="own")
        assert seen["ONEACCESS_TOKEN"] == "the kernelspec's"
        assert told["oneaccess"]["reason"] == "configuration"


class TestFailure:
    async def test_of_the_api_keeps_no_kernel_from_starting(
        self, jp_serverapp: Any, opted_in: dict[str, Any], sandbox: Sandbox
    ) -> None:
        sandbox.plan({"api": "oneaccess", "kind": "401"})
        seen, told = await start(jp_serverapp)
        assert "ONEACCESS_TOKEN" not in seen
        assert (told["oneaccess"]["reason"], told["oneaccess"]["retryable"]) == ("unauthorized", False)

    async def test_of_an_api_that_hangs_costs_no_more_than_the_limit(
        self,
        jp_serverapp: Any,
        opted_in: dict[str, Any],
        extension: TokensExtension,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(kernel_start, "MAX_SECONDS", 0.05)

        async def get_token(name: str) -> Served:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

        monkeypatch.setattr(extension, "get_token", get_token)
        seen, told = await start(jp_serverapp)
        assert "ONEACCESS_TOKEN" not in seen
        assert (told["oneaccess"]["reason"], told["oneaccess"]["retryable"]) == ("timeout", True)

    @pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 200_000])
    async def test_of_a_value_that_would_keep_every_program_from_starting(
        self,
        jp_serverapp: Any,
        opted_in: dict[str, Any],
        extension: TokensExtension,
        monkeypatch: pytest.MonkeyPatch,
        value: str,
    ) -> None:
        async def get_token(name: str) -> Served:
            made = Token(value, profile=name, provider=name, obtained_at=None)  # type: ignore[arg-type]
            return Served(extension.source.profiles()[name], made, cached=False)

        monkeypatch.setattr(extension, "get_token", get_token)
        _, told = await start(jp_serverapp)
        assert told["oneaccess"]["reason"] == "unusable"

    async def test_that_no_one_expected_is_told_of_without_its_text(
        self,
        jp_serverapp: Any,
        opted_in: dict[str, Any],
        extension: TokensExtension,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def get_token(name: str) -> Served:
            raise RuntimeError("c4n4ry")

        monkeypatch.setattr(extension, "get_token", get_token)
        _, told = await start(jp_serverapp)
        assert told["oneaccess"]["message"] == "An unexpected error (RuntimeError)."

    async def test_that_no_one_expected_of_the_profiles_either(
        self, jp_serverapp: Any, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def profiles() -> None:
            raise RuntimeError("c4n4ry")

        monkeypatch.setattr(extension.source, "profiles", profiles)
        _, told = await start(jp_serverapp)
        assert told[""]["message"] == "An unexpected error (RuntimeError)."

    async def test_of_one_profile_leaves_the_others(
        self, jp_serverapp: Any, profiles: dict[str, Any], write_profiles: Write
    ) -> None:
        good = {**profiles["oneaccess"], "inject_at_start": True}
        write_profiles(
            {
                "first": good,
                "same": good,
                "wrong": {**good, "client_id": 1},
                "no-env": {**good, "env": None},
                "no-bool": {**good, "inject_at_start": "yes"},
                "elsewhere": {**good, "env": "OTHER", "kernels": ["ir"]},
                "off": {**good, "env": "OFF", "inject_at_start": False},
            }
        )
        seen, told = await start(jp_serverapp)
        assert "ONEACCESS_TOKEN" in seen
        assert not seen.keys() & {"OTHER", "OFF"}
        assert told.pop("first") == "ok"
        assert {name: error["reason"] for name, error in told.items()} == {
            "same": "configuration",
            "wrong": "configuration",
            "no-env": "configuration",
            "no-bool": "configuration",
            "elsewhere": "forbidden",
        }

    async def test_of_the_configuration_is_told_too(self, jp_serverapp: Any, write_profiles: Write) -> None:
        write_profiles({}).write_text("{")
        _, told = await start(jp_serverapp)
        assert told[""]["reason"] == "configuration"

    async def test_is_none_where_no_profile_wants_it(self, jp_serverapp: Any, profiles: dict[str, Any]) -> None:
        _, told = await start(jp_serverapp)
        assert told is None


class TestNotebookPaths:
    @pytest.mark.parametrize(
        ("session", "outcome"),
        [
            (("work/a.ipynb", "a.ipynb"), True),
            (("work/a.ipynb", None), True),
            (("other/a.ipynb", "a.ipynb"), False),
            (("", None), False),
        ],
    )
    async def test_a_profile_can_be_limited_to_some(
        self,
        jp_serverapp: Any,
        opted_in: dict[str, Any],
        write_profiles: Write,
        session: tuple[str, str | None],
        *,
        outcome: bool,
    ) -> None:
        write_profiles({"oneaccess": {**opted_in["oneaccess"], "notebooks": ["work/*.ipynb"]}})
        for folder in ("work", "other"):
            (Path(jp_serverapp.root_dir) / folder).mkdir()
        env = jp_serverapp.session_manager.get_kernel_env(*session)
        _, told = await start(jp_serverapp, env=env)
        assert (told["oneaccess"] == "ok") is outcome

    @pytest.mark.parametrize(
        ("path", "name", "outcome"),
        [
            ("work/a.ipynb", "a.ipynb", True),
            ("other/../work/a.ipynb", "a.ipynb", True),
            ("work/../other/a.ipynb", "a.ipynb", False),
            # The name of a session is for people, and whatever its client says.
            ("other/a.ipynb", "../work/a.ipynb", False),
            ("work/a.ipynb", "../other/a.ipynb", False),
        ],
    )
    async def test_the_folder_of_the_sessions_path_counts_and_the_same_at_start_and_later(
        self,
        jp_serverapp: Any,
        extension: TokensExtension,
        opted_in: dict[str, Any],
        write_profiles: Write,
        *,
        path: str,
        name: str,
        outcome: bool,
    ) -> None:
        write_profiles({"oneaccess": {**opted_in["oneaccess"], "notebooks": ["work/*.ipynb"]}})
        for folder in ("work", "other"):
            (Path(jp_serverapp.root_dir) / folder).mkdir()
        session = await jp_serverapp.session_manager.create_session(
            path=path, name=name, type="notebook", kernel_name="python3"
        )
        kernel_id = session["kernel"]["id"]
        client = Client(jp_serverapp.kernel_manager, kernel_id)
        try:
            await client.ready()
            told = json.loads((await environment(client))[START_VARIABLE])
            later = await extension.allows_kernel("oneaccess", kernel_id)
        finally:
            await client.close()
            await jp_serverapp.kernel_manager.shutdown_kernel(kernel_id, now=True)
        assert (told["oneaccess"] == "ok") is outcome
        # Never at start without being so later.
        assert later or not outcome


class TestDefault:
    def kernels(self, config: Config | None = None) -> Configurable:
        """What a server's manager of kernels is to the factory: its parent, whose configuration it takes."""
        return Configurable(config=config or Config())

    def default(self, kernels: Configurable) -> str:
        factory: KernelProvisionerFactory = KernelProvisionerFactory.instance(parent=kernels)
        name: str = factory.default_provisioner_name
        return name

    def test_is_ours_if_nothing_was_chosen(self) -> None:
        kernels = self.kernels()
        set_default_provisioner(kernels)
        assert self.default(kernels) == NAME

    def test_is_ours_if_the_factory_was_made_before(self) -> None:
        kernels = self.kernels()
        assert self.default(kernels) == "local-provisioner"
        set_default_provisioner(kernels)
        assert self.default(kernels) == NAME

    @pytest.mark.parametrize("chosen", ["local-provisioner", "another"])
    def test_is_the_users_if_configured(self, chosen: str) -> None:
        kernels = self.kernels(Config({"KernelProvisionerFactory": {"default_provisioner_name": chosen}}))
        set_default_provisioner(kernels)
        assert self.default(kernels) == chosen

    def test_is_the_users_if_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "another")
        kernels = self.kernels()
        set_default_provisioner(kernels)
        assert self.default(kernels) == "another"

    def test_is_jupyters_if_ours_could_not_be_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nowhere(_name: str) -> None:
            raise PackageNotFoundError

        monkeypatch.setattr(kernel_start, "distribution", nowhere)
        kernels = self.kernels()
        set_default_provisioner(kernels)
        assert self.default(kernels) == "local-provisioner"

    async def test_works_for_kernels_of_no_server(self) -> None:
        kernels = self.kernels()
        set_default_provisioner(kernels)
        assert self.default(kernels) == NAME
        manager = AsyncKernelManager(kernel_name="python3")
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=300)
            assert type(manager.provisioner).__name__ == "TokensProvisioner"
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)
            client.context.destroy(linger=0)
            manager.context.destroy(linger=0)
