"""What IPython records and writes to files holds no known value; what was typed stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.kernel.redaction.records import Records
from jupyter_tokens.kernel.redaction.search import Search

from ..shells import a_shell

VALUE = "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678"
LABEL = "[token x]"
CELLS = (
    "value",
    "print(value[:10], end=''); print(value[10:])",
    "from IPython.display import display; display({'text/plain': value}, raw=True)",
    "raise RuntimeError('401 for ' + value)",
)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with a_shell({"hist_file": ":memory:", "db_log_output": True}) as made:
        made.user_ns["value"] = VALUE
        yield made


@pytest.fixture
def search() -> Search:
    return Search()


@pytest.fixture
def records(shell: InteractiveShell, search: Search) -> Iterator[Records]:
    made = Records(shell, lambda: search)
    yield made
    made.close()


def run(shell: InteractiveShell, *cells: str) -> None:
    for cell in cells:
        shell.run_cell(cell, store_history=True)


@pytest.mark.usefixtures("records")
def test_an_exported_notebook_holds_no_value_that_became_known_after_its_cells_ran(
    shell: InteractiveShell, search: Search
) -> None:
    run(shell, *CELLS)
    search.add(VALUE, LABEL)
    run(shell, "%notebook first.ipynb", "%notebook second.ipynb")
    for name in ("first.ipynb", "second.ipynb"):
        text = Path(name).read_text(encoding="utf-8")
        assert VALUE not in text
        outputs = [json.dumps(cell["outputs"]) for cell in json.loads(text)["cells"]][: len(CELLS)]
        assert [LABEL in output for output in outputs] == [True] * len(CELLS)


@pytest.mark.usefixtures("records")
def test_the_history_in_a_file_holds_no_value(shell: InteractiveShell, search: Search) -> None:
    run(shell, "value")
    search.add(VALUE, LABEL)
    run(shell, "value", "%history -o -f history.txt", "%hist -o -f hist.txt")
    for name in ("history.txt", "hist.txt"):
        text = Path(name).read_text(encoding="utf-8")
        assert VALUE not in text
        assert text.count(LABEL) == 2
    assert shell.history_manager is not None
    assert LABEL in str([output for _number, output in shell.history_manager.db_output_cache])


@pytest.mark.usefixtures("records")
def test_a_log_holds_no_value_also_of_what_came_before_it(shell: InteractiveShell, search: Search) -> None:
    search.add(VALUE, LABEL)
    run(shell, "value", "%logstart -o -q session.log", "value", f"typed = '{VALUE}'", "%logstop")
    text = Path("session.log").read_text(encoding="utf-8")
    assert text.count(LABEL) == 2
    # What was typed stands in the notebook as well.
    assert text.count(VALUE) == 1
    assert f"typed = '{VALUE}'" in text


def test_closing_puts_everything_back(shell: InteractiveShell, search: Search) -> None:
    search.add(VALUE, LABEL)
    assert shell.logger
    magics = shell.magics_manager.magics["line"]
    before = dict(magics), set(vars(shell.displayhook)), set(vars(shell.logger))
    made = Records(shell, lambda: search)
    assert magics["notebook"] is not before[0]["notebook"]
    made.close()
    assert (dict(magics), set(vars(shell.displayhook)), set(vars(shell.logger))) == before
    run(shell, "value", "value", "%notebook plain.ipynb")
    assert VALUE in Path("plain.ipynb").read_text(encoding="utf-8")


def test_a_magic_that_somebody_else_registered_after_us_stays(shell: InteractiveShell, search: Search) -> None:
    made = Records(shell, lambda: search)
    shell.magics_manager.register_function(print, "line", "notebook")
    made.close()
    assert shell.find_line_magic("notebook") is print


def test_while_redaction_is_off_records_stay_as_they_are(shell: InteractiveShell) -> None:
    made = Records(shell, lambda: None)
    run(shell, "value", "value", "%notebook plain.ipynb")
    made.close()
    assert VALUE in Path("plain.ipynb").read_text(encoding="utf-8")
