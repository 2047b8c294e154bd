"""Finds known values in text and takes them out, in every form that they can have; knows nothing of kernels.

A search takes about the same time for one value as for hundreds, and most of a message's text is never looked at: one
machine word in every few is looked up among the words that the known values consist of. Only where one is found are
whole values compared.
"""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from ...forms import forms_of

__all__ = ["MOST_VALUES", "KnownValues", "Search"]

MOST_VALUES = 500
"""Values that are known at a time; the one that became known first is forgotten first."""

_WORD = 8
_STRIDES = range(1, 9)
# Nanoseconds for eight bytes of text: to look one word up, and to look for one pattern by itself.
_LOOK_UP, _LOOK_FOR = 30.0, 2.5
_PLAIN = re.compile(r"[^\w .-]")


class KnownValues:
    """The values, and the label that each is replaced by. Takes no lock, so that it survives a fork at any moment."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._version = 0
        self._built = (0, Search({}))

    def add(self, value: str, label: str) -> None:
        """Makes a value known. One that is shorter than `forms.SHORTEST` is never found."""
        # A label may end in a text that is itself JSON or HTML.
        label = f"[{_PLAIN.sub('_', label)}]"
        if self._labels.pop(value, None) == label:
            # The one that was seen last is forgotten last.
            self._labels[value] = label
            return
        self._labels[value] = label
        for old in list(self._labels)[:-MOST_VALUES]:
            self._labels.pop(old, None)
        self._version += 1

    def discard(self, value: str) -> None:
        """Forgets a value."""
        self._labels.pop(value, None)
        self._version += 1

    def search(self) -> Search:
        """For the values as they are now."""
        version = self._version
        if self._built[0] != version:
            self._built = version, Search(dict(self._labels))
        return self._built[1]

    def __repr__(self) -> str:
        return f"<KnownValues {len(self._labels)}>"


class Search:
    """Looks for values that do not change any more. labels : by value."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = {form: label for value, label in labels.items() for form in _forms(value)}
        self._sorted = sorted(self._labels)
        self._heads = {form[:_WORD] for form in self._sorted}
        self._alphabet = "".join(set().union(*self._sorted))
        self._longest = max(map(len, self._sorted), default=0)
        patterns = self._patterns = {form.encode("utf-8", "surrogatepass"): form for form in self._sorted}
        self._stride = _stride(sorted(map(len, patterns)))
        self._span = _WORD * self._stride
        self._short = [pattern for pattern in patterns if len(pattern) < self._span + _WORD - 1]
        self._words: dict[int, list[bytes]] = {}
        for pattern in patterns.keys() - self._short:
            # Wherever it stands, it covers a word that is looked up; near its end, for many tokens begin alike.
            for start in range(len(pattern) - _WORD + 1 - self._span, len(pattern) - _WORD + 1):
                word = int.from_bytes(pattern[start : start + _WORD], sys.byteorder)
                self._words.setdefault(word, []).append(pattern)

    def __repr__(self) -> str:
        return f"<Search {len(self._labels)} forms>"

    def found(self, data: bytes) -> list[bytes]:
        """The forms, in UTF-8, that are in a text in UTF-8, be it plain or written as JSON."""
        if not self._patterns:
            return []
        words = memoryview(data)[: len(data) - len(data) % _WORD].cast("Q")[:: self._stride]
        suspects: Iterable[bytes] = self._short
        if not self._words.keys().isdisjoint(words):
            seen = set(filter(self._words.__contains__, words))
            suspects = {*self._short, *(pattern for word in seen for pattern in self._words[word])}
        return [pattern for pattern in suspects if pattern in data]

    def redacted(self, text: str) -> str:
        """A text with labels in place of the values."""
        found = {self._patterns[pattern] for pattern in self.found(text.encode("utf-8", "surrogatepass"))}
        # A form may be a part of another one.
        for form in sorted(found, key=len, reverse=True):
            text = text.replace(form, self._labels[form])
        return text

    def redacted_object(self, value: Any) -> Any:
        """The same for all texts in an object of JSON, names among them; a new object, the old one stays as it is."""
        if isinstance(value, str):
            return self.redacted(value)
        if isinstance(value, Mapping):
            return {self.redacted_object(name): self.redacted_object(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.redacted_object(each) for each in value]
        return value

    def redacted_bytes(self, buffer: Any) -> bytes | None:
        """Bytes of the same length, for whoever reads them counts; None if no value is in them.

        buffer : whatever has the buffer protocol.
        """
        # As it lies in memory, which is how it is sent.
        data = memoryview(buffer).tobytes("A")
        found = self.found(data)
        if not found:
            return None
        for pattern in sorted(found, key=len, reverse=True):
            label = self._labels[self._patterns[pattern]].encode()
            data = data.replace(pattern, label[: len(pattern)].ljust(len(pattern), b"*"))
        return data

    def split(self, text: str) -> tuple[str, str]:
        """A text in two: what can be shown, and an end that may be the beginning of a value."""
        if not self._unfinished(text):
            return text, ""
        # A whole value at the end may end as another one, or itself, begins.
        near = max(len(text) - 2 * self._longest, 0)
        text = text[:near] + self.redacted(text[near:])
        cut = len(text) - self._unfinished(text)
        return text[:cut], text[cut:]

    def _unfinished(self, text: str) -> int:
        """How many characters at the end may be the beginning of a value."""
        end = text[-self._longest :] if self._longest else ""
        end = end[len(end.rstrip(self._alphabet)) :]
        for start in range(len(end)):
            if start > len(end) - _WORD or end[start : start + _WORD] in self._heads:
                rest = end[start:]
                following = bisect_right(self._sorted, rest)
                if following < len(self._sorted) and self._sorted[following].startswith(rest):
                    return len(rest)
        return 0


def _forms(value: str) -> set[str]:
    forms = {*forms_of(value)}
    if forms:
        forms.add(repr(value.encode("utf-8", "surrogatepass"))[2:-1])
    for _ in range(2):
        # A message is JSON, and a text in it may be JSON that holds any other form.
        forms |= {json.dumps(form, ensure_ascii=False)[1:-1] for form in forms}
    return forms


def _stride(lengths: list[int]) -> int:
    """How many words to go on at a time. What is too short to be met so has to be looked for by itself."""

    def cost(stride: int) -> float:
        return _LOOK_UP / stride + _LOOK_FOR * bisect_right(lengths, _WORD * stride + _WORD - 2)

    return min(_STRIDES, key=cost)
