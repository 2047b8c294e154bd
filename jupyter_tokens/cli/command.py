"""What all commands share: wrong usage is one line on standard error and exit code 2; knows no command."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import NoReturn

from jupyter_core.application import JupyterApp

from .._version import __version__

__all__ = ["Command"]


class Command(JupyterApp):
    """Base of `jupyter tokens` and of its sub-commands."""

    version = __version__

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """Exit code 2, not traitlets' 1, and one line for an option that is unknown or has a bad value."""
        usage = io.StringIO()
        self.log.debug("reading the command line")  # Binds the log to the real stderr, before it is redirected.
        try:
            with contextlib.redirect_stderr(usage):
                super().parse_command_line(argv)
        except SystemExit as end:
            if end.code:
                # Traitlets logs one line; of argparse's whole usage only the last line says what is wrong.
                last = usage.getvalue().strip().rpartition("\n")[2]
                sys.stderr.write(last and f"{self.name}: {last.rpartition('error: ')[2]}; see --help\n")
                self.exit(2)
            raise

    def fail(self, code: int, message: str) -> NoReturn:
        """Ends the process with one line on standard error."""
        sys.stderr.write(f"{self.name}: {message}\n")
        sys.exit(code)
