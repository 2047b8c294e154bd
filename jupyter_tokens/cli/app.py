# PYTHON_ARGCOMPLETE_OK
"""`jupyter tokens …`: names the sub-commands; each is an application of its own."""

from __future__ import annotations

from typing import Any

from .command import CommandApp

__all__ = ["TokensApp", "main"]


class TokensApp(CommandApp):
    """Dispatches to a sub-command."""

    name = "jupyter-tokens"
    description = "Short-lived cloud tokens for notebooks; no secret ever appears in a notebook."
    subcommands = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        "list": ("jupyter_tokens.cli.configured.ListApp", "List the profiles."),
        "providers": (
            "jupyter_tokens.cli.providers.ProvidersApp",
            "List the providers with settings and parameters.",
        ),
        "get": ("jupyter_tokens.cli.get.GetApp", "Fetch a token and print it."),
        "add": ("jupyter_tokens.cli.add.AddApp", "Add a profile; asks for what is missing, secrets unseen."),
        "remove": ("jupyter_tokens.cli.configured.RemoveApp", "Remove a profile and the secrets stored for it."),
        "doctor": ("jupyter_tokens.cli.doctor.DoctorApp", "Look for what is wrong, and say what to do."),
        "handle": ("jupyter_tokens.cli.handles.HandleApp", "Write a handle for a job: no token and no secret."),
        "handles": ("jupyter_tokens.cli.handles.HandlesApp", "List the handles in use, or revoke one."),
        "store": ("jupyter_tokens.cli.store.StoreApp", "Show, clear or rekey what your processes share."),
        "demo": ("jupyter_tokens.cli.demo.DemoApp", "Start the sandbox and JupyterLab, and open the first tutorial."),
        "sandbox": ("jupyter_tokens.cli.sandbox.SandboxApp", "Serve the five token APIs on loopback, with no account."),
        "service": ("jupyter_tokens.cli.service.ServiceApp", "Serve profiles to the users of a JupyterHub."),
        "hub-config": ("jupyter_tokens.cli.service.HubConfigApp", "Print what jupyterhub_config.py needs for that."),
        "scan": ("jupyter_tokens.cli.scan.ScanApp", "Find tokens and keys in notebooks, and redact outputs."),
        "completion": ("jupyter_tokens.cli.completion.CompletionApp", "Print what completes commands in your shell."),
    }

    def _config_file_name_default(self) -> str:
        # By its name it would read the profiles, and show a literal secret for --show-config.
        return ""

    def initialize(self, argv: Any = None) -> None:
        """See `JupyterApp`, which does not look for what a shell asks to be completed."""
        super().initialize(self._get_sys_argv(check_argcomplete=True)[1:] if argv is None else argv)

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
