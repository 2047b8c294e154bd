"""`jupyter tokens …`: names the sub-commands; each is an application of its own."""

from __future__ import annotations

from .command import Command

__all__ = ["TokensApp", "main"]


class TokensApp(Command):
    """Dispatches to a sub-command."""

    name = "jupyter-tokens"
    description = "Short-lived cloud tokens for notebooks, without a secret ever standing in the notebook."
    subcommands = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        "demo": ("jupyter_tokens.cli.demo.DemoApp", "Start the sandbox and JupyterLab, and open the first tutorial."),
        "scan": ("jupyter_tokens.cli.scan.ScanApp", "Find tokens and keys in notebooks, and redact outputs."),
        "sandbox": ("jupyter_tokens.cli.sandbox.SandboxApp", "Serve the five token APIs on loopback, with no account."),
    }

    def start(self) -> None:
        """Runs the sub-command; without one, says which there are and exits with 2 (wrong usage)."""
        super().start()
        known = ", ".join(self.subcommands)
        wrong = f"there is no sub-command {self.extra_args[0]!r}" if self.extra_args else "a sub-command is missing"
        self.fail(2, f"{wrong}; known are {known}; see --help")


def main() -> None:
    """The console script."""
    TokensApp.launch_instance()


if __name__ == "__main__":
    main()
