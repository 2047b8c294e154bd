"""The extension in the kernels that a server starts: real kernels, started by what kernelspecs start them with."""

from __future__ import annotations

import os
import shutil
import sys
import venv
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.sandbox import Sandbox, modelarts
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.kernel_start import LOAD, TokensProvisioner

from .conftest import Call, told
from .kernels import IPYKERNEL, started, until, write_spec

pytestmark = pytest.mark.usefixtures("profiles", "own_factory")

TAB = """
from IPython.core.completer import provisionalcompleter
code = "%gettoken modelarts instance_id="
with provisionalcompleter():
    print([one.text for one in get_ipython().Completer.completions(code, len(code))])
"""
LOOK = (
    "import sys; shell = get_ipython()\n"
    "print('jupyter_tokens.kernel.magics' in sys.modules, shell.find_line_magic('gettoken') is not None)"
)


async def loaded(serverapp: Any, name: str = "own") -> tuple[str, str]:
    """Whether the magics are there, and what the kernel printed at its start and after it."""
    async with started(serverapp, name) as client:
        return (await client.run(LOOK)).strip(), client.all_heard()


async def test_tab_lists_ids_through_the_server(jp_serverapp: Any, sandbox: Sandbox) -> None:
    async with started(jp_serverapp) as client:
        # On a busy machine the first Tab would otherwise give up.
        await client.run("import jupyter_tokens.kernel.completion as c; c._WAIT_SECONDS = 300")
        offered = await client.run(TAB)
        assert modelarts.INSTANCE in offered
        # It has no secret of its own, and no token was fetched.
        assert not sandbox.requests.total()


async def test_one_that_gets_no_token_from_the_server_is_renewed_by_it_until_the_notebook_changes_the_variable(
    jp_serverapp: Any, call: Call, extension: TokensExtension
) -> None:
    # No start hook runs here, so the kernel does not know where the server is.
    key = extension.source.key("oneaccess")
    look = "from hashlib import sha256; import os; print(sha256(os.environ['ONEACCESS_TOKEN'].encode()).hexdigest())"
    async with started(jp_serverapp) as client:

        def sent() -> str | None:
            found = extension.renewals.sent_value(client.id, "ONEACCESS_TOKEN")
            return None if found is None else found.reveal()

        answer = told(await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"}))
        assert (answer["state"], answer["kept_by"]) == ("done", "server")
        for _ in range(2):
            value = extension.source.get(key, refresh=True).reveal()
            await until(lambda value=value: sent() in {value, None})  # type: ignore[misc]
            assert await client.run(look) == sha256(value.encode()).hexdigest() + "\n"
        await client.run("os.environ['ONEACCESS_TOKEN'] = 'mine'")
        extension.source.get(key, refresh=True)
        await until(lambda: sent() is None)
        assert await client.run("print(os.environ['ONEACCESS_TOKEN'])") == "mine\n"


async def test_every_ipykernel_has_it_from_the_first_cell(jp_serverapp: Any, call: Call) -> None:
    async with started(jp_serverapp) as client:
        before = await client.run("print([name for name in globals() if not name.startswith('_')])")
        assert (await client.run(LOOK)).strip() == "True True"
        assert told(await call("GET", "profiles"))["loaded_in"] == [client.id]
        assert await client.run("%load_ext jupyter_tokens") == ""
        assert "jupyter_tokens" not in before
        # It can be taken out, and put back.
        await client.run("%unload_ext jupyter_tokens")
        assert (await client.run(LOOK)).strip() == "True False"
        await client.run("%load_ext jupyter_tokens")
        assert (await client.run(LOOK)).strip() == "True True"
        assert "already loaded" in await client.run("%load_ext storemagic")
    assert told(await call("GET", "profiles"))["loaded_in"] == []


async def test_it_is_known_though_the_profiles_are_listed_while_the_kernel_starts(
    jp_serverapp: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = TokensProvisioner.launch_kernel

    async def launch_later(self: TokensProvisioner, *args: Any, **kwargs: Any) -> Any:
        assert told(await call("GET", "profiles"))["loaded_in"] == []
        return await launch(self, *args, **kwargs)

    monkeypatch.setattr(TokensProvisioner, "launch_kernel", launch_later)
    async with started(jp_serverapp) as client:
        assert told(await call("GET", "profiles"))["loaded_in"] == [client.id]


async def test_it_can_be_switched_off(as_sent: None, jp_serverapp: Any, call: Call) -> None:
    async with started(jp_serverapp) as client:
        assert (await client.run(LOOK)).strip() == "False False"
        assert told(await call("GET", "profiles"))["loaded_in"] == []


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([sys.executable, *IPYKERNEL], "True True"),
        ([sys.executable, "-X", "frozen_modules=off", "-W", "ignore", *IPYKERNEL], "True True"),
        ([sys.executable, "-m", "ipykernel", "-f", "{connection_file}"], "True True"),
        (["env", "MINE=1", sys.executable, *IPYKERNEL], "True True"),
        # The kernelspec has an extension of its own, and this one too.
        ([sys.executable, *IPYKERNEL, "--ext=autoreload", LOAD], "True True"),
        # What a launcher does is not known, so it is left as it is: it may run the kernel elsewhere.
        (["nice", sys.executable, *IPYKERNEL], "False False"),
        (["sh", "-c", f"exec {sys.executable} -m ipykernel_launcher -f $0", "{connection_file}"], "False False"),
    ],
)
async def test_what_a_kernelspec_starts(jp_serverapp: Any, jp_data_dir: Path, argv: list[str], expected: str) -> None:
    write_spec(jp_data_dir, argv)
    assert (await loaded(jp_serverapp))[0] == expected


async def test_a_kernelspecs_own_extensions_and_the_users_configuration_stay(
    jp_serverapp: Any, jp_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(
        "c.InteractiveShellApp.exec_lines = ['mine = 1']\nc.InteractiveShellApp.extensions = ['jupyter_tokens']\n"
    )
    (tmp_path / "begin.py").write_text("began = 2\n")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "begin.py"))
    write_spec(jp_data_dir, [sys.executable, *IPYKERNEL, "--ext=autoreload"])
    async with started(jp_serverapp, "own") as client:
        assert await client.run("print(mine, began)") == "1 2\n"
        assert await client.run("print(get_ipython().find_line_magic('autoreload') is not None)") == "True\n"
        assert (await client.run(LOOK)).strip() == "True True"


def environment(folder: Path) -> Path:
    """Makes another environment in `other`, with all packages of this one; none has to be fetched."""
    venv.create(folder / "other", with_pip=False)
    (packages,) = folder.glob("other/lib/python*/site-packages")
    for found in Path(pytest.__file__).parent.parent.iterdir():
        if not found.name.endswith(".pth"):
            (packages / found.name).symlink_to(found)
    return packages


async def test_a_python_without_the_package_starts_as_before_and_says_nothing(
    jp_serverapp: Any,
    jp_data_dir: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Kernels look for modules in the folder that they are started in, and pytest-jupyter has them look in its own.
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH")
    packages = environment(tmp_path)
    for found in packages.glob("jupyter_tokens*"):
        found.unlink()
    write_spec(jp_data_dir, [str(tmp_path / "other" / "bin" / "python"), *IPYKERNEL])
    async with started(jp_serverapp, "own") as client:
        assert await client.run("import importlib.util as u; print(u.find_spec('jupyter_tokens'))") == "None\n"
        answer = told(await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"}))
        assert (answer["state"], answer["kept_by"]) == ("done", "server")
        assert await client.run("import os; print(len(os.environ['ONEACCESS_TOKEN']) > 20)") == "True\n"
    assert "jupyter_tokens" not in "".join(capfd.readouterr())


async def test_another_venv_that_has_the_package_loads_it(jp_serverapp: Any, jp_data_dir: Path, tmp_path: Path) -> None:
    packages = environment(tmp_path)
    if not (packages / "jupyter_tokens").exists():
        # It is installed from its tree here.
        (packages / "jupyter_tokens.pth").write_text(str(Path(__file__).parents[2]))
    write_spec(jp_data_dir, [str(tmp_path / "other" / "bin" / "python"), *IPYKERNEL])
    assert (await loaded(jp_serverapp))[0] == "True True"


@pytest.mark.skipif(shutil.which("bash") is None, reason="a wrapper script needs a shell")
async def test_a_wrapper_script_may_load_it_itself(jp_serverapp: Any, jp_data_dir: Path, tmp_path: Path) -> None:
    script = tmp_path / "kernel.sh"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ipykernel_launcher "$@" {LOAD}\n')
    script.chmod(0o700)
    write_spec(jp_data_dir, [str(script), "-f", "{connection_file}"])
    assert (await loaded(jp_serverapp))[0] == "True True"
    assert os.access(script, os.X_OK)
