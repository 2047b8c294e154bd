"""Reads and updates the notes that the Jupyter server leaves in this kernel's environment when it injects tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple

from ..protocol.proof import FILLED_VARIABLE, START_VARIABLE

__all__ = ["OK", "Filled", "FilledVariables", "filled_variables", "outcomes"]

OK = "ok"


class Filled(NamedTuple):
    """Describes the token that the server has put into a variable.

    Attributes
    ----------
    profile : str
        The token's profile.
    params : dict
        The request parameters that the token was fetched with.
    env : dict
        The variable for each of the token's values, by field; a single value has the field "".
    """

    profile: str
    params: dict[str, Any]
    env: dict[str, str]


def outcomes(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the outcome of each profile whose token was to be injected when the kernel started.

    Parameters
    ----------
    environ : mapping of str to str
        The process's environment.

    Returns
    -------
    dict
        By profile, "ok" or an error message. A message that concerns all profiles has the key "".

    Raises
    ------
    ValueError
        The environment variable with the outcomes does not hold what a Jupyter server writes there.
    """
    try:
        notes = json.loads(environ.get(START_VARIABLE, "{}"))
        return {name: fact if fact == OK else str(fact["message"]) for name, fact in notes.items()}
    except (TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(START_VARIABLE) from None


def filled_variables(environ: Mapping[str, str]) -> dict[str, Filled]:
    """Return which token the server has put into each variable that is still set, by the variable's name.

    The result is empty if the server's note about the variables is damaged.
    """
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        notes = json.loads(environ.get(FILLED_VARIABLE, "{}"))
        return {
            str(name): Filled(str(fact["profile"]), dict(fact["params"]), dict(fact.get("env") or {"": name}))
            for name, fact in notes.items()
            if name in environ
        }
    return {}


class FilledVariables:
    """The variables that the server had filled when this object was created.

    Parameters
    ----------
    environ : mutable mapping of str to str
        The process's environment.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._filled = filled_variables(environ)
        # Hashes, so that no copy of a value is kept.
        self._hashes = {name: hash(environ[name]) for name in self._filled}

    def items(self) -> list[tuple[str, Filled]]:
        """Return the name of each variable, and which token the server has put into it."""
        return list(self._filled.items())

    def tokens(self) -> list[Filled]:
        """Return which tokens the server has put into these variables, without duplicates."""
        filled = [*self._filled.values()]
        return [each for number, each in enumerate(filled) if each not in filled[:number]]

    def is_as_filled(self, variable: str, value: object) -> bool:
        """Whether `value` is what the server put into the variable."""
        return variable in self._hashes and self._hashes[variable] == hash(value)

    def forget(self, profile: str) -> list[str]:
        """Remove the notes about a profile, here and in the environment. Return the names of its variables."""
        variables = [name for name, filled in self._filled.items() if filled.profile == profile]
        for name in variables:
            del self._filled[name]
        self._drop(START_VARIABLE, [profile])
        self._drop(FILLED_VARIABLE, variables)
        return variables

    def _drop(self, variable: str, names: list[str]) -> None:
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            # If the user has overwritten the note, it stays as it is.
            notes = json.loads(self._environ.get(variable, "{}"))
            remaining = {name: fact for name, fact in notes.items() if name not in names}
            if len(remaining) < len(notes):
                self._environ[variable] = json.dumps(remaining)
