"""What all commands share: one line on standard error for an error, exit codes, completion; knows no command."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn

from jupyter_core.application import JupyterApp
from traitlets.config.loader import KVArgParseConfigLoader

from .._version import __version__
from ..config.files import TokenProfiles, remove_leftovers
from ..errors import ConfigurationError, NoValue, ParameterError, SecretError, TokenError
from .terminal import one_line

__all__ = ["Action", "CommandApp"]

# What is wrong before anything is sent: a second try without a change will not help.
_USAGE = (ConfigurationError, NoValue, ParameterError, SecretError)


class CommandApp(JupyterApp):
    """Base of `jupyter tokens` and of its sub-commands."""

    version = __version__
    classes = [TokenProfiles]  # noqa: RUF012 (traitlets declares it as an instance variable)
    """What --help-all describes besides the command itself."""

    completer: ClassVar[Any] = None
    """What argcomplete asks for completions of the arguments that are no options."""

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """Exit code 2, not traitlets' 1, and one line for an option that is unknown or has a bad value."""
        usage = io.StringIO()
        self.log.debug("reading the command line")  # Binds the log to the real stderr, before it is redirected.
        try:
            with contextlib.redirect_stderr(usage):
                super().parse_command_line(argv)
        except SystemExit as end:
            if end.code and self.subapp is not None:
                # The sub-command has said it.
                sys.stderr.write(usage.getvalue())
                self.exit(2)
            if end.code:
                sys.stderr.write(_complaint(self.name, usage.getvalue()))
                self.exit(2)
            raise
        if TokenProfiles.__name__ in self.cli_config:
            # Not shown: it may hold a secret.
            self.fail(2, "profiles are no option: write them into jupyter_tokens_config, or run `jupyter tokens add`")

    def fail(self, code: int, message: str) -> NoReturn:
        """Ends the process with one line on standard error."""
        sys.stderr.write(f"{self.name}: {message}\n")
        sys.exit(code)

    def _create_loader(self, argv: Any, aliases: Any, flags: Any, classes: Any) -> KVArgParseConfigLoader:
        return _Loader(
            argv,
            aliases,
            flags,
            classes=classes,
            log=self.log,
            subcommands=self.subcommands,
            completer=type(self).completer,
        )


def _complaint(name: str | None, usage: str) -> str:
    # Traitlets logs one line; of argparse's whole usage only the last line says what is wrong.
    last = usage.strip().rpartition("\n")[2].rpartition("error: ")[2]
    if "unrecognized arguments" in last:
        # What somebody has given to an option that there is not may be a secret.
        last = last.partition("=")[0]
    return last and f"{name}: {last}; see --help\n"


class Action(CommandApp):
    """A command that does one thing and ends: 0, 1 for an error of the API or the network, 2 for wrong usage."""

    def start(self) -> None:
        """Runs it, and ends the process."""
        super().start()
        remove_leftovers()
        try:
            with _warnings_in_one_line(self.name):
                code = self.run()
        except TokenError as error:
            self.fail(2 if isinstance(error, _USAGE) else 1, one_line(str(error)))
        except KeyboardInterrupt:
            self.fail(1, "stopped")
        sys.exit(code)

    def run(self) -> int:
        """Does it; returns the exit code. Raises `TokenError`."""
        raise NotImplementedError


class _Parser(KVArgParseConfigLoader.parser_class):  # type: ignore[misc, valid-type]
    """Takes arguments before, between and behind options. completer : of the arguments."""

    def __init__(self, *args: Any, completer: Any = None, **options: Any) -> None:
        self._completer = completer
        super().__init__(*args, **options)

    def add_argument(self, *names: Any, **options: Any) -> Any:
        """See `argparse.ArgumentParser`; argcomplete looks for `completer` at what this returns."""
        added = super().add_argument(*names, **options)
        if self._completer is not None and not added.option_strings:
            added.completer = self._completer
        return added

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser`, which takes them in one piece."""
        parsed, left = self.parse_known_args(args, namespace)
        wrong = [text for text in left if text.startswith("-")]
        if wrong:
            self.error(f"unrecognized arguments: {' '.join(wrong)}")
        if left:
            parsed.extra_args = [*getattr(parsed, "extra_args", ()), *left]
        return parsed


class _Loader(KVArgParseConfigLoader):
    """Refuses an option that does not exist, also where it could be the name of something configurable."""

    parser_class = _Parser
    # Options are completed for who has typed a hyphen.
    _argcomplete_kwargs: ClassVar = {"always_complete_options": False}

    def _handle_unrecognized_alias(self, arg: str) -> None:
        # By default it has no effect, with a warning in the log; traitlets' docstring invites to raise an error here.
        self.parser.error(f"unrecognized arguments: --{arg}")


@contextlib.contextmanager
def _warnings_in_one_line(name: str | None) -> Iterator[None]:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        sys.stderr.write(f"{name}: warning: {one_line(str(message))}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
