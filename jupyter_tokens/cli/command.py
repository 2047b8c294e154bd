"""Base classes of all commands: command-line parsing, one-line errors on standard error, exit codes, completion."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn

import argcomplete
from jupyter_core.application import JupyterApp
from traitlets import Container, Enum, TraitError, TraitType
from traitlets.config import Config, Configurable
from traitlets.config.argcomplete_config import increment_argcomplete_index
from traitlets.config.loader import DeferredConfigList, DeferredConfigString

from .._version import __version__
from ..config.files import TokenProfiles, remove_leftovers
from ..errors import ConfigurationError, NoValue, ParameterError, SecretError, TokenError
from .terminal import one_line

__all__ = ["Action", "CommandApp"]

# Errors in the usage, the configuration or a secret. Retrying without a change does not help, so the exit code is 2.
_USAGE = (ConfigurationError, NoValue, ParameterError, SecretError)


class CommandApp(JupyterApp):
    """Base class of `jupyter tokens` and of its sub-commands."""

    version = __version__
    classes = [TokenProfiles]  # noqa: RUF012 (traitlets declares it as an instance variable)
    """Classes whose options --help-all describes in addition to the command's own options."""

    completer: ClassVar[Any] = None
    """Called by argcomplete to complete the arguments that are not options."""

    def __init_subclass__(cls) -> None:
        """Add a command-line option for each trait whose metadata has `alias` (takes a value) or `flag` (takes none).

        A flag sets the trait to the opposite of its default. The flag's help is the metadata `flag_help`, or else the
        trait's help.
        """
        super().__init_subclass__()
        cls.aliases, cls.flags = dict(cls.aliases), dict(cls.flags)
        members = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
        for name, trait in members.items():
            about = trait.metadata if isinstance(trait, TraitType) else {}
            if about.keys() & {"alias", "flag"}:
                trait.tag(config=True)
            if "alias" in about:
                cls.aliases[about["alias"]] = f"{cls.__name__}.{name}"
            if "flag" in about:
                change = {cls.__name__: {name: not trait.default_value}}
                cls.flags[about["flag"]] = (change, about.get("flag_help", trait.help))

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """Parse options and arguments, in any order.

        Replaces the parser of traitlets, which accepts arguments only in one place, ignores unknown options, and for an
        error prints several lines and exits with 1.
        """
        self.argv = list(sys.argv[1:] if argv is None else argv)
        if self.subcommands and self.argv[:1] == ["help"]:
            self.argv = [*self.argv[1:], "--help"]
        first, *rest = self.argv or [""]
        if first in self.subcommands:
            increment_argcomplete_index()
            self.initialize_subcommand(first, rest)
            return
        end = self.argv.index("--") if "--" in self.argv else len(self.argv)
        own_args, extra_args = self.argv[:end], self.argv[end + 1 :]
        if {"-h", "--help", "--help-all"} & set(own_args):
            self.print_help("--help-all" in own_args)
            self.exit(0)
        if {"-V", "--version"} & set(own_args):
            self.print_version()
            self.exit(0)
        traits = {
            f"{cls.__name__}.{name}": trait
            for cls in [*type(self).__mro__, *self.classes]
            if issubclass(cls, Configurable)
            for name, trait in cls.class_traits(config=True).items()
        }
        parser = self._parser(traits)
        # Does nothing unless a shell requests a completion.
        argcomplete.autocomplete(parser, always_complete_options=False)
        try:
            parsed = vars(parser.parse_intermixed_args(own_args))
        except _UsageError as error:
            self.fail(2, f"{error}; see --help")
        self.extra_args = parsed.pop("extra_args") + extra_args
        self.cli_config = Config()
        for config in parsed.pop("flags", ()):
            self.cli_config.merge(config)
        self.update_config(self.cli_config)
        names = {target: _options(names)[-1] for names, target in self.aliases.items()}
        for target, values in parsed.items():
            section, _, name = target.partition(".")
            if section == TokenProfiles.__name__:
                # The value is not shown: it may contain a secret.
                self.fail(
                    2,
                    "settings of TokenProfiles cannot be options: write them into jupyter_tokens_config.py or .json, "
                    "or add a profile with `jupyter tokens add`",
                )
            is_container = isinstance(traits[target], Container)
            self.cli_config[section][name] = (
                DeferredConfigList(values) if is_container else DeferredConfigString(values[-1])
            )
            try:
                # One by one, so that an error can name its option.
                self.update_config(Config({section: {name: self.cli_config[section][name]}}))
            except (TraitError, ValueError):
                self.fail(
                    2, f"{names.get(target, f'--{target}')} must be {_allowed_values(traits[target])}; see --help"
                )

    def _parser(self, traits: dict[str, TraitType[Any, Any]]) -> _Parser:
        parser = _Parser(prog=self.name, add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
        arguments: Any = parser.add_argument("extra_args", nargs="*", default=[])
        arguments.completer = type(self).completer or (lambda **_: list(self.subcommands))
        for names, (config, text) in self.flags.items():
            const = Config(config)
            parser.add_argument(*_options(names), dest="flags", action="append_const", const=const, help=text)
        known = {**self.aliases, **{target: target for target in traits if target not in self.aliases}}
        for names, target in known.items():
            hidden = argparse.SUPPRESS if names == target else None
            option: Any = parser.add_argument(*_options(names), dest=target, action="append", help=hidden)
            option.completer = traits[target].metadata.get("argcompleter") or getattr(
                traits[target], "argcompleter", None
            )
        return parser

    def refuse_arguments(self) -> None:
        """Fail if there are arguments other than options."""
        if self.extra_args:
            self.fail(2, f"takes no arguments, but was given {self.extra_args[0]!r}; see --help")

    def fail(self, code: int, message: str) -> NoReturn:
        """Print one line on standard error, and exit with `code`."""
        sys.stderr.write(f"{self.name}: {message}\n")
        sys.exit(code)


class _UsageError(Exception):
    """The command line is wrong."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise `_UsageError` instead of printing the usage.

        The error does not show the value of an unknown option, because the value may be a secret.
        """
        raise _UsageError(message.partition("=")[0] if "unrecognized arguments" in message else message)


def _options(names: str | tuple[str, ...]) -> list[str]:
    return [f"{'-' if len(name) == 1 else '--'}{name}" for name in ([names] if isinstance(names, str) else names)]


def _allowed_values(trait: TraitType[Any, Any]) -> str:
    if isinstance(trait, Enum):
        return f"one of {', '.join(map(str, trait.values or ()))}"
    low, high = getattr(trait, "min", None), getattr(trait, "max", None)
    return trait.info() + (f" from {low} to {high}" if low is not None and high is not None else "")


class Action(CommandApp):
    """A command that does one thing and exits.

    The exit code is the result of `run`. If `run` raises an error, it is 2 for wrong usage, an invalid profile or a
    missing secret, and 1 for any other `TokenError`, such as an error of the API or the network. After Ctrl-C it is 1.
    """

    def start(self) -> None:
        """Run the command, and exit."""
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
        """Run the command; return the exit code. Raises `TokenError`."""
        raise NotImplementedError


@contextlib.contextmanager
def _warnings_in_one_line(name: str | None) -> Iterator[None]:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        sys.stderr.write(f"{name}: warning: {one_line(str(message))}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
