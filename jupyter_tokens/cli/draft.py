"""A profile on its way into the configuration: what was given, and the questions for what is missing.

What is missing a provider says itself (`Provider.check`), so that nothing here knows any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config.secrets import SecretRef
from ..errors import ParameterError
from ..providers.base import Program, Provider, Reference, SettingProblem
from ..providers.params import closest
from ..token import Secret
from .terminal import ask, ask_hidden, confirm, say

__all__ = ["Draft"]

_LATER = "env:LATER"
"""Stands in the settings for a secret that is asked for when everything else is right."""


@dataclass
class Draft:
    """settings, params : as they will be written. secrets : what has to be stored. pending : to be asked for."""

    name: str
    kind: type[Provider]
    settings: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)

    def set(self, key: str, text: str) -> None:
        """A setting from the command line. Raises `ParameterError`, for a secret without showing it."""
        known = self.kind.settings()
        if key in known:
            self._refuse_literal(key, text)
            self.settings[key] = text
        elif key in {"env", "verify"}:
            self.settings[key] = {"true": True, "false": False}.get(text, text) if key == "verify" else text
        elif key == "timeout":
            self.settings[key] = _number(text)
        else:
            raise ParameterError(
                f"There is no setting {key[:80]!r}.",
                hint=closest(key, [*known, "env", "timeout", "verify"]),
            )

    def refer(self, key: str, reference: str) -> None:
        """A setting that is read from elsewhere. Raises `ParameterError` for one that cannot be."""
        settings = self.kind.settings().items()
        references = [
            name for name, trait in settings if isinstance(trait, Reference) and not isinstance(trait, Program)
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
            if not problem.missing:
                raise ParameterError(f"{problem.key} {problem.problem}.")
            others = problem.alternatives
            if not any(self._ask_setting(key, others) for key in [problem.key, *others]):
                say(f"{problem.key} {problem.problem}. Ctrl-C ends this; nothing is changed then.")

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
            answer = ask("env - Environment variable that the token fills (Enter: none)")
            if answer:
                self.settings["env"] = answer

    def ask_secrets(self) -> None:
        """Asks for the secrets, unseen."""
        for key in self.pending:
            while (secret := ask_hidden(f"{key} - {self._help(key)}")) is None:
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
            own = {key: known[key].validate(None, text) for key, text in self.settings.items() if key in known}
            self.kind(**own).check()
        except SettingProblem as problem:
            return problem
        return None

    def _ask_setting(self, key: str, others: Sequence[str]) -> bool:
        trait = self.kind.settings()[key]
        if isinstance(trait, Reference) and trait.secret:
            # Asked for last, and not at all if there is another way that this person wants.
            wanted = key not in others or confirm(f"{key} - {self._help(key)}. Is there one?")
            self.pending += [key] if wanted else []
            answer = _LATER if wanted else ""
        else:
            answer = ask(f"{key} - {self._help(key)}" + (" (Enter: another way)" if others else ""))
        if answer:
            self.settings[key] = answer
        return bool(answer)

    def _help(self, key: str) -> str:
        return str(self.kind.settings()[key].help).rstrip(".")

    def _refuse_literal(self, key: str, text: str) -> None:
        trait = self.kind.settings()[key]
        secret = isinstance(trait, Reference) and trait.secret
        if secret and SecretRef.parse(text, origin=key).kind == "literal":
            raise ParameterError(
                f"{key} is a secret, and what stands on a command line is in the shell's history and seen by others: "
                "revoke this one.",
                hint=f"Leave it out to be asked for it, or give --from-env {key}=VARIABLE or --from-file {key}=PATH.",
            )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParameterError("timeout must be a number of seconds.") from None
