"""`jupyter tokens add` and `set-secret`: write a profile; its secrets go to the keyring or to files of mode 0600."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets import Bool, Enum, List, Unicode

from .._util.hints import closest
from ..config.editing import check, path, put
from ..config.files import load_profiles, load_raw_profiles
from ..config.keyring_access import backend
from ..config.secret_store import FOLDER, SERVICE
from ..config.secrets import SecretRef
from ..errors import ConfigurationError, ParameterError, UnknownProfile
from ..providers.catalogue import provider_class, provider_ids
from ..providers.presets import PRESETS
from ..token import Secret
from .checks.profiles import live
from .command import Action
from .completion import profile_names, provider_names
from .draft import Draft
from .providers import loaded
from .terminal import confirm, echo, is_interactive, one_line, progress, prompt, prompt_hidden, table

if TYPE_CHECKING:
    from ..providers.base import Provider
    from ..providers.fields import Field

__all__ = ["AddApp", "SetSecretApp"]


class AddApp(Action):
    """Prompt for missing values, check the profile, then write it. Stopping at a prompt changes nothing."""

    name = "jupyter-tokens-add"
    description = """Add the profile NAME to your configuration. Prompts for missing values; secrets are hidden.

    If NAME is the id of a provider or of a well-known login issuer (github, entra and so on), --provider can be left
    out. A secret is never an argument: you type it at a hidden prompt, and it is stored in the keyring
    (with --store file: in a file of mode 0600 next to the configuration). Or the profile refers to a secret that you
    keep elsewhere (--from-env, --from-file, --set SETTING=keyring:SERVICE/USER). On a terminal, the command then
    tests the new profile by fetching one token, unless you have to log in first."""
    examples = """
    jupyter tokens add oneaccess
    jupyter tokens add acme --provider oneaccess --set endpoint=https://acme.huaweioneaccess.com --set client_id=abc
    jupyter tokens add github --set client_id=abc
    jupyter tokens add work --provider entra --set issuer=entra:TENANT --set client_id=abc
    jupyter tokens add openai --provider static --set env=OPENAI_API_KEY
    jupyter tokens add az --provider command --set "command=az account get-access-token --output json"
    jupyter tokens add ci --provider astra --set endpoint=https://astra.example --from-env api_token=ASTRA_TOKEN
    """

    provider = Unicode(
        "", help="Id of the provider, or of a well-known issuer; `jupyter tokens providers` lists the providers."
    ).tag(alias="provider", argcompleter=provider_names)
    settings = List(
        Unicode(), help="SETTING=VALUE: a setting of the provider, or env, timeout, verify and so on; never a secret."
    ).tag(alias="set")
    params = List(Unicode(), help="PARAMETER=VALUE for every call, by the vendor's own name.").tag(alias="param")
    from_env = List(
        Unicode(),
        help="SETTING=VARIABLE: the process that fetches tokens reads the setting from this environment variable.",
    ).tag(alias="from-env")
    from_file = List(
        Unicode(), help="SETTING=PATH: read the setting from this file. Other users must not be able to read it."
    ).tag(alias="from-file")
    store = Enum(
        ("keyring", "file"),
        default_value="keyring",
        help="Where a typed secret is stored: keyring, or file (mode 0600).",
    ).tag(alias="store")
    test = Bool(default_value=True, help="Fetch a token at the end, if run on a terminal.").tag(
        flag="no-test", flag_help="Do not fetch a token at the end."
    )

    def run(self) -> int:
        if len(self.extra_args) != 1:
            self.fail(2, "takes one NAME for the profile; give settings with --set; you are prompted for secrets")
        name = self.extra_args[0]
        # Raises an error before the first prompt if Jupyter uses no configuration.
        path()
        profiles = load_profiles()
        if name in profiles:
            self.fail(
                2, f"there is already a profile {name!r} in {profiles.file(name)}: remove it first, or change it there"
            )
        draft = self._draft(name)
        check(name, draft.written(), owner=True)
        store = _usable_store(self.store) if draft.pending else self.store
        secrets = draft.prompt_secrets(store)
        put(name, {**draft.written(), **secrets}, profiles, owner=True)
        echo(f"The profile {name} is in {path()}." + "".join(f" {_stored(key, store)}" for key in secrets))
        if load_profiles()[name].provider.logs_in:
            echo(f"Log in: jupyter tokens login {name}")
            return 0
        if self.test and is_interactive():
            return _test(name)
        echo(f"Try it: jupyter tokens get {name}")
        return 0

    def _draft(self, name: str) -> Draft:
        provider_name = self._provider_name(name)
        draft = Draft(self._kind("oauth2" if provider_name in PRESETS else provider_name))
        if provider_name in PRESETS:
            draft.set("issuer", self._issuer(provider_name))
        for key, value in _pairs("--set", self.settings):
            draft.set(key, value)
        for key, value in _pairs("--param", self.params):
            draft.param(key, value)
        for key, variable in _pairs("--from-env", self.from_env):
            draft.refer(key, _from_env(variable))
        for key, file in _pairs("--from-file", self.from_file):
            draft.refer(key, _from_file(key, file))
        if is_interactive():
            draft.prompt_settings()
            draft.prompt_params()
        elif (problem := draft.problem()) is not None:
            raise ParameterError(
                f"{problem.key} {problem.problem}.",
                hint="Give it with --set (a secret: --from-env or --from-file), or run this in a terminal.",
            )
        return draft

    def _provider_name(self, name: str) -> str:
        """Return the id of the provider or well-known issuer: from --provider, the profile's name or a prompt.

        Raises `ParameterError` if the id is unknown, or missing and there is no terminal.
        """
        known = [*provider_ids(), *PRESETS]
        provider_name = self.provider or (name if name in known else "")
        if not provider_name and is_interactive():
            providers = [[provider.id, provider.title] for provider in loaded(provider_ids())]
            echo(table([*providers, *([key, f"log in at {preset.title}"] for key, preset in PRESETS.items())]).rstrip())
            while (provider_name := prompt("provider")) not in known:
                echo(f"There is no provider {provider_name!r}. {closest(provider_name, known)}")
        if provider_name not in known:
            problem = f"There is no provider {provider_name!r}." if provider_name else "--provider is missing."
            raise ParameterError(problem, hint=closest(provider_name, known))
        return provider_name

    def _issuer(self, name: str) -> str:
        tenant = PRESETS[name].tenant
        given = [value for key, value in _pairs("--set", self.settings) if key == "issuer"]
        if given or not tenant:
            return given[-1] if given else name
        if not is_interactive():
            raise ParameterError(f"--set issuer={name}:TENANT is missing.", hint=f"TENANT is {tenant}.")
        while not (answer := prompt(f"{PRESETS[name].title}: {tenant}")):
            echo("A value is needed. Press Ctrl-C to stop; nothing is changed.")
        return f"{name}:{answer}"

    def _kind(self, provider_name: str) -> type[Provider]:
        try:
            return provider_class(provider_name)
        except Exception as error:
            # A provider of another package can raise anything.
            problem = f"The provider {provider_name} cannot be loaded ({type(error).__name__})."
            raise ConfigurationError(problem, hint="Install its package again.") from None


class SetSecretApp(Action):
    """Replace a secret of a profile."""

    name = "jupyter-tokens-set-secret"
    description = """Enter a new secret for the setting KEY of the profile NAME, at a hidden prompt or from a pipe.

    KEY can be left out if the profile has one secret. The secret is stored where `add` stored the current one. If the
    profile refers to a secret that you keep elsewhere (env:, command:, your own file or keyring entry), change it
    there, or give --store to replace the reference. On a terminal, the command then tests the profile
    by fetching one token."""
    examples = """
    jupyter tokens set-secret acme
    jupyter tokens set-secret lab access_key_secret --store file
    pass show acme | jupyter tokens set-secret acme
    """
    completer = staticmethod(profile_names)

    store = Enum(
        ("keyring", "file"),
        default_value=None,
        allow_none=True,
        help="Where the secret is stored: keyring, or file (mode 0600); by default where the current secret is.",
    ).tag(alias="store")
    test = Bool(default_value=True, help="Fetch a token at the end, if run on a terminal.").tag(
        flag="no-test", flag_help="Do not fetch a token at the end."
    )

    def run(self) -> int:
        if len(self.extra_args) not in {1, 2}:
            # The arguments are not shown: one may be the secret.
            self.fail(
                2,
                "takes NAME, and KEY if the profile has several secrets; type the secret at the prompt, or send it "
                "through a pipe",
            )
        name, *keys = self.extra_args
        path()
        profiles = load_profiles()
        if name not in profiles:
            raise UnknownProfile(f"There is no profile {name[:80]!r}.", hint=closest(name, profiles))
        profile = profiles[name]
        fields = {key: field for key, field in profile.provider.settings().items() if field.secret}
        key = self._key(keys, fields, [key for key in profile.references if key in fields])
        settings, _ = load_raw_profiles().profiles[name]
        store = _usable_store(self._store_for(key, settings.get(key)))
        if is_interactive():
            secret = prompt_hidden(f"New {fields[key].label} [{key}] of {name}")
        else:
            typed = sys.stdin.readline().rstrip("\r\n")
            secret = Secret(typed) if typed else None
        if secret is None:
            raise ParameterError("The secret is empty; nothing was changed.")
        put(name, {**settings, key: {"value": secret.reveal(), "store": store}}, profiles, owner=True)
        echo(_stored(key, store))
        return _test(name) if self.test and is_interactive() else 0

    def _key(self, given: list[str], fields: Mapping[str, Field], used: list[str]) -> str:
        if not given and len(used) == 1:
            return used[0]
        if not given:
            why = "several secrets" if used else "no secret yet"
            self.fail(2, f"takes a KEY, because the profile has {why}: choose one of {', '.join(used or fields)}")
        if given[0] not in fields:
            # The argument is not shown: it may be the secret.
            self.fail(
                2,
                f"takes one of these as KEY: {', '.join(fields)}; type the secret at the prompt, or send it through a "
                "pipe",
            )
        return given[0]

    def _store_for(self, key: str, reference: object) -> str:
        if self.store is not None:
            return str(self.store)
        if reference is None or (kind := SecretRef.parse(str(reference), origin=key).kind) == "literal":
            return "keyring"
        if not str(reference).startswith((f"keyring:{SERVICE}/", f"file:{FOLDER}/")):
            raise ConfigurationError(
                f"The profile reads {key} from a reference ({kind}:) that `jupyter tokens add` did not create.",
                hint="Change the secret in the place that the reference names, or give --store keyring or --store file "
                "to replace the reference.",
            )
        return kind


def _usable_store(store: str) -> str:
    """Return `store`, or "file" if there is no keyring and the user agrees.

    Raises `ConfigurationError` if there is no keyring, and the user does not agree or cannot be asked.
    """
    if store == "file" or backend().usable:
        return store
    question = "This machine has no keyring. Store the secret in a file that only you can read (mode 0600)?"
    if not (is_interactive() and confirm(question)):
        raise ConfigurationError(
            "This machine has no keyring, and nothing was changed.",
            hint="Give --store file, or install a keyring backend.",
        )
    return "file"


def _test(name: str) -> int:
    """Fetch a token with the profile as it is now; return the exit code."""
    profile = load_profiles()[name]
    with progress(f"testing: asking {profile.provider.title}"):
        [result] = live([profile])
    echo(f"Test {result.status}: {one_line(result.what)}" + (f" - {one_line(result.do)}" if result.do else ""))
    return 1 if result.status == "fail" else 0


def _pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for written in given:
        key, equals, value = written.partition("=")
        if not equals or not key or not value:
            # The text is not shown: it may be a secret that was given in the wrong place.
            raise ParameterError(f"{option} takes NAME=VALUE.")
        pairs.append((key, value))
    return pairs


def _from_env(variable: str) -> str:
    if not variable.isidentifier():
        raise ParameterError(
            "--from-env takes SETTING=VARIABLE, where VARIABLE is the name of an environment variable."
        )
    if variable not in os.environ:
        echo(f"{variable} is not set in this shell. It must be set in the processes that fetch tokens.")
    return f"env:{variable}"


def _from_file(key: str, file: str) -> str:
    reference = f"file:{Path(file).expanduser().absolute()}"
    # Raises an error if the file does not exist, or if others can read it.
    SecretRef.parse(reference, origin=f"--from-file {key}").resolve()
    return reference


def _stored(key: str, store: str) -> str:
    where = "a file of mode 0600 next to the configuration"
    if store == "keyring":
        keyring = backend()
        where = "the keyring" + ("" if keyring.encrypts else f" ({keyring.name}, which does not encrypt)")
    return f"The {key} is stored in {where}."
