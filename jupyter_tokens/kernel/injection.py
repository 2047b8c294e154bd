"""Puts tokens where code looks for them: an environment variable, a Python variable, a file; takes them out again.

What was there before is kept, and comes back when the token is taken out. A place is a pile: what is lent for one cell
lies on top of what was put there, and what was put there is kept up to date below it.
"""

from __future__ import annotations

import keyword
import os
import threading
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError, TokenError
from . import token_file
from .spaces import ABSENT, Files, Space, Variables

if TYPE_CHECKING:
    from ..broker import Key
    from ..token import Token
    from .token_file import Format

__all__ = ["Injections", "Lent", "Place", "env_place", "file_place", "var_place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token goes. kind : "env", "var" or "file"; name : of the variable, or an absolute path.

    form : of the file. The same file in another format is the same place.
    """

    kind: str
    name: str
    form: Format = field(default="raw", compare=False)

    def __str__(self) -> str:
        if self.kind == "file":
            # Short, and without the folders of whoever ran the notebook where it can do without them.
            path, here = Path(self.name), Path.cwd()
            return str(path.relative_to(here)) if path.is_relative_to(here) else self.name
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


def file_place(path: str, form: Format = "raw") -> Place:
    """A file of mode 0600. Raises `ParameterError` for a path that cannot be, or must not be, written."""
    name = token_file.path_of(path)
    token_file.check(name)
    return Place("file", name, form)


@dataclass(slots=True, eq=False)
class _Layer:
    key: Key
    token: Token
    place: Place


@dataclass(slots=True, eq=False)
class _Pile:
    """before : what was there before us. put : what stays. lent : what goes at the end of its cell, the last on top."""

    before: Any = field(repr=False)
    put: _Layer | None = None
    lent: tuple[_Layer, ...] = ()

    def layers(self) -> tuple[_Layer, ...]:
        return self.lent if self.put is None else (self.put, *self.lent)


class Lent:
    """A token that lies on top of what is in its places, from `lay` to `give_back`. Either may be interrupted."""

    def __init__(self, injections: Injections, layers: list[_Layer]) -> None:
        self._injections = injections
        self._layers = layers

    def lay(self) -> None:
        """Fills the places. Raises `TokenError`; then they are as they were."""
        with self._injections._lock:
            try:
                for layer in self._layers:
                    self._injections._lay(layer, lent=True)
            except TokenError:
                self.give_back()
                raise

    def give_back(self) -> None:
        """Puts back what was there before; may be called again. Raises `TokenError` for a file that could not be."""
        problem: TokenError | None = None
        with self._injections._lock:
            for layer in reversed(self._layers):
                try:
                    self._injections._lift(layer)
                except TokenError as error:
                    problem = error.copy()
        if problem is not None:
            raise problem


class Injections:
    """What went where. Thread-safe: the refresher's flights write too.

    namespace : the notebook's variables. environ : the process's environment.
    """

    def __init__(self, namespace: MutableMapping[str, Any], environ: MutableMapping[str, str] = os.environ) -> None:
        self._spaces: dict[str, Space] = {
            # First what can fail.
            "file": Files(),
            "env": Variables(environ, lambda token: token.reveal()),
            "var": Variables(namespace, lambda token: token),
        }
        self._piles: dict[Place, _Pile] = {}
        self._of: dict[Key, tuple[Place, ...]] = {}
        self._lock = threading.RLock()

    def put(self, key: Key, token: Token, places: Sequence[Place]) -> None:
        """Puts a token into places, and remembers to put its successors there.

        Raises `TokenError` for a file that cannot be written; then the variables are as they were.
        """
        with self._lock:
            for place in self._in_order(places):
                self._lay(_Layer(key, token, place), lent=False)

    def loan(self, key: Key, token: Token, places: Sequence[Place]) -> Lent:
        """A token that is to lie in places for a while, on top of what is there."""
        return Lent(self, [_Layer(key, token, place) for place in self._in_order(places)])

    def arrived(self, key: Key, token: Token) -> list[TokenError]:
        """A newer token is there: it replaces the older one in all its places. Returns what could not be written."""
        problems: list[TokenError] = []
        with self._lock:
            for place in self._of.get(key, ()):
                pile = self._piles[place]
                layers = pile.layers()
                for layer in layers:
                    if layer.key == key:
                        layer.token = token
                if layers[-1].key == key:
                    try:
                        self._show(layers[-1])
                    except TokenError as error:
                        problems.append(error.copy())
        return problems

    def keys(self) -> list[Key]:
        """Whose tokens are anywhere."""
        with self._lock:
            return list(self._of)

    def places(self, key: Key) -> list[Place]:
        """Where the tokens of a key are."""
        with self._lock:
            return list(self._of.get(key, ()))

    def take_out(self, key: Key) -> list[Place]:
        """Puts back what was in the key's places before; returns the places.

        Raises `TokenError` for a file that cannot be put back, when all else has been.
        """
        problem: TokenError | None = None
        with self._lock:
            places = self.places(key)
            for place in places:
                for layer in self._piles[place].layers():
                    try:
                        if layer.key == key:
                            self._lift(layer)
                    except TokenError as error:
                        problem = error.copy()
        if problem is not None:
            raise problem
        return places

    def take_earlier(self, place: Place, ours: Callable[[Any], bool]) -> bool:
        """Takes out what was in a place before anything was put there, if it is ours; returns whether it was."""
        with self._lock:
            pile, space = self._piles.get(place), self._spaces[place.kind]
            if not ours(space.look(place.name) if pile is None else pile.before):
                return False
            if pile is None:
                space.restore(place.name, ABSENT)
            else:
                pile.before = ABSENT
            return True

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.RLock()

    def _in_order(self, places: Sequence[Place]) -> list[Place]:
        return sorted(places, key=lambda place: list(self._spaces).index(place.kind))

    def _show(self, layer: _Layer) -> None:
        self._spaces[layer.place.kind].fill(layer.place, layer.token)

    def _lay(self, layer: _Layer, *, lent: bool) -> None:
        place = layer.place
        pile = self._piles.get(place)
        if pile is None:
            pile = self._piles[place] = _Pile(self._spaces[place.kind].look(place.name))
        # Noted before it is done: what an interrupt leaves undone can then be put back.
        earlier = pile.put
        if lent:
            pile.lent = (*pile.lent, layer)
        else:
            pile.put = layer
        places = self._of.get(layer.key, ())
        if place not in places:
            self._of[layer.key] = (*places, place)
        if lent or not pile.lent:
            try:
                self._show(layer)
            except TokenError:
                # Then nothing has changed there.
                self._strike(layer, pile, earlier)
                raise
        if not lent and earlier is not None:
            self._unlist(earlier.key, place)

    def _lift(self, layer: _Layer) -> None:
        """Takes a layer away, if it is still there; what is below it comes to light."""
        pile = self._piles.get(layer.place)
        layers = pile.layers() if pile is not None else ()
        if pile is None or layer not in layers:
            return
        left = [other for other in layers if other is not layer]
        try:
            if not left:
                self._spaces[layer.place.kind].restore(layer.place.name, pile.before)
            elif layers[-1] is layer:
                self._show(left[-1])
        except TokenError:
            self._strike(layer, pile)
            raise
        # Not if it was interrupted: then it can be done again.
        self._strike(layer, pile)

    def _strike(self, layer: _Layer, pile: _Pile, earlier: _Layer | None = None) -> None:
        """Notes that a layer is gone. earlier : what it has replaced, and what is in its place again."""
        if pile.put is layer:
            pile.put = earlier
        else:
            pile.lent = tuple(other for other in pile.lent if other is not layer)
        self._unlist(layer.key, layer.place)
        if not pile.layers():
            del self._piles[layer.place]

    def _unlist(self, key: Key, place: Place) -> None:
        if any(layer.key == key for layer in self._piles[place].layers()):
            return
        left = tuple(other for other in self._of.pop(key, ()) if other != place)
        if left:
            self._of[key] = left
