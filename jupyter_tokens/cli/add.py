"""`jupyter tokens add`: a profile in the user's configuration; its secret goes to the keyring, or to a 0600 file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets import Enum, List, Unicode

from ..config.editing import check, path, put
from ..config.files import load_profiles
from ..config.profiles import provider_class, provider_ids
from ..config.secrets import SecretRef
from ..errors import ConfigurationError, ParameterError
from ..providers.params import closest
from .command import Action
from .completion import provider_names
from .draft import Draft
from .keyring_backend import backend
from .providers import loaded
from .terminal import ask, confirm, is_interactive, say, table

if TYPE_CHECKING:
    from ..providers.base import Provider

__all__ = ["AddApp"]


class AddApp(Action):
    """Asks, checks, stores, and only then writes: a run that is stopped has changed nothing."""

    name = "jupyter-tokens-add"
    description = """Add the profile NAME to your configuration. What is missing is asked for, secrets unseen.

    A secret is never an argument: it is typed at a hidden prompt and goes to the keyring (or, with --store file, to a
    file of mode 0600 beside the configuration), or it stays where it is and the profile refers to it (--from-env,
    --from-file, --set SETTING=keyring:SERVICE/USER)."""
    examples = """
    jupyter tokens add acme
    jupyter tokens add acme --provider oneaccess --set endpoint=https://acme.huaweioneaccess.com --set client_id=abc
    jupyter tokens add openai --provider static --set env=OPENAI_API_KEY
    jupyter tokens add az --provider command --set "command=az account get-access-token --output json"
    jupyter tokens add ci --provider astra --set endpoint=https://astra.example --from-env api_token=ASTRA_TOKEN
    """

    provider = Unicode("", help="Id of the provider; `jupyter tokens providers` lists them.").tag(
        config=True, argcompleter=provider_names
    )
    settings = List(
        Unicode(), help="SETTING=VALUE of the provider, or of env, timeout, verify and so on; no secret."
    ).tag(config=True)
    params = List(Unicode(), help="PARAMETER=VALUE that each call is to have, by the vendor's own name.").tag(
        config=True
    )
    from_env = List(Unicode(), help="SETTING=VARIABLE: read from the environment of the process that fetches.").tag(
        config=True
    )
    from_file = List(Unicode(), help="SETTING=PATH: read from this file, which nobody else may read.").tag(config=True)
    store = Enum(
        ("keyring", "file"), default_value="keyring", help="Where a typed secret is kept: keyring, or file (mode 0600)."
    ).tag(config=True)

    aliases = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        **Action.aliases,
        "provider": "AddApp.provider",
        "set": "AddApp.settings",
        "param": "AddApp.params",
        "from-env": "AddApp.from_env",
        "from-file": "AddApp.from_file",
        "store": "AddApp.store",
    }

    def run(self) -> int:
        """See `Action`."""
        if len(self.extra_args) != 1:
            self.fail(2, "takes one NAME for the profile; settings are given with --set, secrets are asked for")
        name = self.extra_args[0]
        # Refused before any question is asked, if there is no place for it.
        path()
        profiles = load_profiles()
        if name in profiles:
            self.fail(2, f"there is a profile {name!r} in {profiles.file(name)}: remove it first, or change it there")
        draft = self._draft(name)
        check(name, draft.written(), programs=True)
        store = self._ask_secrets(draft)
        put(name, draft.whole(store), profiles, programs=True)
        say(f"The profile {name} is in {path()}." + "".join(f" {told}" for told in _stored(draft, store)))
        say(f"Try it: jupyter tokens get {name}")
        return 0

    def _draft(self, name: str) -> Draft:
        draft = Draft(name, self._kind())
        for key, value in _pairs("--set", self.settings):
            draft.set(key, value)
        for key, value in _pairs("--param", self.params):
            draft.param(key, value)
        for key, variable in _pairs("--from-env", self.from_env):
            draft.refer(key, _from_env(variable))
        for key, file in _pairs("--from-file", self.from_file):
            draft.refer(key, _from_file(key, file))
        if is_interactive():
            draft.ask_settings()
            draft.ask_params()
        elif (problem := draft.problem()) is not None:
            raise ParameterError(
                f"{problem.key} {problem.problem}.",
                hint="Give it (--set, for a secret --from-env or --from-file), or run this in a terminal to be asked.",
            )
        return draft

    def _kind(self) -> type[Provider]:
        known = provider_ids()
        wanted = self.provider
        if not wanted and is_interactive():
            say(table([[provider.id, provider.title] for provider in loaded(known)]).rstrip())
            while wanted not in known:
                wanted = ask("provider")
        if wanted not in known:
            problem = f"There is no provider {wanted!r}." if wanted else "--provider is missing."
            raise ParameterError(problem, hint=closest(wanted, known))
        try:
            return provider_class(wanted)
        except Exception as error:
            # Another package's.
            problem = f"The provider {wanted} cannot be loaded ({type(error).__name__})."
        raise ConfigurationError(problem, hint="Install its package again.")

    def _ask_secrets(self, draft: Draft) -> str:
        store: str = self.store
        if not draft.pending:
            return store
        if store == "keyring" and not backend().usable:
            question = "This machine has no keyring. Keep the secret in a file that only you can read (mode 0600)?"
            if not confirm(question):
                raise ConfigurationError(
                    "This machine has no keyring, and nothing was changed.",
                    hint="Run it with --store file, with --from-env or --from-file, or install a keyring backend.",
                )
            store = "file"
        draft.ask_secrets()
        return store


def _pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for written in given:
        key, equals, value = written.partition("=")
        if not equals or not key or not value:
            # Not shown: it may be a secret that was given in the wrong place.
            raise ParameterError(f"{option} takes NAME=VALUE.")
        pairs.append((key, value))
    return pairs


def _from_env(variable: str) -> str:
    if not variable.isidentifier():
        raise ParameterError("--from-env takes SETTING=VARIABLE, with the name of a variable.")
    if variable not in os.environ:
        say(f"{variable} is not set here: it has to be where tokens are fetched.")
    return f"env:{variable}"


def _from_file(key: str, file: str) -> str:
    reference = f"file:{Path(file).expanduser().absolute()}"
    # Raises for a file that is not there, or that others can read.
    SecretRef.parse(reference, origin=f"--from-file {key}").resolve()
    return reference


def _stored(draft: Draft, store: str) -> list[str]:
    where = "a file of mode 0600 beside it"
    if store == "keyring":
        kept = backend()
        where = "the keyring" + ("" if kept.encrypts else f" ({kept.name}, which does not encrypt)")
    return [f"Its {key} is in {where}." for key in draft.secrets]
