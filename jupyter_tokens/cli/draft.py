"""A profile that is being added: the given settings, and prompts for the missing ones.

`Provider.check` reports what is missing. A prompt's label, help and example come from the setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .._util.hints import closest
from ..config.profiles import COMMON
from ..config.secrets import SecretRef
from ..errors import ParameterError
from ..providers.base import Provider
from ..providers.fields import Field, Program, Reference, SettingProblem, SignIn
from .terminal import echo, prompt, prompt_hidden, table

__all__ = ["Draft"]

_LATER = "env:LATER "
"""Placeholder for a secret until the user is asked for it, after everything else.

It differs from every real reference, because no variable's name ends with a space.
"""
_COMMON = {key: field for key, field in COMMON.items() if field.is_text and key != "provider"}


@dataclass
class Draft:
    """A profile in progress.

    Attributes
    ----------
    kind : type of Provider
        Its provider.
    settings, params : dict
        Settings and parameters, as they will be written.
    answered : set of str
        Settings that were asked for, and can be asked for again.
    """

    kind: type[Provider]
    settings: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    def set(self, key: str, text: str) -> None:
        """Set a setting from the command line.

        Raises `ParameterError` if the setting is unknown, its value is a literal secret, or its text cannot be
        converted. The error never contains a secret.
        """
        known = self.kind.settings()
        if key in known:
            if known[key].secret and SecretRef.parse(text, origin=key).kind == "literal":
                raise ParameterError(
                    f"{key} is a secret, but command lines are saved in the shell's history and visible to other "
                    "users: revoke this secret.",
                    hint=f"Leave {key} out to be prompted, or give --from-env {key}=VARIABLE or "
                    f"--from-file {key}=PATH.",
                )
            self.settings[key] = text
        elif key in _COMMON:
            self.settings[key] = _COMMON[key].from_text(key, text)
        else:
            problem = f"{key[:80]!r} cannot be set on the command line."
            raise ParameterError(problem, hint=closest(key, [*known, *_COMMON]))

    def refer(self, key: str, reference: str) -> None:
        """Make a setting refer to a variable or file (`env:…`, `file:…`), as given on the command line.

        Raises `ParameterError` if the setting cannot be a reference, or is given twice.
        """
        settings = self.kind.settings().items()
        references = [
            name for name, setting in settings if isinstance(setting, Reference) and not isinstance(setting, Program)
        ]
        if key not in references:
            raise ParameterError(
                f"{key[:80]!r} is not a setting that can be read from a variable or file.",
                hint=closest(key, references),
            )
        if key in self.settings:
            raise ParameterError(f"{key} is given twice.")
        self.settings[key] = reference

    def param(self, key: str, text: str) -> None:
        """Set a parameter from its text. Raises `ParameterError` if the parameter is unknown or the text is invalid."""
        if key not in self.kind.params:
            problem = f"{key[:80]!r} is not a parameter of this provider."
            raise ParameterError(problem, hint=closest(key, self.kind.params))
        self.params[key] = self.kind.params[key].parse(key, text)

    def written(self) -> dict[str, Any]:
        """Return the profile as it will be written, with a placeholder for each secret that is still missing."""
        params = {"params": self.params} if self.params else {}
        return {"provider": self.kind.id, **self.settings, **params}

    def prompt_settings(self) -> None:
        """Ask for settings until none is missing or wrong.

        Raises `ParameterError` if a setting that was given on the command line is wrong.
        """
        while (problem := self.problem()) is not None:
            if problem.sign_in:
                self._prompt_sign_in(problem.sign_in)
            elif problem.missing:
                others = problem.alternatives
                if not any(self._prompt_setting(key, others) for key in [problem.key, *others]):
                    echo(f"{problem.key} {problem.problem}. Press Ctrl-C to stop; nothing is changed.")
            elif problem.key in self.answered:
                echo(f"{problem.key} {problem.problem}.")
                del self.settings[problem.key]
                self._prompt_setting(problem.key, ())
            else:
                raise ParameterError(f"{problem.key} {problem.problem}.")

    def prompt_params(self) -> None:
        """Ask for the required parameters and the environment variable; both may be left out."""
        for key, param in self.kind.params.items():
            while param.required and key not in self.params:
                answer = prompt(f"{key} - {param.help.rstrip('.')} (Enter: give it in each call)")
                if not answer:
                    break
                try:
                    self.param(key, answer)
                except ParameterError as error:
                    echo(error.message)
        if "env" not in self.settings:
            answer = _prompt_valid(_question("env", COMMON["env"], " (Enter: none)"), "env", COMMON["env"])
            if answer:
                self.settings["env"] = answer

    @property
    def pending(self) -> list[str]:
        """The secret settings that are still to be asked for."""
        return [key for key, text in self.settings.items() if text == _LATER]

    def prompt_secrets(self, store: str) -> dict[str, Any]:
        """Ask for the secrets, without echo; return them for `config.editing.put`. `store` is "keyring" or "file"."""
        stored = {}
        for key in self.pending:
            while (secret := prompt_hidden(_question(key, self.kind.settings()[key]))) is None:
                echo(f"{key} is needed. Press Ctrl-C to stop; nothing is changed.")
            stored[key] = {"value": secret.reveal(), "store": store}
        return stored

    def problem(self) -> SettingProblem | None:
        """Return what is wrong with the settings, or None."""
        known = self.kind.settings()
        try:
            self.kind(**{key: text for key, text in self.settings.items() if key in known}).check()
        except SettingProblem as problem:
            return problem
        return None

    def _prompt_sign_in(self, ways: Sequence[SignIn]) -> None:
        echo(table([[way.id, way.label] for way in ways]).rstrip())
        known = {way.id: way for way in ways}
        while (way := known.get(prompt("How to sign in"))) is None:
            echo(f"Choose one of {', '.join(known)}.")
        if way.chosen_by:
            key, value = way.chosen_by
            self.settings[key] = value
        else:
            while not self._prompt_setting(way.first, ()):
                echo(f"{way.first} is needed. Press Ctrl-C to stop; nothing is changed.")

    def _prompt_setting(self, key: str, others: Sequence[str]) -> bool:
        setting = self.kind.settings()[key]
        if setting.secret:
            answer = _LATER
        else:
            answer = _prompt_valid(_question(key, setting, " (Enter: another way)" if others else ""), key, setting)
            self.answered.add(key)
        if answer:
            self.settings[key] = answer
        return bool(answer)


def _question(key: str, setting: Field, more: str = "") -> str:
    example = f", such as {setting.example}" if setting.example else ""
    return f"{setting.label} [{key}] - {setting.help.rstrip('.')}{example}{more}"


def _prompt_valid(question: str, key: str, setting: Field) -> str:
    """Ask until the answer is valid or empty, and return it."""
    while answer := prompt(question):
        try:
            setting.check(key, answer)
        except SettingProblem as wrong:
            echo(f"{key} {wrong.problem}.")
        else:
            break
    return answer
