"""The face: its names, and what it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jupyter_tokens

HEAVY = (
    "httpx", "httpcore", "h11", "tornado", "IPython", "ipywidgets", "keyring", "traitlets", "typing", "asyncio",
    "ssl", "dataclasses", "datetime", "logging", "threading", "jupyter_core", "jupyter_server",
)  # fmt: skip
LATER = ("httpx", "httpcore", "h11", "tornado.httpclient", "ipywidgets", "keyring", "jupyter_server")
"""What `%load_ext` leaves for the first use."""


def loaded_by(program: str) -> set[str]:
    report = "import sys\nbefore = set(sys.modules)\n{}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", report.format(program)], capture_output=True, text=True, check=True, timeout=300
    )
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert jupyter_tokens.__all__ == [
        "Client", "LoginNeeded", "Token", "TokenCard", "TokenError", "TokenPanel",
        "__version__", "aget_token", "create_token", "get_token",
        "issue_handle", "revoke_handle", "workers",
    ]  # fmt: skip


def test_each_public_name_is_there_and_the_thing_itself() -> None:
    from jupyter_tokens import client
    from jupyter_tokens.errors import TokenError
    from jupyter_tokens.token import Token
    from jupyter_tokens.widgets import TokenCard, TokenPanel

    assert (jupyter_tokens.Token, jupyter_tokens.TokenError) == (Token, TokenError)
    assert (jupyter_tokens.TokenCard, jupyter_tokens.TokenPanel) == (TokenCard, TokenPanel)
    for name in ("Client", "get_token", "aget_token", "create_token", "issue_handle", "revoke_handle"):
        assert getattr(jupyter_tokens, name) is getattr(client, name)
    assert set(jupyter_tokens.__all__) <= set(dir(jupyter_tokens))


def test_everything_can_be_imported_by_a_star() -> None:
    names: dict[str, object] = {}
    exec("from jupyter_tokens import *", names)
    assert set(jupyter_tokens.__all__) <= set(names)


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in jupyter_tokens._HOMES:
        monkeypatch.delitem(vars(jupyter_tokens), name, raising=False)
    found = jupyter_tokens.Token
    assert vars(jupyter_tokens)["Token"] is found


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'jupyter_tokens' has no attribute 'get_secret'"):
        _ = jupyter_tokens.get_secret


def test_importing_it_loads_its_version_and_nothing_else() -> None:
    loaded = loaded_by("import jupyter_tokens")
    assert {name for name in loaded if name.startswith("jupyter_tokens")} == {
        "jupyter_tokens",
        "jupyter_tokens._version",
    }
    assert not loaded & set(HEAVY)


def test_get_token_is_there_before_httpx_and_the_providers_are() -> None:
    loaded = loaded_by("from jupyter_tokens import get_token")
    assert not loaded & {"httpx", "asyncio", "traitlets", "keyring", "IPython", "jupyter_tokens.providers"}


def test_loading_the_extension_leaves_what_it_can_for_the_first_use() -> None:
    program = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before |= set(sys.modules)
shell.run_line_magic("load_ext", "jupyter_tokens")
assert shell.find_line_magic("gettoken")
"""
    loaded = loaded_by(program)
    assert "jupyter_tokens.kernel.magics" in loaded
    assert not loaded & set(LATER)
    assert not {
        name for name in loaded if name.startswith(("jupyter_tokens.providers", "jupyter_tokens.sources.upstream"))
    }
