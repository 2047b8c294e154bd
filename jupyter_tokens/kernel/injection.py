"""Puts tokens where code looks for them: an environment variable, a Python variable; takes them out again.

What was there before is kept, and comes back when the token is taken out.
"""

from __future__ import annotations

import keyword
import os
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError

if TYPE_CHECKING:
    from ..broker import Key
    from ..token import Token

__all__ = ["Injections", "Place", "env_place", "var_place"]

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token goes. kind : "env" or "var"; name : of the variable."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"${self.name}" if self.kind == "env" else self.name


def env_place(name: str) -> Place:
    """An environment variable, which subprocesses and `!cmd` see. Raises `ParameterError` for a wrong name."""
    if not (name.isascii() and name.isidentifier()):
        raise ParameterError(f"{name[:80]!r} is no name of an environment variable.", unsent=True)
    return Place("env", name)


def var_place(name: str) -> Place:
    """A variable of the notebook, which holds the opaque `Token`. Raises `ParameterError` for a wrong name."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ParameterError(f"{name[:80]!r} is no name of a Python variable.", unsent=True)
    return Place("var", name)


@dataclass(slots=True)
class _Filled:
    key: Key
    before: Any = field(repr=False)


class Injections:
    """What went where. Thread-safe: the refresher's flights write too.

    namespace : the notebook's variables. environ : the process's environment.
    """

    def __init__(self, namespace: MutableMapping[str, Any], environ: MutableMapping[str, str] = os.environ) -> None:
        self._spaces: dict[str, MutableMapping[str, Any]] = {"env": environ, "var": namespace}
        self._filled: dict[Place, _Filled] = {}
        self._lock = threading.RLock()

    def put(self, key: Key, token: Token, places: list[Place]) -> None:
        """Puts a token into places, and remembers to put its successors there."""
        with self._lock:
            for place in places:
                space = self._spaces[place.kind]
                earlier = self._filled.get(place)
                before = space.get(place.name, _ABSENT) if earlier is None else earlier.before
                self._filled[place] = _Filled(key, before)
            self.arrived(key, token)

    def arrived(self, key: Key, token: Token) -> None:
        """A newer token is there: it replaces the older one in all its places."""
        with self._lock:
            for place in self.places(key):
                self._spaces[place.kind][place.name] = token.reveal() if place.kind == "env" else token

    def places(self, key: Key) -> list[Place]:
        """Where the tokens of a key are."""
        with self._lock:
            return [place for place, filled in self._filled.items() if filled.key == key]

    def take_out(self, key: Key) -> list[Place]:
        """Puts back what was in the key's places before; returns the places."""
        with self._lock:
            places = self.places(key)
            for place in places:
                before = self._filled.pop(place).before
                space = self._spaces[place.kind]
                if before is _ABSENT:
                    space.pop(place.name, None)
                else:
                    space[place.name] = before
            return places
