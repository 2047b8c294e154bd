"""What the Jupyter server has put into this kernel's environment: at its start, or by Inject."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple

from ..protocol.proof import FILLED_VARIABLE, START_VARIABLE

__all__ = ["OK", "Filled", "FilledVariables", "filled_variables", "outcomes"]

OK = "ok"


class Filled(NamedTuple):
    """Whose token a variable was filled with. env : the variables of all its values, by field."""

    profile: str
    params: dict[str, Any]
    env: dict[str, str]


def outcomes(environ: Mapping[str, str]) -> dict[str, str]:
    """What became of each profile that is injected at the start: "ok", or what went wrong (under "" with all of them).

    Raises ValueError if the variable holds what no server writes there.
    """
    try:
        told = json.loads(environ.get(START_VARIABLE, "{}"))
        return {name: fact if fact == OK else str(fact["message"]) for name, fact in told.items()}
    except (TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(START_VARIABLE) from None


def filled_variables(environ: Mapping[str, str]) -> dict[str, Filled]:
    """The variables that the server has filled and that are still set; none if the note of them is damaged."""
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        told = json.loads(environ.get(FILLED_VARIABLE, "{}"))
        return {
            str(name): Filled(str(fact["profile"]), dict(fact["params"]), dict(fact.get("env") or {"": name}))
            for name, fact in told.items()
            if name in environ
        }
    return {}


class FilledVariables:
    """The variables that the server had filled when this was made. environ : the process's."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._filled = filled_variables(environ)
        # No copy of a value is kept.
        self._hashes = {name: hash(environ[name]) for name in self._filled}

    def items(self) -> list[tuple[str, Filled]]:
        """Each variable with whose token it was filled."""
        return list(self._filled.items())

    def tokens(self) -> list[Filled]:
        """The tokens in these variables, each once."""
        filled = [*self._filled.values()]
        return [each for number, each in enumerate(filled) if each not in filled[:number]]

    def is_as_filled(self, variable: str, value: object) -> bool:
        """Whether a value is what the server has put there."""
        return variable in self._hashes and self._hashes[variable] == hash(value)

    def forget(self, profile: str) -> list[str]:
        """Drops the notes of a profile, also those that the environment has; returns its variables."""
        mine = [name for name, filled in self._filled.items() if filled.profile == profile]
        for name in mine:
            del self._filled[name]
        self._drop(START_VARIABLE, [profile])
        self._drop(FILLED_VARIABLE, mine)
        return mine

    def _drop(self, variable: str, names: list[str]) -> None:
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            # What the user has written over it is the user's.
            told = json.loads(self._environ.get(variable, "{}"))
            if any(told.pop(name, None) is not None for name in names):
                self._environ[variable] = json.dumps(told)
