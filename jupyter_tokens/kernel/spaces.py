"""The kinds of places that a token can go to: how each is looked at, filled and put back; keeps no account of them."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from . import token_file

if TYPE_CHECKING:
    from ..token import Token
    from .injection import Place

__all__ = ["ABSENT", "Files", "Space", "Variables"]

ABSENT = object()
"""What is in a place where nothing is."""


class Space(Protocol):
    """One kind of places."""

    def look(self, name: str) -> Any:
        """What is there now."""

    def fill(self, place: Place, token: Token) -> None:
        """Puts a token there."""

    def restore(self, name: str, before: Any) -> None:
        """Puts back what was there."""


class Variables:
    """The environment, or the notebook's names. of : what a variable holds of a token."""

    def __init__(self, variables: MutableMapping[str, Any], of: Callable[[Token], Any]) -> None:
        self._variables = variables
        self._of = of

    def look(self, name: str) -> Any:
        """See `Space`."""
        return self._variables.get(name, ABSENT)

    def fill(self, place: Place, token: Token) -> None:
        """See `Space`."""
        self._variables[place.name] = self._of(token)

    def restore(self, name: str, before: Any) -> None:
        """See `Space`."""
        if before is ABSENT:
            self._variables.pop(name, None)
        else:
            self._variables[name] = before


class Files:
    """Files by absolute path. What was written last is known by its digest, whatever a token looks like."""

    def __init__(self) -> None:
        self._written: dict[str, bytes] = {}

    def look(self, name: str) -> Any:
        """See `Space`."""
        return token_file.read(name)

    def fill(self, place: Place, token: Token) -> None:
        """See `Space`."""
        data = token_file.content(token, place.form)
        token_file.write(place.name, data, own=self._written.get(place.name))
        self._written[place.name] = token_file.digest(data)

    def restore(self, name: str, before: Any) -> None:
        """See `Space`."""
        token_file.restore(name, before, own=self._written.get(name))
        self._written.pop(name, None)
