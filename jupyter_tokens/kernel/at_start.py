"""The tokens that the Jupyter server has put into this kernel's environment at its start; fetches nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

from ..proof import START_VARIABLE

__all__ = ["OK", "AtStart", "outcomes"]

OK = "ok"


def outcomes(environ: Mapping[str, str]) -> dict[str, str]:
    """What became of each profile that is injected at the start: "ok", or what went wrong (under "" with all of them).

    Raises ValueError if the variable holds what no server writes there.
    """
    try:
        told = json.loads(environ.get(START_VARIABLE, "{}"))
        return {name: fact if fact == OK else str(fact["message"]) for name, fact in told.items()}
    except (TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(START_VARIABLE) from None


class AtStart:
    """environ : the process's, into which nothing has been put since."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._hashes: dict[str, int] = {}
        with suppress(ValueError):
            if OK in outcomes(environ).values():
                # Which variables are the profiles' is not known yet; and no copy of a secret is kept.
                self._hashes = {name: hash(value) for name, value in environ.items()}

    def filled(self, profile: str) -> bool:
        """Whether a profile's variable was filled, and has not been forgotten since."""
        with suppress(ValueError):
            return bool(self._hashes) and outcomes(self._environ).get(profile) == OK
        return False

    def is_of_then(self, variable: str, value: object) -> bool:
        """Whether it is what a variable had at the start."""
        return self._hashes.get(variable) == hash(value)

    def forget(self, profile: str) -> None:
        """Has nothing tell of a profile any more that it was injected."""
        told = json.loads(self._environ[START_VARIABLE])
        del told[profile]
        self._environ[START_VARIABLE] = json.dumps(told)
