"""A temporary access key in real kernels: redacted, pushed, renewed and left alone as one, and in no saved notebook."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_tokens.server.app import TokensExtension

from ..scan.notebooks import code, notebook, output
from .conftest import Call, told
from .kernels import Client, started, until
from .saving import Save, save

__all__ = ["save"]  # a fixture

IR = Path("/usr/share/jupyter/kernels/ir")
NAMES = {
    "alibaba-sts": ("AccessKeyId", "AccessKeySecret", "SecurityToken"),
    "huawei-sts": ("access_key_id", "secret_access_key", "security_token"),
}
each = pytest.mark.parametrize("profile", NAMES)


@pytest.fixture
def neighbours() -> tuple[str, ...]:
    """Temporary access keys among them."""
    return tuple(NAMES)


def values_of(extension: TokensExtension, profile: str) -> dict[str, str]:
    """What the server holds, by the variable that it goes to."""
    held = extension.source.held(extension.source.key(profile))
    assert held is not None
    variables: dict[str, str] = dict(extension.source.profiles()[profile].env)  # type: ignore[arg-type]
    return {variables[name]: value for name, value in held.token.values().items()}


async def seen(client: Client, variables: dict[str, str]) -> dict[str, str]:
    """What a Python kernel has in those variables; None where there is nothing."""
    look = f"import json, os; print(json.dumps({{name: os.environ.get(name) for name in {[*variables]!r}}}))"
    found: dict[str, str] = json.loads(await client.run(look))
    return found


@each
@pytest.mark.usefixtures("published")
async def test_each_of_the_values_is_taken_out_of_what_a_kernel_shows(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, call: Call, profile: str
) -> None:
    async with started(jp_serverapp) as client:
        answer = await call("POST", f"kernels/{client.id}/inject", {"profile": profile})
        assert (answer.code, told(answer)["kept_by"]) == (200, "kernel")
        values = values_of(extension, profile)
        assert await seen(client, values) == dict.fromkeys(values, f"[token {profile}]")
        await client.run("import os, sys, traceback")
        for variable in values:
            await client.run(f"os.environ[{variable!r}]")
            await client.run(f"print(os.environ[{variable!r}], file=sys.stderr)")
            await client.run(f"raise ValueError(os.environ[{variable!r}])")
            await client.run(f"!echo ${variable}")
            await client.run(f"display({{'text/html': os.environ[{variable!r}]}}, raw=True)")
        heard = client.all_heard()
        # Each of the values by each of the ways.
        assert heard.count(f"[token {profile}]") >= 5 * len(values)
        assert not [variable for variable, value in values.items() if value in heard]


@each
@pytest.mark.usefixtures("as_sent")
async def test_all_of_them_are_pushed_and_renewed_at_once(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, call: Call, profile: str
) -> None:
    async with started(jp_serverapp) as client:
        answer = await call("POST", f"kernels/{client.id}/inject", {"profile": profile})
        assert (answer.code, told(answer)["kept_by"]) == (200, "server")
        first = values_of(extension, profile)
        assert await seen(client, first) == first
        assert not [value for value in first.values() if value in answer.body.decode()]
        holdings = told(await call("GET", "holdings"))["holdings"]
        assert {holding["env"]: holding["kept_by"] for holding in holdings} == dict.fromkeys(first, "server")
        extension.source.get(extension.source.key(profile), refresh=True)
        second = values_of(extension, profile)
        assert not set(first.values()) & set(second.values())
        renewed = next(iter(second))
        await until(
            lambda: (sent := extension.renewals.sent_value(client.id, renewed)) and sent.reveal() == second[renewed]
        )
        assert await seen(client, first) == second


@each
@pytest.mark.usefixtures("as_sent")
async def test_with_one_that_the_notebook_has_changed_the_others_are_left_alone(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, call: Call, profile: str
) -> None:
    async with started(jp_serverapp) as client:
        await call("POST", f"kernels/{client.id}/inject", {"profile": profile})
        first = values_of(extension, profile)
        changed = [*first][1]
        await client.run(f"import os; os.environ[{changed!r}] = 'mine'")
        extension.source.get(extension.source.key(profile), refresh=True)
        await until(lambda: not any(extension.renewals.sent_value(client.id, variable) for variable in first))
        assert await seen(client, first) == {**first, changed: "mine"}
        holdings = told(await call("GET", "holdings"))["holdings"]
        assert {holding["kept_by"] for holding in holdings} == {None}


@pytest.mark.usefixtures("as_sent")
async def test_another_token_in_one_of_the_variables_ends_the_renewal_of_all(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, call: Call
) -> None:
    async with started(jp_serverapp) as client:
        await call("POST", f"kernels/{client.id}/inject", {"profile": "huawei-sts"})
        first = values_of(extension, "huawei-sts")
        taken = next(iter(first))
        await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess", "env": taken})
        holdings = told(await call("GET", "holdings"))["holdings"]
        kept = {holding["env"]: (holding["profile"], holding["kept_by"]) for holding in holdings}
        others = {variable: ("huawei-sts", None) for variable in first if variable != taken}
        assert kept == {taken: ("oneaccess", "server"), **others}
        extension.source.get(extension.source.key("huawei-sts"), refresh=True)
        await client.run("1")
        value = extension.source.get(extension.source.key("oneaccess")).reveal()
        assert await seen(client, first) == {**first, taken: value}


@pytest.mark.skipif(not IR.is_dir(), reason="needs R and IRkernel: apt-get install r-cran-irkernel")
@pytest.mark.usefixtures("as_sent")
async def test_r_has_all_of_them(
    jp_serverapp: Any, extension: TokensExtension, profiles: Any, call: Call, jp_data_dir: Path
) -> None:
    shutil.copytree(IR, jp_data_dir / "kernels" / "ir")
    async with started(jp_serverapp, "ir") as client:
        assert (await call("POST", f"kernels/{client.id}/inject", {"profile": "huawei-sts"})).code == 200
        values = values_of(extension, "huawei-sts")
        heard = client.all_heard()
        assert not [value for value in values.values() if value in heard or value.encode().hex() in heard]
        for variable, value in values.items():
            assert await client.run(f"cat(Sys.getenv('{variable}'))") == value


class TestSaved:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Config) -> Config:
        jp_server_config.TokensExtension.scan_on_save = "redact"
        return jp_server_config

    @each
    async def test_no_output_is_written_with_any_of_them(
        self, save: Save, extension: TokensExtension, profiles: Any, jp_root_dir: Path, profile: str
    ) -> None:
        values = extension.source.get(extension.source.key(profile)).values()
        texts = [output({"text/plain": f"a {value} b"}) for value in values.values()]
        assert (await save(notebook(code("show(1)", texts)))).code == 201
        written = (jp_root_dir / "a.ipynb").read_text()
        assert not [name for name, value in values.items() if value in written]
        assert written.count(f"[token {profile}]") == len(values)
