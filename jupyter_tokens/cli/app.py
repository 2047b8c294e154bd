# PYTHON_ARGCOMPLETE_OK
"""`jupyter tokens`: dispatches to the sub-commands, each of which is a separate application."""

from __future__ import annotations

import os
import sys
from typing import Any

from traitlets.config.argcomplete_config import get_argcomplete_cwords

from .command import CommandApp

__all__ = ["TokensApp", "main"]


class TokensApp(CommandApp):
    """Dispatch to a sub-command."""

    name = "jupyter-tokens"
    description = "Short-lived cloud tokens for notebooks; no secret ever appears in a notebook."
    subcommands = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        "list": ("jupyter_tokens.cli.configured.ListApp", "List the profiles."),
        "providers": (
            "jupyter_tokens.cli.providers.ProvidersApp",
            "List the providers with settings and parameters.",
        ),
        "get": ("jupyter_tokens.cli.get.GetApp", "Fetch a token and print it."),
        "values": ("jupyter_tokens.cli.get.ValuesApp", "List the ids that a parameter can have."),
        "add": ("jupyter_tokens.cli.add.AddApp", "Add a profile; prompts for missing values."),
        "sdk": ("jupyter_tokens.cli.sdk.SdkApp", "Print the configuration with which an SDK or tool uses a profile."),
        "remove": ("jupyter_tokens.cli.configured.RemoveApp", "Remove a profile and the secrets stored for it."),
        "set-secret": ("jupyter_tokens.cli.add.SetSecretApp", "Enter a new secret for a profile."),
        "doctor": ("jupyter_tokens.cli.doctor.DoctorApp", "Check the installation and the profiles."),
        "store": ("jupyter_tokens.cli.store.StoreApp", "Show, clear or rekey the token store of your processes."),
        "login": ("jupyter_tokens.cli.login.LoginApp", "Log in to a profile as yourself."),
        "logout": ("jupyter_tokens.cli.login.LogoutApp", "Log out, and revoke the login if the server supports that."),
        "whoami": ("jupyter_tokens.cli.login.WhoamiApp", "Print who is logged in to a profile."),
        "handle": ("jupyter_tokens.cli.handles.HandleApp", "Write a handle, with which a job gets a profile's tokens."),
        "handles": ("jupyter_tokens.cli.handles.HandlesApp", "List the handles in use, or revoke one."),
        "demo": ("jupyter_tokens.cli.demo.DemoApp", "Start the sandbox and JupyterLab, and open the first tutorial."),
        "sandbox": ("jupyter_tokens.cli.sandbox.SandboxApp", "Serve imitations of the token APIs on loopback."),
        "service": ("jupyter_tokens.cli.service.ServiceApp", "Serve profiles to the users of a JupyterHub."),
        "hub-config": ("jupyter_tokens.cli.service.HubConfigApp", "Print the lines for jupyterhub_config.py."),
        "scan": ("jupyter_tokens.cli.scan.ScanApp", "Find tokens and keys in notebooks; with --fix, redact outputs."),
        "completion": ("jupyter_tokens.cli.completion.CompletionApp", "Print the completion code for your shell."),
    }

    def _config_file_name_default(self) -> str:
        # The default file name would load the profiles, and --show-config would then print literal secrets.
        return ""

    def initialize(self, argv: Any = None) -> None:
        """Read the command line, or, when a shell requests a completion, the words typed so far."""
        super().initialize((get_argcomplete_cwords() or sys.argv)[1:] if argv is None else argv)

    def start(self) -> None:
        """Run the sub-command. If it is missing or unknown, list the known ones and exit with 2 (wrong usage)."""
        super().start()
        known = ", ".join(self.subcommands)
        wrong = f"there is no sub-command {self.extra_args[0]!r}" if self.extra_args else "a sub-command is missing"
        self.fail(2, f"{wrong}; known sub-commands: {known}; see --help")


def main() -> None:
    """Run the console script."""
    try:
        try:
            TokensApp.launch_instance()
        finally:
            # Flush here, because an error at exit could not be caught.
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the pipe, such as `head`, has ended.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
