"""Takes tokens out of real kernels again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension

from .conftest import Call, Kernel, told
from .kernels import started
from .test_kernel_push import IR, busy, ended

pytestmark = pytest.mark.usefixtures("profiles")

PYTHON = "import os; print(os.environ.get('ONEACCESS_TOKEN'))"
R = "cat(Sys.getenv('ONEACCESS_TOKEN', NA))"


async def injected(call: Call, kernel_id: str) -> None:
    answer = await call("POST", f"kernels/{kernel_id}/inject", {"profile": "oneaccess"})
    assert told(answer)["state"] == "done"


async def remove(call: Call, kernel_id: str) -> Any:
    answer = await call("DELETE", f"kernels/{kernel_id}/inject?profile=oneaccess")
    assert answer.code == 200, answer.body
    return told(answer)


async def holdings(call: Call) -> list[Any]:
    held: list[Any] = told(await call("GET", "holdings"))["holdings"]
    return held


async def test_what_the_server_has_sent_is_removed_and_renewed_no_more(
    as_sent: None, call: Call, jp_serverapp: Any, extension: TokensExtension
) -> None:
    async with started(jp_serverapp) as client:
        await injected(call, client.id)
        removed = await remove(call, client.id)
        assert (removed["state"], removed["env"], removed["kept_by"]) == ("done", "ONEACCESS_TOKEN", None)
        assert (await client.run(PYTHON)).strip() == "None"
        assert await holdings(call) == []
        assert extension.renewals.sent_value(client.id, "ONEACCESS_TOKEN") is None
        # Nothing is left to remove.
        assert (await remove(call, client.id))["state"] == "done"


async def test_what_the_notebook_has_put_there_since_stays(as_sent: None, call: Call, jp_serverapp: Any) -> None:
    async with started(jp_serverapp) as client:
        await injected(call, client.id)
        await client.run("import os; os.environ['ONEACCESS_TOKEN'] = 'mine'")
        await remove(call, client.id)
        assert (await client.run(PYTHON)).strip() == "mine"


async def test_a_kernel_with_the_extension_does_it_itself(call: Call, jp_serverapp: Any) -> None:
    async with started(jp_serverapp) as client:
        await client.run("%gettoken oneaccess --var mine")
        await injected(call, client.id)
        await remove(call, client.id)
        assert (await client.run(PYTHON)).strip() == "None"
        assert (await client.run("print('mine' in globals())")).strip() == "False"


async def test_several_values_go_together(
    *,
    as_sent: None,
    jp_serverapp: Any,
    call: Call,
    extension: TokensExtension,
    profiles: dict[str, Any],
    sandbox: Sandbox,
    tmp_path: Path,
    write_profiles: Callable[..., Path],
) -> None:
    key = sandbox.neighbours(tmp_path / "secrets")["alibaba-sts"]
    write_profiles({**profiles, "alibaba-sts": key})
    variables = [*key["env"].values()]
    show = f"import os; print([len(os.environ.get(name, '')) > 0 for name in {variables}])"
    async with started(jp_serverapp) as client:
        answer = told(await call("POST", f"kernels/{client.id}/inject", {"profile": "alibaba-sts"}))
        assert (answer["state"], answer["env"]) == ("done", key["env"])
        assert (await client.run(show)).strip() == "[True, True, True]"
        assert {holding["env"] for holding in await holdings(call)} == set(variables)
        removed = await call("DELETE", f"kernels/{client.id}/inject?profile=alibaba-sts")
        assert (removed.code, told(removed)["state"]) == (200, "done")
        assert set(told(removed)["env"].split(", ")) == set(variables)
        assert (await client.run(show)).strip() == "[False, False, False]"
        assert await holdings(call) == []
        assert not [name for name in variables if extension.renewals.sent_value(client.id, name) is not None]


async def test_a_busy_kernel_does_it_later(as_sent: None, call: Call, jp_serverapp: Any, tmp_path: Path) -> None:
    async with started(jp_serverapp) as client:
        await injected(call, client.id)
        waits = tmp_path / "fifo"
        await busy(client, waits)
        answer = await call("DELETE", f"kernels/{client.id}/inject?profile=oneaccess")
        assert (answer.code, told(answer)["state"]) == (202, "queued")
        waits.write_text("")
        # A removal takes several requests to the kernel, and this client's could come between them.
        assert (await ended(call, f"kernels/{client.id}/inject/{told(answer)['id']}"))["state"] == "done"
        assert (await client.run(PYTHON)).strip() == "None"


async def test_r(as_sent: None, call: Call, jp_serverapp: Any, jp_data_dir: Path) -> None:
    shutil.copytree(IR, jp_data_dir / "kernels" / "ir")
    async with started(jp_serverapp, "ir") as client:
        await injected(call, client.id)
        await remove(call, client.id)
        assert await client.run(R) == "NA"
        await injected(call, client.id)
        await client.run("Sys.setenv(ONEACCESS_TOKEN = 'mine')")
        await remove(call, client.id)
        assert await client.run(R) == "mine"


async def test_what_is_asked_for_has_to_exist(call: Call, kernel: Kernel) -> None:
    for query in ("", "?profile=nothing"):
        answer = await call("DELETE", f"kernels/{kernel.id}/inject{query}")
        assert (answer.code, told(answer)["reason"]) == (404, "unknown_profile")
    answer = await call("DELETE", "kernels/00000000-0000-0000-0000-000000000000/inject?profile=oneaccess")
    assert (answer.code, told(answer)["reason"]) == (404, "kernel")
