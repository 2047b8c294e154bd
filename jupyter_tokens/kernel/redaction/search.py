"""Finds the forms of values in text and takes them out; values come and go one at a time; knows not why they are known.

A search takes about the same time for one value as for thousands, and most of a text is never looked at: one word of
eight bytes in every few is looked up among the words that the forms consist of. Only near one that is found are whole
forms compared.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from functools import cache
from operator import length_hint
from struct import Struct
from typing import Any

from ...forms import forms_of

__all__ = ["Search"]

_WORD = 8
# With a greater one the words of each form are more, at 100 bytes of memory each.
_MOST_STRIDE = 4
_AT_ONCE = 512
# Nanoseconds for eight bytes of text: to look one word up, and to look for one form by itself.
_LOOK_UP, _LOOK_FOR = 35.0, 3.5
_ERRORS = "surrogatepass"


class Search:
    """Texts are searched on any thread and without a lock, also while values change; one thread at a time changes them.

    Forms are kept in UTF-8, as texts are searched: it shows where a character begins.
    """

    def __init__(self) -> None:
        self._labels: dict[bytes, bytes] = {}
        # How many values beyond one have a form, and how many forms beyond one have a word.
        self._claims: dict[bytes, int] = {}
        self._others: dict[bytes, int] = {}
        # A set is a quarter quicker to look in than a dict.
        self._words: set[bytes] = set()
        self._tails: dict[bytes, tuple[bytes, ...]] = {}
        self._strides: dict[bytes, int] = {}
        self._short: dict[bytes, None] = {}
        self._stride = _MOST_STRIDE
        # What a text's end is compared with.
        self._sorted: list[bytes] = []
        self._heads: dict[bytes, int] = {}
        self._alphabet = b""
        self._longest = 0

    def __repr__(self) -> str:
        return f"<Search {len(self._labels)} forms>"

    # What is looked for

    def add(self, value: str, label: str) -> None:
        """Looks for a value from now on. One that is shorter than `forms.SHORTEST` is never found."""
        forms = _forms(value)
        new = forms - self._labels.keys()
        for form in forms - new:
            self._claims[form] = self._claims.get(form, 0) + 1
        ordered = self._sorted.copy()
        for form in new:
            insort(ordered, form)
            self._heads[form[:_WORD]] = self._heads.get(form[:_WORD], 0) + 1
            self._index(form)
        self._alphabet = bytes({*self._alphabet}.union(*new))
        self._longest = max([self._longest, *map(len, new)])
        self._sorted = ordered
        self._labels |= dict.fromkeys(forms, label.encode())

    def relabel(self, value: str, label: str) -> None:
        """Has another label put in the place of a value."""
        self._labels |= dict.fromkeys(_forms(value), label.encode())

    def discard(self, value: str) -> None:
        """Looks for a value no more. A form that is another value's, too, stays."""
        ordered = self._sorted.copy()
        for form in _forms(value) & self._labels.keys():
            claims = self._claims.pop(form, 0)
            if claims > 1:
                self._claims[form] = claims - 1
            if claims:
                continue
            del self._labels[form]
            del ordered[bisect_left(ordered, form)]
            self._heads[form[:_WORD]] -= 1
            if not self._heads[form[:_WORD]]:
                del self._heads[form[:_WORD]]
            self._short.pop(form, None)
            self._drop(form)
        self._sorted = ordered

    def _index(self, form: bytes) -> None:
        if len(form) >= _reach(self._stride):
            self._put(form)
            return
        self._short[form] = None
        lengths = sorted(map(len, self._short))

        def cost(stride: int) -> float:
            return _LOOK_UP / stride + _LOOK_FOR * bisect_left(lengths, _reach(stride))

        stride = min(range(self._stride, 0, -1), key=cost)
        if stride < self._stride:
            self._stride = stride
            for each in [each for each in self._short if len(each) >= _reach(stride)]:
                self._put(each)
                del self._short[each]

    def _put(self, form: bytes) -> None:
        self._strides[form] = self._stride
        self._tails[form[-_WORD:]] = (*self._tails.get(form[-_WORD:], ()), form)
        for word in _words(form, self._stride):
            if word in self._words:
                self._others[word] = self._others.get(word, 0) + 1
            else:
                self._words.add(word)

    def _drop(self, form: bytes) -> None:
        for word in _words(form, self._strides.pop(form, 0)):
            others = self._others.pop(word, 0)
            if others > 1:
                self._others[word] = others - 1
            elif not others:
                self._words.discard(word)
        tail = form[-_WORD:]
        alike = tuple(other for other in self._tails.get(tail, ()) if other != form)
        if alike:
            self._tails[tail] = alike
        else:
            self._tails.pop(tail, None)

    # Where it is looked for

    def found(self, data: bytes) -> list[bytes]:
        """The forms, in UTF-8, that are in a text in UTF-8, be it plain or written as JSON."""
        # In this order: what is no longer among the short ones is then met at the smaller stride.
        found = {form for form in tuple(self._short) if form in data}
        span = _WORD * self._stride
        samples, size = _samples(span), span * _AT_ONCE
        for begin in range(0, len(data) if self._words else 0, size):
            seen: Sequence[bytes]
            if begin + size <= len(data):
                seen = samples(data, begin)
            else:
                seen = [data[at : at + _WORD] for at in range(begin, len(data) - _WORD + 1, span)]
            left = iter(seen)
            # It stops behind a word that it has found.
            while not self._words.isdisjoint(left):
                found |= self._around(data, begin + span * (len(seen) - length_hint(left) - 1))
        return [form for form in found if form in self._labels]

    def _around(self, data: bytes, at: int) -> set[bytes]:
        """The forms of which a word that is looked up may be the one at a place."""
        ends = range(at + _WORD, min(at + _WORD + _WORD * _MOST_STRIDE, len(data) + 1))
        tails = ((end, self._tails.get(data[end - _WORD : end], ())) for end in ends)
        return {form for end, forms in tails for form in forms if data.endswith(form, 0, end)}

    def redacted(self, text: str) -> str:
        """A text with labels in place of the values."""
        data = text.encode("utf-8", _ERRORS)
        found = self.found(data)
        if not found:
            return text
        # A form may be a part of another one.
        for form in sorted(found, key=len, reverse=True):
            data = data.replace(form, self._labels.get(form, form))
        return data.decode("utf-8", _ERRORS)

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
        for form in sorted(found, key=len, reverse=True):
            label = self._labels.get(form, form)
            data = data.replace(form, label[: len(form)].ljust(len(form), b"*"))
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
        ordered, heads = self._sorted, self._heads
        end = text[-self._longest :].encode("utf-8", _ERRORS) if ordered else b""
        end = end[len(end.rstrip(self._alphabet)) :]
        for start in range(len(end)):
            if start > len(end) - _WORD or end[start : start + _WORD] in heads:
                rest = end[start:]
                following = bisect_right(ordered, rest)
                if following < len(ordered) and ordered[following].startswith(rest):
                    return len(rest.decode("utf-8", _ERRORS))
        return 0


def _forms(value: str) -> set[bytes]:
    forms = {*forms_of(value)}
    if forms:
        forms.add(repr(value.encode("utf-8", _ERRORS))[2:-1])
    for _ in range(2):
        # A message is JSON, and a text in it may be JSON that holds any other form.
        forms |= {json.dumps(form, ensure_ascii=False)[1:-1] for form in forms}
    return {form.encode("utf-8", _ERRORS) for form in forms}


def _reach(stride: int) -> int:
    """The length from which on a form, wherever it stands, covers a word that is looked up."""
    return _WORD * stride + _WORD - 1


def _words(form: bytes, stride: int) -> list[bytes]:
    """The words of a form that one has to know to meet it; near its end, for many tokens begin alike."""
    last = len(form) - _WORD
    return [form[at : at + _WORD] for at in range(max(last + 1 - _WORD * stride, 0), last + 1)]


@cache
def _samples(span: int) -> Any:
    """Reads one word in each `span` bytes, `_AT_ONCE` of them; a struct is the quickest way that Python has."""
    return Struct(f"{_WORD}s{span - _WORD}x" * _AT_ONCE).unpack_from
