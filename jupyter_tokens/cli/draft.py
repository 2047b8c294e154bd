"""A profile on its way into the configuration: what was given, and the questions for what is missing.

What is missing a provider says itself (`Provider.check`), and the words of a question are the setting's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config.profiles import COMMON
from ..config.secrets import SecretRef
from ..errors import ParameterError
from ..providers.base import Provider
from ..providers.fields import Field, Program, Reference, SettingProblem, SignIn
from ..providers.params import closest
from ..token import Secret
from .terminal import ask, ask_hidden, say, table

__all__ = ["Draft"]

_LATER = "env:LATER"
"""Stands in the settings for a secret that is asked for when everything else is right."""
_COMMON = {key: field for key, field in COMMON.items() if field.is_text and key != "provider"}


@dataclass
class Draft:
    """settings, params : as they will be written. secrets : what has to be stored. pending : to be asked for.

    answered : the settings that were asked for, and can be asked for again.
    """

    name: str
    kind: type[Provider]
    settings: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)

    def set(self, key: str, text: str) -> None:
        """A setting from the command line. Raises `ParameterError`, for a secret without showing it."""
        known = self.kind.settings()
        if key in known:
            self._refuse_literal(key, text)
            self.settings[key] = text
        elif key in _COMMON:
            self.settings[key] = _COMMON[key].from_text(key, text)
        else:
            raise ParameterError(f"There is no setting {key[:80]!r}.", hint=closest(key, [*known, *_COMMON]))

    def refer(self, key: str, reference: str) -> None:
        """A setting that is read from elsewhere. Raises `ParameterError` for one that cannot be."""
        settings = self.kind.settings().items()
        references = [
            name for name, setting in settings if isinstance(setting, Reference) and not isinstance(setting, Program)
        ]
        if key not in references:
            raise ParameterError(f"{key[:80]!r} is no such setting.", hint=closest(key, references))
        if key in self.settings:
            raise ParameterError(f"{key} is given twice.")
        self.settings[key] = reference

    def param(self, key: str, text: str) -> None:
        """A parameter. Raises `ParameterError`."""
        if key not in self.kind.params:
            problem = f"{key[:80]!r} is not a parameter of this provider."
            raise ParameterError(problem, hint=closest(key, self.kind.params))
        self.params[key] = self.kind.params[key].parse(key, text)

    def written(self) -> dict[str, Any]:
        """As it stands in the file, a reference in place of each secret that is still to be asked for."""
        params = {"params": self.params} if self.params else {}
        return {"provider": self.kind.id, **self.settings, **params}

    def ask_settings(self) -> None:
        """Asks until the provider misses nothing. Raises `ParameterError` for what no answer can mend."""
        while (problem := self.problem()) is not None:
            if problem.sign_in:
                self._ask_sign_in(problem.sign_in)
            elif problem.missing:
                others = problem.alternatives
                if not any(self._ask_setting(key, others) for key in [problem.key, *others]):
                    say(f"{problem.key} {problem.problem}. Ctrl-C ends this; nothing is changed then.")
            elif problem.key in self.answered:
                say(f"{problem.key} {problem.problem}.")
                del self.settings[problem.key]
                self._ask_setting(problem.key, ())
            else:
                raise ParameterError(f"{problem.key} {problem.problem}.")

    def ask_params(self) -> None:
        """Asks for what every call needs, and for the variable; each may be left out."""
        for key, param in self.kind.params.items():
            while param.required and key not in self.params:
                answer = ask(f"{key} - {param.help.rstrip('.')} (Enter: to be given in each call)")
                if not answer:
                    break
                try:
                    self.param(key, answer)
                except ParameterError as error:
                    say(error.message)
        if "env" not in self.settings:
            answer = _ask(_question("env", COMMON["env"], " (Enter: none)"), "env", COMMON["env"])
            if answer:
                self.settings["env"] = answer

    def ask_secrets(self) -> None:
        """Asks for the secrets, unseen."""
        for key in self.pending:
            while (secret := ask_hidden(_question(key, self.kind.settings()[key]))) is None:
                say(f"{key} is needed. Ctrl-C ends this; nothing is changed then.")
            self.secrets[key] = secret

    def whole(self, store: str) -> dict[str, Any]:
        """With the secrets. store : where they are to be kept, "keyring" or "file"."""
        stored = {key: {"value": secret.reveal(), "store": store} for key, secret in self.secrets.items()}
        return {**self.written(), **stored}

    def problem(self) -> SettingProblem | None:
        """What the provider has against the settings."""
        known = self.kind.settings()
        try:
            self.kind(**{key: text for key, text in self.settings.items() if key in known}).check()
        except SettingProblem as problem:
            return problem
        return None

    def _ask_sign_in(self, ways: Sequence[SignIn]) -> None:
        say(table([[way.id, way.label] for way in ways]).rstrip())
        known = {way.id: way for way in ways}
        while (way := known.get(ask("How to sign in"))) is None:
            say(f"Choose one of {', '.join(known)}.")
        if way.chosen_by:
            key, value = way.chosen_by
            self.settings[key] = value
        else:
            while not self._ask_setting(way.first, ()):
                say(f"{way.first} is needed. Ctrl-C ends this; nothing is changed then.")

    def _ask_setting(self, key: str, others: Sequence[str]) -> bool:
        setting = self.kind.settings()[key]
        if setting.secret:
            # Asked for last.
            self.pending.append(key)
            answer = _LATER
        else:
            answer = _ask(_question(key, setting, " (Enter: another way)" if others else ""), key, setting)
            self.answered.add(key)
        if answer:
            self.settings[key] = answer
        return bool(answer)

    def _refuse_literal(self, key: str, text: str) -> None:
        if self.kind.settings()[key].secret and SecretRef.parse(text, origin=key).kind == "literal":
            raise ParameterError(
                f"{key} is a secret, and what stands on a command line is in the shell's history and seen by others: "
                "revoke this one.",
                hint=f"Leave it out to be asked for it, or give --from-env {key}=VARIABLE or --from-file {key}=PATH.",
            )


def _question(key: str, setting: Field, more: str = "") -> str:
    example = f", such as {setting.example}" if setting.example else ""
    return f"{setting.label} [{key}] - {setting.help.rstrip('.')}{example}{more}"


def _ask(question: str, key: str, setting: Field) -> str:
    """The first answer that the setting can have; "" for none."""
    while answer := ask(question):
        try:
            setting.check(key, answer)
        except SettingProblem as wrong:
            say(f"{key} {wrong.problem}.")
        else:
            break
    return answer
