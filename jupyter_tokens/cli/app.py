"""`jupyter tokens …`: names the sub-commands; each is an application of its own."""

from __future__ import annotations

import sys

from jupyter_core.application import JupyterApp

from .._version import __version__

__all__ = ["TokensApp", "main"]


class TokensApp(JupyterApp):
    """Dispatches to a sub-command."""

    name = "jupyter-tokens"
    version = __version__
    description = "Short-lived cloud tokens for notebooks, without a secret ever standing in the notebook."
    subcommands = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        "demo": ("jupyter_tokens.cli.demo.DemoApp", "Start the sandbox and JupyterLab, and open the first tutorial."),
        "sandbox": ("jupyter_tokens.cli.sandbox.SandboxApp", "Serve the five token APIs on loopback, with no account."),
    }

    def start(self) -> None:
        """Runs the sub-command; without one, says which there are and exits with 2 (wrong usage)."""
        super().start()
        self.print_subcommands()
        sys.exit(2)


def main() -> None:
    """The console script."""
    TokensApp.launch_instance()
