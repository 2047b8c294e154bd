"""Commands run in this process, with what they print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from jupyter_tokens.cli.app import TokensApp


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def runner(app: Any, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs an application until its end."""

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as end:
            app.launch_instance(list(arguments))
        app.clear_instance()
        TokensApp.clear_instance()
        out, err = capfd.readouterr()
        return Done(int(end.value.code or 0), out, err)

    return run
