"""`jupyter tokens completion SHELL`: tab completion for bash, zsh and fish, with argcomplete."""

from __future__ import annotations

import sys
import warnings
from contextlib import closing
from typing import Any

from argcomplete.shell_integration import shellcode

from ..config.files import load_profiles, load_raw_profiles
from ..errors import TokenError
from ..providers.catalogue import provider_ids
from .command import Action

__all__ = ["CompletionApp", "profile_names", "profile_then_params", "provider_names"]

SHELLS = ("bash", "zsh", "fish")


def profile_names(**_: Any) -> list[str]:
    """Return the names of the profiles."""
    # Errors in the files are not reported here: the command itself reports them when it runs.
    return list(load_raw_profiles().profiles)


def provider_names(**_: Any) -> list[str]:
    """Return the ids of the providers."""
    return provider_ids()


def profile_then_params(parsed_args: Any, prefix: str = "", **_: Any) -> list[str]:
    """Complete a profile's name, then its provider's parameters; after `PARAMETER=`, the ids that the API lists."""
    words = getattr(parsed_args, "extra_args", None) or []
    if not words:
        return profile_names()
    name, equals, _value = prefix.partition("=")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            provider = load_profiles()[words[0]].provider
            if equals and name in provider.lists:
                return _listed_values(words[0], name, words[1:])
    except TokenError:
        return []
    return [
        f"{name}={choice}"
        for name, param in provider.params.items()
        for choice in (param.choices or (("true", "false") if param.type == "boolean" else ("",)))
    ]


def _listed_values(profile: str, name: str, written: list[str]) -> list[str]:
    from ..sources.local import LocalSource  # noqa: PLC0415 (slow to load, and other completions do not need it)

    given = dict(word.split("=", 1) for word in written if "=" in word)
    with closing(LocalSource()) as source:
        return [f"{name}={each.id}" for each in source.list_values(profile, name, given)]


class CompletionApp(Action):
    """Print the code for the shell to evaluate."""

    name = "jupyter-tokens-completion"
    description = """Print the shell code that completes `jupyter tokens` and `jupyter-tokens`: sub-commands, options,
    names of profiles and providers, parameters."""
    examples = """
    eval "$(jupyter tokens completion bash)"     # in ~/.bashrc
    eval "$(jupyter tokens completion zsh)"      # in ~/.zshrc, after compinit
    jupyter tokens completion fish | source      # in ~/.config/fish/config.fish
    """
    completer = staticmethod(lambda **_: list(SHELLS))

    def run(self) -> int:
        if len(self.extra_args) != 1 or self.extra_args[0] not in SHELLS:
            self.fail(2, f"name one shell ({', '.join(SHELLS)}); see --help")
        # `jupyter` itself delegates to the completion of its sub-commands.
        sys.stdout.write(shellcode(["jupyter", "jupyter-tokens"], shell=self.extra_args[0]))
        return 0
