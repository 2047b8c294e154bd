"""A token of several values: they go to their places together, are renewed together, and none of them is shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.clock import utc
from jupyter_tokens.errors import ParameterError
from jupyter_tokens.kernel.injection import Injections, env_place, env_places
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.token import Token

from ..doubles import NOW
from . import shells

KEY = Key("sts")
ENV = {"AccessKeyId": "STS_ID", "AccessKeySecret": "STS_SECRET", "SecurityToken": "STS_TOKEN"}
NAMES = [*ENV.values()]


def key(number: str) -> Token:
    values = {name: f"{name.lower()}-{number}" for name in ENV}
    return Token(values, profile="sts", provider="alibaba-sts", obtained_at=utc(NOW))


def held(number: str) -> dict[str, str]:
    return {variable: f"{name.lower()}-{number}" for name, variable in ENV.items()}


def run(shell: InteractiveShell, cell: str) -> str:
    """All that a cell shows."""
    outcome = shells.run(shell, cell)
    return "".join([outcome.printed, *(json.dumps(each.data) for each in outcome.outputs)])


@pytest.fixture
def environ() -> dict[str, str]:
    return {}


@pytest.fixture
def injections(environ: dict[str, str]) -> Injections:
    return Injections({}, environ)


def test_each_value_has_its_variable_and_all_are_renewed_and_put_back(
    injections: Injections, environ: dict[str, str]
) -> None:
    environ["STS_ID"] = "mine"
    injections.put(KEY, key("1"), env_places(ENV))
    assert environ == held("1")
    injections.update(KEY, key("2"))
    assert environ == held("2")
    injections.remove(KEY)
    assert environ == {"STS_ID": "mine"}


@pytest.mark.parametrize("changed", NAMES)
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "deleted"])
def test_where_the_notebook_has_changed_one_the_others_stay(
    injections: Injections, environ: dict[str, str], changed: str, *, gone: bool
) -> None:
    injections.put(KEY, key("1"), env_places(ENV))
    if gone:
        del environ[changed]
    else:
        environ[changed] = "mine"
    before = dict(environ)
    for number in ("2", "3"):
        injections.update(KEY, key(number))
        assert environ == before
    left = injections.pop_notices()
    assert len(left) == 3
    assert sum("another value of its token" in sentence for sentence in left) == 2


def test_a_value_that_no_variable_can_hold_changes_none(injections: Injections, environ: dict[str, str]) -> None:
    injections.put(KEY, key("1"), env_places(ENV))
    broken = {**key("2").values(), "SecurityToken": "a\0b"}
    (problem,) = injections.update(KEY, Token(broken, profile="sts", provider="x", obtained_at=utc(NOW)))
    assert "NUL" in problem.message
    assert environ == held("1")
    injections.update(KEY, key("3"))
    assert environ == held("3")
    with pytest.raises(ParameterError, match="NUL"):
        injections.put(Key("other"), Token(broken, profile="o", provider="x", obtained_at=utc(NOW)), env_places(ENV))
    assert environ == held("3")


def test_one_variable_for_three_values_is_refused(injections: Injections, environ: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match="AccessKeyId, AccessKeySecret, SecurityToken"):
        injections.put(KEY, key("1"), [env_place("STS")])
    with pytest.raises(ParameterError, match="The same variable"):
        env_places("AccessKeyId=A,SecurityToken=A")
    assert environ == {}


@pytest.fixture
def sts(sandbox: Sandbox, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in (*NAMES, "A", "B", "C"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    profile = {**sandbox.neighbours(tmp_path)["alibaba-sts"], "env": ENV}
    write_config(config_dir, {"sts": profile})
    return "sts"


@pytest.fixture
def loaded(bare: InteractiveShell, sts: str) -> InteractiveShell:
    shells.done(bare, "%load_ext jupyter_tokens")
    return bare


def test_the_magics_fill_list_hide_and_forget_all_of_them(loaded: InteractiveShell) -> None:
    shown = run(loaded, "%gettoken sts --var t")
    assert "AccessKeyId, AccessKeySecret, SecurityToken" in shown
    token = loaded.user_ns["t"]
    assert not [name for name in NAMES if name in os.environ]
    shown += run(loaded, "%gettoken sts")
    assert {name: os.environ[variable] for name, variable in ENV.items()} == token.values()
    listed = run(loaded, "%tokens")
    assert "$STS_TOKEN (SecurityToken)" in listed
    assert not [value for value in token.values().values() if value in shown + listed]
    run(loaded, "%deltoken sts")
    assert not [name for name in NAMES if name in os.environ]


def test_a_magic_can_name_the_variables_but_not_some_of_them(loaded: InteractiveShell) -> None:
    wrong = run(loaded, "%gettoken sts --env A")
    assert "needs a variable" in wrong
    assert "AccessKeyId=VAR,AccessKeySecret=VAR,SecurityToken=VAR" in wrong
    assert "needs a variable" in run(loaded, "%gettoken sts --env SecurityToken=A")
    assert not {"A", "B", "C"} & os.environ.keys()
    shells.done(loaded, "%gettoken sts --env AccessKeyId=A,AccessKeySecret=B,SecurityToken=C")
    assert os.environ["A"].startswith("STS.")
    assert not [name for name in NAMES if name in os.environ]


def test_a_file_holds_all_of_them_as_json_alone(loaded: InteractiveShell, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    shells.done(loaded, f"%gettoken sts --file {file} --format json")
    told: dict[str, Any] = json.loads(file.read_text())
    assert (set(told["token"]), told["headers"]) == (set(ENV), {})
    assert "belong together" in run(loaded, f"%gettoken sts --file {tmp_path / 'raw'}")
    assert not (tmp_path / "raw").exists()
