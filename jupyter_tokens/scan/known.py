"""Searches text for known values, in all their encoded forms at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .._util.encodings import SHORTEST, forms_of
from .span import Span

__all__ = ["Known"]

_GRAM = SHORTEST // 2
_MANY = 4096
_PLAIN = re.compile(r"[^\w .-]")


class Known:
    """A set of values to find. A search costs the same for one value as for thousands.

    Parameters
    ----------
    kinds : Mapping
        What each value is, by the value. Values shorter than `encodings.SHORTEST` are left out.

    Notes
    -----
    The search looks at a few characters in every stride of the text, and compares whole values only if these are known.
    A regular expression with thousands of alternatives would take minutes for a large notebook.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        # The kinds end up in texts that may be JSON or HTML.
        named = {value: _PLAIN.sub("_", kind) for value, kind in kinds.items()}
        self._forms = {form: kind for value, kind in named.items() for form in forms_of(value)}
        shortest = min(map(len, self._forms), default=SHORTEST)
        self._gram = max(_GRAM, min(SHORTEST, shortest // 2))
        # A wide stride makes the search fast and the table large.
        self._stride = min(shortest - self._gram + 1, 16 if len(self._forms) < _MANY else 4)
        self._places: dict[str, list[tuple[int, str]]] = {}
        for form in self._forms:
            for offset in range(self._stride):
                self._places.setdefault(form[offset : offset + self._gram], []).append((offset, form))

    def __repr__(self) -> str:
        return f"<Known {len(self._forms)} forms>"

    def spans(self, text: str) -> Iterator[Span]:
        """Find the known values in a text; the findings may overlap."""
        places, gram, stride = self._places, self._gram, self._stride
        if not places:
            return
        for at in [at for at in range(0, len(text) - gram + 1, stride) if text[at : at + gram] in places]:
            for offset, form in places[text[at : at + gram]]:
                start = at - offset
                if start >= 0 and text.startswith(form, start):
                    yield Span(start, start + len(form), self._forms[form], 0)
