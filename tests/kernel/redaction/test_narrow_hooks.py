"""Where messages cannot be searched: what is printed, displayed and raised has no known value in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.kernel.redaction.known_values import KnownValues
from jupyter_tokens.kernel.redaction.narrow_hooks import NarrowHooks
from jupyter_tokens.kernel.redaction.search import Search

from ..shells import a_shell

VALUE = "7211546f57cd432790643bb6612da19d"


@pytest.fixture
def looked_for() -> list[Search | None]:
    known = KnownValues()
    known.add(VALUE, "token x")
    return [known.search()]


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    with a_shell() as made:
        made.user_ns["value"] = VALUE
        yield made


@contextmanager
def terminal(shell: InteractiveShell, looked_for: list[Search | None]) -> Iterator[Callable[[], str]]:
    """What a terminal shows of a hooked shell."""
    # Not in a fixture: pytest puts its own streams there between the fixtures and the test.
    shown = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(shown), redirect_stderr(shown):
        hooks = NarrowHooks(shell, lambda: looked_for[-1])
        yield lambda: shown.buffer.getvalue().decode()
        hooks.close()
        assert "write" not in vars(shown)
        assert "publish" not in vars(shell.display_pub)


@pytest.mark.parametrize(
    "cell",
    [
        "value",
        "print(value)",
        "import sys; print(value, file=sys.stderr)",
        "from IPython.display import display; display(value)",
        "from IPython.display import display; display({'text/plain': value}, raw=True)",
        "raise RuntimeError(value)",
        "%xmode Verbose\nsecret = value\n1 / 0 if secret else 2",
    ],
)
def test_a_value_is_taken_out(shell: InteractiveShell, looked_for: list[Search | None], cell: str) -> None:
    with terminal(shell, looked_for) as seen:
        shell.run_cell(cell)
        assert "[token x]" in seen()
        assert VALUE not in seen()
        looked_for.append(None)
        shell.run_cell(cell)
        assert VALUE in seen()


def test_an_exception_is_shown_by_its_own_name_and_stays_as_it_is(
    shell: InteractiveShell, looked_for: list[Search | None]
) -> None:
    with terminal(shell, looked_for) as seen:
        outcome = shell.run_cell("raise KeyError(value)")
        assert "KeyError: '[token x]'" in seen()
    assert outcome.error_in_exec is not None
    assert outcome.error_in_exec.args == (VALUE,)


def test_who_shows_an_error_gets_its_message_without_the_value(looked_for: list[Search | None]) -> None:
    told: list[str] = []

    def show(kind: type[BaseException], error: BaseException, lines: list[str]) -> None:
        told.extend([kind.__name__, type(error).__name__, str(error), *lines])

    hooks = NarrowHooks.__new__(NarrowHooks)
    hooks._search = lambda: looked_for[-1]
    hooks._show_traceback(show, OSError, OSError(f"for {VALUE}"), [VALUE])
    hooks._show_traceback(show, OSError, OSError("plain"), [])
    assert told == ["OSError", "Exception", "for [token x]", "[token x]", "OSError", "OSError", "plain"]
