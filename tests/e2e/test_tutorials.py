"""The tutorials run from top to bottom, and what is saved afterwards holds no secret and no token in any form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_tokens.cli.demo import notebooks_folder, write_config
from jupyter_tokens.sandbox import Accounts, Sandbox, running

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted(notebooks_folder().glob("*.ipynb"))
# With what JSON, URLs and HTML write otherwise, where the vendor's protocol bears it.
CANARIES = (
    'c4n4ry "ali" & b/a+b\\a',
    "c4n4ry <huawei> k=e/y?",
    "c4n4ry-pässword%",
    "c4n4ry&client+secret/=",
    "c4n4ry.astra~b/e+r==",
)


@pytest.fixture
def sandbox(config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    # The kernel runs in a folder of its own, where a relative path of this run leads nowhere.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    alibaba, huawei, iam, oneaccess, astra = CANARIES
    accounts = Accounts(
        alibaba={"LTAI5tTutorial": alibaba},
        huawei={"HWTUTORIAL": huawei},
        iam={"tutorial": iam},
        oneaccess={"tutorial-client": oneaccess},
        astra=[astra],
    )
    with running(Sandbox(accounts)) as served:
        secrets = tmp_path / "secrets"
        secrets.mkdir(mode=0o700)
        write_config(config_dir, served.profiles(secrets))
        yield served


def run(notebook: nbformat.NotebookNode, folder: Path) -> str:
    """Runs it as `jupyter execute` does; returns the text of the saved file."""
    folder.mkdir()
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        store_widget_state=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    saved = folder / "saved.ipynb"
    nbformat.write(notebook, saved)
    return saved.read_text(encoding="utf-8")


def forms(secret: str) -> dict[str, str]:
    """The ways in which a value may stand in a file."""
    found = {
        "raw": secret,
        "json": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in ascii": json.dumps(secret)[1:-1],
        "json in json": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "url": quote(secret, safe=""),
        "path": quote(secret),
        "form": quote_plus(secret),
        "html": escape(secret),
        "html in json": json.dumps(escape(secret))[1:-1],
        "hex": secret.encode().hex(),
    }
    data = secret.encode()
    for offset in range(3):
        # What stands before and after changes the characters at both ends; those between are always these.
        begin, end = -(-offset * 8 // 6), (offset + len(data)) * 8 // 6
        text = base64.b64encode(b"\0" * offset + data).decode()[begin:end]
        found[f"base64 at {offset}"] = text
        found[f"base64url at {offset}"] = text.translate(str.maketrans("+/", "-_"))
    return found


def leaks(text: str, sandbox: Sandbox) -> set[str]:
    """The forms in which a secret or a token of the sandbox is in a text."""
    issued = sandbox._control._world.issued
    return {form for value in (*CANARIES, *issued) for form, written in forms(value).items() if written in text}


def issuers(sandbox: Sandbox) -> set[str]:
    return {token.api for token in sandbox._control._world.issued.values()}


@pytest.mark.parametrize("file", TUTORIALS, ids=lambda file: file.stem)
def test_a_tutorial_runs_and_saves_no_secret(file: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    text = run(notebook, tmp_path / "work")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sandbox.requests.total()
    assert not leaks(text, sandbox)


def test_the_first_tutorial_gets_a_token_from_each_of_the_five(sandbox: Sandbox, tmp_path: Path) -> None:
    notebook = nbformat.read(notebooks_folder() / "01-first-token.ipynb", as_version=4)
    text = run(notebook, tmp_path / "work")
    assert {name for name, count in sandbox.requests.items() if count} == {
        "modelarts",
        "pai-dlc",
        "oneaccess",
        "astra",
        "eiam",
    }
    assert issuers(sandbox) >= {"modelarts", "pai-dlc", "oneaccess", "eiam"}
    assert "injected: $ONEACCESS_TOKEN" in text
    assert "Ada Lovelace" in text
    assert "ModelArts.6309" in text


def test_a_leak_would_be_found_in_each_form(sandbox: Sandbox, tmp_path: Path) -> None:
    program = """
import base64, html, json, urllib.parse
from jupyter_tokens import get_token
from pathlib import Path
values = [get_token("oneaccess").reveal()]
values += [file.read_text(encoding="utf-8") for file in sorted(Path({secrets!r}).iterdir())]
for value in values:
    print(value)
    print(json.dumps(value), html.escape(value))
    print(urllib.parse.quote(value, safe=""), urllib.parse.quote(value), urllib.parse.quote_plus(value))
    print(value.encode().hex())
    for before in ("", ".", ".."):
        print(base64.b64encode((before + value + "and more").encode()).decode())
        print(base64.urlsafe_b64encode((before + value + "and more").encode()).decode())
"""
    source = program.format(secrets=str(tmp_path / "secrets"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    assert leaks(run(notebook, tmp_path / "work"), sandbox) >= set(forms("any"))


def test_a_leak_into_a_widget_would_be_found(sandbox: Sandbox, tmp_path: Path) -> None:
    source = """
from ipywidgets import Text
from jupyter_tokens import get_token
Text(value=get_token("oneaccess").reveal()); None
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    text = run(notebook, tmp_path / "work")
    assert not notebook.cells[0].outputs
    assert "raw" in leaks(text, sandbox)


@pytest.mark.parametrize("file", TUTORIALS, ids=lambda file: file.stem)
def test_a_tutorial_in_git_holds_no_outputs(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert any(cell.cell_type == "code" for cell in notebook.cells)


def test_there_is_a_tutorial() -> None:
    assert TUTORIALS
