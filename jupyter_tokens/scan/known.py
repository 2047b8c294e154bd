"""Searches text for values that are known, in all their forms at once."""

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
    """Values to find. A search costs the same for one value as for thousands.

    It looks at a few characters of the text in every stride, and compares whole values only where these are known; a
    regular expression of thousands of alternatives takes minutes for a large notebook.

    kinds : what each value is, by the value. Of those shorter than `forms.SHORTEST` none is looked for.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        # A name ends in texts that may be JSON or HTML.
        named = {value: _PLAIN.sub("_", kind) for value, kind in kinds.items()}
        self._forms = {form: kind for value, kind in named.items() for form in forms_of(value)}
        shortest = min(map(len, self._forms), default=SHORTEST)
        self._gram = max(_GRAM, min(SHORTEST, shortest // 2))
        # A wide stride makes a search quick and a table large.
        self._stride = min(shortest - self._gram + 1, 16 if len(self._forms) < _MANY else 4)
        self._places: dict[str, list[tuple[int, str]]] = {}
        for form in self._forms:
            for offset in range(self._stride):
                self._places.setdefault(form[offset : offset + self._gram], []).append((offset, form))

    def __repr__(self) -> str:
        return f"<Known {len(self._forms)} forms>"

    def spans(self, text: str) -> Iterator[Span]:
        """Where one of them stands; they may overlap."""
        places, gram, stride = self._places, self._gram, self._stride
        if not places:
            return
        for at in [at for at in range(0, len(text) - gram + 1, stride) if text[at : at + gram] in places]:
            for offset, form in places[text[at : at + gram]]:
                start = at - offset
                if start >= 0 and text.startswith(form, start):
                    yield Span(start, start + len(form), self._forms[form], 0)
