"""Finds known values in text, whole or in part, even if they are escaped, coloured or wrapped.

Text and values are reduced to their skeletons: only the characters that tokens consist of, without quotes, white space,
table borders and so on. In a skeleton, a wrapped or quoted value is in one piece again. Further passes decode escapes
and drop colour codes and HTML tags first.

One set contains the 8-byte words of the values' skeletons. Any 16 characters in a row contain a complete word that
begins at a multiple of eight. So a search only looks up every eighth position of a text in that set, whatever the
number of values. Only the surroundings of a known word are searched in full. The step is smaller than eight if a value
has many characters that its skeleton drops.
"""

from __future__ import annotations

import html
import json
import re
import sys
from array import array
from base64 import b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from ..._util.encodings import MIN_LENGTH, encoded_forms

__all__ = ["RUN", "Found", "Search"]

RUN = 16
"""A run of this many characters of a value is redacted. A shorter value is only redacted as a whole."""

# The characters of a bearer token (RFC 6750).
_TOKEN_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")
_DROPPED = bytes(set(range(256)) - _TOKEN_CHARACTERS)
_WORD = 8
_MIN_DISTINCT = 4
"""A word needs at least this many different characters to identify a value, unlike a line of `=` or zeros."""
_MIN_PIECE = 4
"""The fewest characters that count as the continuation of a value found nearby. At the end of a text, fewer characters
are held back only if they begin a value."""
_MAX_DISTANCE = 400
"""The most characters between two parts of a value, such as other columns of a table or the HTML of a colour."""

_BLOCKS, _OVERLAP = (131_072, 16_384, 2_048), 1_024
"""Block sizes in bytes: a block with a known word is divided into smaller ones, and the smallest are searched in full.
Blocks overlap by the greatest length of a run with its markup."""

# Parts that do not identify a value: the armour of a key, the identifier of RSA in it, a URL, the header of a JWT.
_PUBLIC = re.compile(rb"-{5}[A-Z0-9 ]+-{5}|ANBgkqhkiG9w0BAQEFAA|https?://[\w.:-]+|^eyJ[\w-]+(?=\.[\w-]+\.)")

_HEX = rb"[0-9A-Fa-f]"
_CONTROL = rb"\[[0-?]*[ -/]*[@-~]"
# Each alternative begins with a literal, so that `re` can skip to the next of these few characters.
_ESCAPES = (
    # Colours and links of a terminal, raw and as JSON and Python escape them.
    rb"\x1b(?:" + _CONTROL + rb"|\][^\x07\x1b]*(?:\x07|\x1b\\))",
    rb"\\\\*(?:u001[bB]|x1[bB]|033)(?:"
    + _CONTROL
    + rb"|\][^\x07\\]*(?:\\\\*u0007|\\\\*x07|\\\\*u001[bB]\\\\*|\\\\*x1b\\\\*))",
    # JSON, JavaScript, Python.
    rb"\\\\*(?:u|U0000)(?P<u>" + _HEX + rb"{4})",
    rb"\\\\*u\{(?P<braces>" + _HEX + rb"{1,6})\}",
    rb"\\\\*x(?P<x>" + _HEX + rb"{2})",
    # LaTeX, with the macro names of Pygments.
    rb"\\\\*(?P<tex>text[a-z]{4,14}|PYZ[a-z]{2})(?:\{\}|\b ?)",
    rb"\\\\*(?P<blank>[abfnrtv])",
    # One match takes a whole run of backslashes, and the mark may be the last of them. Otherwise, each backslash would
    # be tried as a beginning.
    rb"\\\\*(?P<mark>[!-/:-@\[-`{-~])",
    # URLs and HTML, also encoded twice.
    rb"%(?:25)*(?P<url>" + _HEX + rb"{2})",
    rb"&(?:amp;)*#[xX](?P<entity>" + _HEX + rb"{1,6});",
    rb"&(?:amp;)*#(?P<decimal>[0-9]{1,7});",
    rb"&(?:amp;)*(?P<name>[A-Za-z]{2,8});",
    # Quoted-printable, with its soft line breaks.
    rb"=(?P<quoted>2[B-F]|3D|5F|7E)",
    rb"=(?<!==)(?:\r?\n|\\\\*r\\\\*n|\\\\*n)",
    rb"\?=\s+=\?[\w-]+\?[qQ]\?",
)
_ESCAPE = re.compile(b"|".join(_ESCAPES))
_MARKS = (b"\x1b", b"\\", b"%", b"&")
_QUOTED = (b"=3D", b"=\n", b"=\r\n", b"?q?")
_TAG = rb"</?[A-Za-z!][^<>]{0,1000}>"
_ESCAPE_OR_TAG = re.compile(b"|".join([*_ESCAPES, _TAG]))
# Column separators of tables. Each is one character, so that positions do not change.
_BARS = re.compile("[│┃║┆┊╎]")
_BARS_IN_UTF8 = (b"\xe2\x94", b"\xe2\x95")
_MIN_BARS = 4
# An escape or a tag that is not complete yet.
_ESCAPE_STARTS = (b"\x1b", b"\\", b"%", b"&", b"=", b"<")
_UNFINISHED_ESCAPE = re.compile(
    rb"\x1b[^A-Za-z]*|\\(?:[uU][0-9A-Fa-f{]*|x[0-9A-Fa-f]?|[a-z]*)|%[0-9A-Fa-f]*|&[#\w;]*|=[0-9A-F]?|<[^>]*"
)
_TEX = {
    b"textasciitilde": b"~",
    b"textunderscore": b"_",
    b"textbackslash": b"\\",
    b"textasciicircum": b"^",
    b"textless": b"<",
    b"textgreater": b">",
    b"textquotesingle": b"'",
    b"textquotedbl": b'"',
    b"PYZus": b"_",
    b"PYZhy": b"-",
    b"PYZti": b"~",
    b"PYZpl": b"+",
}
_BLANKS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


# The passes over a text: each drops more than the pass before; the last pass reads tables column by column.
_AS_IT_IS, _UNESCAPED, _UNTAGGED, _COLUMNS = range(4)


class Found(NamedTuple):
    """A part of a text to redact.

    If a value is divided by markup or by other columns of a table, its first part gets the label, and
    the other parts are removed.

    Attributes
    ----------
    start, end : int
        Where the part begins and ends.
    replacement : str
        A label, or "". In the column of a table, spaces fill it up to the length of the part.
    """

    start: int
    end: int
    replacement: str


class _Needle:
    """One form of a value to search for.

    With `whole`, only the complete form is a match; with `exact`, the characters outside the skeleton must match too.
    """

    __slots__ = ("as_tuple", "exact", "label", "skeleton", "text", "whole")

    def __init__(self, text: bytes, label: str, *, whole: bool, exact: bool = False) -> None:
        self.text, self.label, self.whole, self.exact = text, label, whole, exact
        self.skeleton = text.translate(None, _DROPPED)
        self.as_tuple = (self,)

    @property
    def places(self) -> list[int]:
        """The position of each of the skeleton's characters in the needle's text."""
        return [at for at, character in enumerate(self.text) if character in _TOKEN_CHARACTERS]


class _Match(NamedTuple):
    """Characters `first` to `last` of a needle's skeleton, found at `start` to `end` of a text's skeleton."""

    needle: _Needle
    start: int
    end: int
    first: int
    last: int

    @property
    def length(self) -> int:
        """The largest number of characters of the value that this match can stand for."""
        places = self.needle.places
        last = places[self.last] if self.last < len(places) else len(self.needle.text)
        return last - (places[self.first - 1] + 1 if self.first else 0)


class _View:
    """A text as one pass reads it, with the position of each character in the original text."""

    def __init__(self, data: bytes, begin: int, end: int, level: int) -> None:
        self.level = level
        self.text = data[begin:end]
        self.starts: Sequence[int] = range(begin, end)
        self.ends: Sequence[int] = range(begin + 1, end + 1)
        pattern = _pattern(level, self.text)
        if pattern:
            self.text, self.starts, self.ends = _decoded(pattern, data, begin, end)
        if level == _COLUMNS:
            order = [at for cell in _cells(self.text) for at in range(*cell)]
            self.text = bytes([self.text[at] for at in order])
            self.starts, self.ends = [self.starts[at] for at in order], [self.ends[at] for at in order]
        self.places = [at for at, character in enumerate(self.text) if character in _TOKEN_CHARACTERS]
        self.skeleton = self.text.translate(None, _DROPPED)


class Search:
    """Searches for a changing set of values. Any thread may search without a lock while one thread changes the set."""

    def __init__(self) -> None:
        self._needles: dict[str, list[_Needle]] = {}
        # Needles by the words of their skeletons, each word as a number. Few words belong to several needles.
        self._words: dict[int, tuple[_Needle, ...]] = {}
        # By skeleton, the needles that are so short that a search may look up none of their words.
        self._short: dict[bytes, tuple[_Needle, ...]] = {}
        # The keys of both tables, because a set is quicker than a dict.
        self._known = set[int | bytes]()
        self._plain: dict[str, str] = {}
        self._step = _WORD
        self._longest = 0
        # Derived from all needles when needed, and valid for one revision.
        self._revision = 0
        self._joined = (0, b"")
        self._prefixes: set[bytes] = set()

    def __repr__(self) -> str:
        return f"<Search {len(self._needles)} values>"

    # Changing the values

    def add(self, value: str, label: str) -> None:
        """Search for a value from now on.

        Parameters
        ----------
        value : str
            The value. It is ignored if it has fewer characters than `encodings.MIN_LENGTH`.
        label : str
            Replaces the value.
        """
        if len(value) < MIN_LENGTH or value in self._needles:
            return
        needles = _make_needles(value, label)
        for needle in needles:
            if not needle.whole:
                self._step = min(self._step, _max_step(needle.text))
            self._longest = max(self._longest, len(needle.text))
            for table, key in self._keys(needle):
                table[key] = (*table[key], needle) if key in table else needle.as_tuple
                self._known.add(key)
        odd = not value.isascii() or ord(value[0]) in _DROPPED or "\\" in value or "%" in value
        if odd or len(needles[0].skeleton) < _MIN_PIECE:
            # A skeleton would lose too much of this value, or the value itself looks like an escape.
            self._plain |= dict.fromkeys(_plain_forms(value), label)
        self._needles[value] = needles
        self._revision += 1

    def relabel(self, value: str, label: str) -> None:
        """Change the label that replaces a value."""
        for needle in self._needles.get(value, ()):
            needle.label = label
        self._plain |= dict.fromkeys(self._plain.keys() & _plain_forms(value), label)

    def discard(self, value: str) -> None:
        """Stop searching for a value."""
        for needle in self._needles.pop(value, ()):
            for table, key in self._keys(needle):
                remaining = tuple(other for other in table.get(key, ()) if other is not needle)
                if remaining:
                    table[key] = remaining
                else:
                    table.pop(key, None)
                    self._known.discard(key)
        for form in _plain_forms(value):
            self._plain.pop(form, None)
        self._revision += 1

    def _keys(self, needle: _Needle) -> Iterable[tuple[dict[Any, tuple[_Needle, ...]], Any]]:
        words = _identifying_words(needle)
        if words:
            return [(self._words, word) for word in words]
        return [(self._short, needle.skeleton)] if len(needle.skeleton) >= _MIN_PIECE else []

    # Searching

    def may_hold(self, data: bytes) -> bool:
        """Whether UTF-8 text or JSON may contain a value. Quick; may return true for text without a value."""
        if any(bar in data for bar in _BARS_IN_UTF8) or data.count(b"|") >= _MIN_BARS:
            # In JSON, line breaks are escaped, so a table in it can only be read after unpacking.
            return bool(self._needles)
        plain = [
            as_json for form in tuple(self._plain) for as_json in (form, json.dumps(form, ensure_ascii=False)[1:-1])
        ]
        return next(self._blocks(data, 0, len(data), _BLOCKS[:1]), None) is not None or any(
            form.encode("utf-8", "surrogatepass") in data for form in plain
        )

    def found(self, text: str | bytes) -> list[Found]:
        """Return the parts of a text that are values or parts of values, in order and without overlap."""
        # One byte for each character, so that positions are the same.
        data = text if isinstance(text, bytes) else _to_bytes(text)
        matches: list[list[Found]] = [[one] for one in self._in_plain(text)]
        for begin, end in self._regions(data):
            for level in _levels(data[begin:end]):
                matches += self._in_view(_View(data, begin, end, level))
        return _without_overlaps(matches)

    def redacted(self, text: str) -> str:
        """Return a text with the values replaced by labels."""
        found = self.found(text)
        if not found:
            return text
        at, pieces = 0, []
        for part in found:
            pieces += [text[at : part.start], part.replacement]
            at = part.end
        return "".join([*pieces, text[at:]])

    def redacted_object(self, value: Any) -> Any:
        """Return a copy of a value from JSON, with the known values replaced in all strings, including keys."""
        if isinstance(value, str):
            return self.redacted(value)
        if isinstance(value, Mapping):
            return {self.redacted_object(name): self.redacted_object(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.redacted_object(each) for each in value]
        return value

    def redacted_bytes(self, buffer: Any) -> bytes | None:
        """Return the bytes of a buffer with the values replaced, or None if the buffer contains no value.

        The length stays the same, because readers rely on it.

        Parameters
        ----------
        buffer : object
            Anything that supports the buffer protocol.
        """
        # In memory order, as the buffer is sent.
        data = memoryview(buffer).tobytes("A")
        found = self.found(data)
        if not found:
            return None
        clean = bytearray(data)
        for part in found:
            size = part.end - part.start
            clean[part.start : part.end] = part.replacement.encode()[:size].ljust(size, b"*")
        return bytes(clean)

    def split(self, text: str) -> tuple[str, str]:
        """Split a text into the part that can be shown and an end that may belong to an unfinished value."""
        at = self._unfinished(text)
        return text[:at], text[at:]

    # Internals

    def _blocks(self, data: bytes, begin: int, end: int, sizes: Sequence[int] = _BLOCKS) -> Iterator[int]:
        """Yield the start of each block that contains a known word or a whole short skeleton.

        The blocks have the last of the given sizes.
        """
        size, *smaller = sizes
        for at in range(begin, end, size) if self._known else ():
            block = data[at : at + size + _OVERLAP]
            if any(self._has_known_word(_skeleton(block, level)) for level in _levels(block)):
                yield from self._blocks(data, at, min(at + size, end), smaller) if smaller else (at,)

    def _has_known_word(self, skeleton: bytes) -> bool:
        view = memoryview(skeleton)
        for at in range(0, min(_WORD, len(skeleton) - _WORD + 1), self._step):
            whole = (len(skeleton) - at) // _WORD * _WORD
            if not self._known.isdisjoint(view[at : at + whole].cast("Q")):
                return True
        return any(short in skeleton for short in tuple(self._short))

    def _regions(self, data: bytes) -> list[tuple[int, int]]:
        """Return the parts of a text that have to be searched in full."""
        regions: list[tuple[int, int]] = []
        around = max(_OVERLAP, self._longest)
        for at in self._blocks(data, 0, len(data)):
            begin, end = max(at - around, 0), min(at + _BLOCKS[-1] + _OVERLAP + around, len(data))
            if regions and begin <= regions[-1][1]:
                begin = regions.pop()[0]
            regions.append((begin, end))
        return regions

    def _in_view(self, view: _View) -> list[list[Found]]:
        matches = self._matches(view)
        certain = [match for match in matches if _is_valid(match, view)]
        by_needle: dict[_Needle, list[_Match]] = {}
        for match in matches:
            if not match.needle.whole:
                by_needle.setdefault(match.needle, []).append(match)
        for one, other in (pair for same in by_needle.values() for pair in pairwise(same)):
            # Two parts of a value whose middle was cut out.
            if one.last <= other.first and other.start - one.end <= _MAX_DISTANCE and one.length + other.length >= RUN:
                certain += [one, other]
        return [_parts(each, view) for match in dict.fromkeys(certain) for each in (match, *_continued(match, view))]

    def _matches(self, view: _View) -> list[_Match]:
        """Return the matches that contain at least one word of a needle, and all matches of the needles in `_short`."""
        skeleton, matches = view.skeleton, []
        memory = memoryview(skeleton)
        places = []
        for lead in range(min(_WORD, max(len(skeleton) - _WORD + 1, 0))):
            words = memory[lead : lead + (len(skeleton) - lead) // _WORD * _WORD].cast("Q")
            places += [(lead + number * _WORD, word) for number, word in enumerate(words) if word in self._words]
        reached: dict[_Needle, int] = {}
        for at, word in sorted(places):
            for needle in self._words.get(word, ()):
                if at >= reached.get(needle, 0):
                    for match in _extended(needle, skeleton, at, at + _WORD):
                        reached[needle] = max(reached.get(needle, 0), match.end - _WORD + 1)
                        matches.append(match)
        for short, needles in tuple(self._short.items()):
            at = skeleton.find(short)
            while at >= 0:
                matches += [_Match(needle, at, at + len(short), 0, len(short)) for needle in needles]
                at = skeleton.find(short, at + 1)
        return sorted(matches, key=lambda match: (match.start, match.end))

    def _in_plain(self, text: str | bytes) -> Iterator[Found]:
        for form, label in tuple(self._plain.items()):
            pattern: Any = form if isinstance(text, str) else form.encode("utf-8", "surrogatepass")
            at = text.find(pattern)
            while at >= 0:
                yield Found(at, at + len(pattern), label)
                at = text.find(pattern, at + len(pattern))

    def _unfinished(self, text: str) -> int:
        """Return where the end that may belong to an unfinished value starts; the text's length if there is none."""
        # Longer than the longest value, to make room for colours and tags.
        begin = max(len(text) - 2 * self._longest - 4096, 0)
        end = text[begin:]
        cut = min([len(end), *self._unfinished_starts(_to_bytes(end))])
        for form in tuple(self._plain):
            size = next((size for size in range(len(form) - 1, 0, -1) if end.endswith(form[:size])), 0)
            cut = min(cut, len(end) - size)
        if cut < len(end):
            # Do not cut within a complete value: its end may look like the beginning of a value.
            start = 0
            for part in self.found(end):
                start = part.start if part.replacement.strip() else start
                if start < cut < part.end:
                    cut = start
        return begin + cut

    def _unfinished_starts(self, data: bytes) -> Iterator[int]:
        joined = self._all_skeletons()
        starts = {data.rfind(mark, max(len(data) - _OVERLAP, 0)) for mark in _ESCAPE_STARTS}
        for end in (len(data), *(at for at in starts if at >= 0 and _UNFINISHED_ESCAPE.fullmatch(data, at))):
            for level in _levels(data[:end]):
                if not self._run_at_end(_skeleton(data[max(end - _OVERLAP, 0) : end], level)[-_MIN_PIECE:]):
                    continue
                view = _View(data, 0, end, level)
                size = self._run_at_end(view.skeleton)
                after = view.text[view.places[-1] + 1 :] if size else b""
                counts = size >= _MIN_PIECE or (size and not after)
                if counts and not _is_complete(view.skeleton[-size:], after, joined):
                    yield view.starts[view.places[-size]]

    def _run_at_end(self, skeleton: bytes) -> int:
        """Return the length of the run at a skeleton's end that occurs in a value.

        A run shorter than `_MIN_PIECE` counts only if a value begins with it.
        """
        joined, end = self._all_skeletons(), skeleton[-_MIN_PIECE:]
        if len(end) < _MIN_PIECE or end not in joined:
            few = range(min(_MIN_PIECE - 1, len(skeleton)), 0, -1)
            return next((size for size in few if skeleton[-size:] in self._prefixes), 0)
        sizes, at = [], joined.find(end)
        while at >= 0:
            before = joined[max(at - len(skeleton), 0) : at][::-1]
            sizes.append(_MIN_PIECE + _common_prefix(before, skeleton[-_MIN_PIECE - 1 :: -1]))
            at = joined.find(end, at + 1)
        return max(sizes)

    def _all_skeletons(self) -> bytes:
        """Return all skeletons, joined: for each, a line break, the skeleton, and some `!`.

        There is one `!` for each character of the value after the last character that its skeleton keeps. The result is
        cached until the values change; `_prefixes` is updated with it.
        """
        revision, (cached, joined) = self._revision, self._joined
        if cached != revision:
            needles = [needle for needles in tuple(self._needles.values()) for needle in needles]
            joined = b"".join(b"\n" + needle.skeleton + b"!" * _trailing(needle) for needle in needles) + b"\n"
            self._prefixes = {needle.skeleton[:size] for needle in needles for size in range(1, _MIN_PIECE)}
            self._joined = revision, joined
        return joined


def _make_needles(value: str, label: str) -> list[_Needle]:
    text = value.encode("ascii", "replace")
    plain = _Needle(text, label, whole=False)
    if len(value) < RUN or not _identifying_words(plain):
        plain = _Needle(text, label, whole=True, exact=True)
    data = value.encode("utf-8", "surrogatepass")
    encoded = {data.hex().encode(), data.hex().upper().encode()}
    for lead in range(3):
        # The part of the encoding that does not depend on adjacent data.
        size = lead + len(data)
        base64 = b64encode(bytes(lead) + data)[-(-lead * 8 // 6) : size * 8 // 6]
        encoded |= {base64, base64.translate(bytes.maketrans(b"+/", b"-_"))}
    return [plain, *(_Needle(each, label, whole=True) for each in sorted(encoded - {text}))]


def _plain_forms(value: str) -> set[str]:
    return {*encoded_forms(value), repr(value.encode("utf-8", "surrogatepass"))[2:-1]}


def _identifying_words(needle: _Needle) -> set[int]:
    """Return the words that identify a needle."""
    skeleton = needle.skeleton
    last = len(skeleton) - _WORD
    if needle.whole:
        # Enough words that a search looks up one of them in any case. From the middle, because many values begin alike.
        begin = max(last - _WORD + 1, 0) // 2
        return {_word(skeleton, at) for at in range(begin, begin + _WORD)} if last >= _WORD - 1 else set()
    positions: Sequence[int] = range(last + 1)
    if public := _public(needle.text):
        places = needle.places
        positions = [at for at in positions if public.isdisjoint(places[at : at + _WORD])]
    return {_word(skeleton, at) for at in positions if len(set(skeleton[at : at + _WORD])) >= _MIN_DISTINCT}


def _public(text: bytes) -> set[int]:
    return {at for part in _PUBLIC.finditer(text) for at in range(*part.span())}


def _word(skeleton: bytes, at: int) -> int:
    return int.from_bytes(skeleton[at : at + _WORD], sys.byteorder)


def _max_step(text: bytes) -> int:
    """Return the largest step between looked-up words at which every run of this value still contains such a word."""
    before = [0, *accumulate(character in _TOKEN_CHARACTERS for character in text)]
    public = _public(text)
    runs = [at for at in range(len(text) - RUN + 1) if not public or public.isdisjoint(range(at, at + RUN))]
    fewest = min((before[at + RUN] - before[at] for at in runs), default=RUN)
    return next((step for step in (8, 4, 2) if fewest >= _WORD + step - 1), 1)


def _to_bytes(text: str) -> bytes:
    """Encode a text with one byte for each character."""
    return (text if text.isascii() else _BARS.sub("|", text)).encode("ascii", "replace")


def _levels(data: bytes) -> Iterator[int]:
    """Yield the passes that a text needs."""
    yield _AS_IT_IS
    if any(mark in data for mark in _MARKS) or (b"=" in data and any(mark in data for mark in _QUOTED)):
        yield _UNESCAPED
    if b"<" in data:
        yield _UNTAGGED
    if data.count(b"|") >= _MIN_BARS:
        yield _COLUMNS


def _pattern(level: int, data: bytes) -> re.Pattern[bytes] | None:
    """Return the pattern of what a pass decodes or drops; None if it takes the text as it is."""
    if level == _AS_IT_IS:
        return None
    return _ESCAPE if level == _UNESCAPED or b"<" not in data else _ESCAPE_OR_TAG


def _skeleton(data: bytes, level: int) -> bytes:
    pattern = _pattern(level, data)
    if pattern:
        data = pattern.sub(lambda escape: _decoded_escape(escape[0]), data)
    if level == _COLUMNS:
        data = b"".join([data[slice(*cell)] for cell in _cells(data)])
    return data.translate(None, _DROPPED)


def _decoded(pattern: re.Pattern[bytes], data: bytes, begin: int, end: int) -> tuple[bytes, array[int], array[int]]:
    """Return a text with its escapes decoded, and where each of its characters began and ended in `data`."""
    text, starts, ends, at = bytearray(), array("q"), array("q"), begin
    for start, stop, character in [
        *((escape.start(), escape.end(), _decoded_escape(escape[0])) for escape in pattern.finditer(data, begin, end)),
        (end, end, b""),
    ]:
        text += data[at:start] + character
        starts.extend(range(at, start + len(character)))
        ends.extend([*range(at + 1, start + 1), *[stop] * len(character)])
        at = stop
    return bytes(text), starts, ends


def _cells(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield the cells of tables, column by column. Consecutive lines with the same number of bars are a table."""
    rows: list[list[tuple[int, int]]] = []
    at = 0
    for line in text.splitlines(keepends=True):
        cells, begin = [], at
        for cell in line.split(b"|"):
            cells.append((begin, begin + len(cell)))
            begin += len(cell) + 1
        if rows and len(rows[-1]) != len(cells):
            yield from (cell for column in zip(*rows, strict=True) for cell in column)
            rows = []
        rows.append(cells)
        at += len(line)
    yield from (cell for column in zip(*rows, strict=True) for cell in column)


@lru_cache(4096)
def _decoded_escape(escape: bytes) -> bytes:
    """Return the character that an escape stands for; empty for a colour or a tag."""
    match = _ESCAPE.fullmatch(escape)
    kind = match.lastgroup if match else None
    if match is None or kind is None:
        return b""
    text = match[kind]
    if kind == "mark":
        return text
    if kind == "blank":
        return _BLANKS.get(text, b" ")
    if kind == "tex":
        return _TEX.get(text, b" ")
    if kind == "name":
        return html.unescape(f"&{text.decode()};")[:1].encode("ascii", "replace")
    code = int(text, 10 if kind == "decimal" else 16)
    return bytes([code]) if code < 128 else b"?"  # noqa: PLR2004 (ASCII)


def _extended(needle: _Needle, skeleton: bytes, start: int, end: int) -> Iterator[_Match]:
    """Yield the longest matches of a needle around a part of a text that the needle contains."""
    known = needle.skeleton
    first = known.find(skeleton[start:end])
    while first >= 0:
        before = _common_prefix(known[:first][::-1], skeleton[max(start - first, 0) : start][::-1])
        after = _common_prefix(known[first + end - start :], skeleton[end : end + len(known)])
        yield _Match(needle, start - before, end + after, first - before, first + end - start + after)
        first = known.find(skeleton[start:end], first + 1)


def _common_prefix(one: bytes, other: bytes) -> int:
    """Return the length of the common prefix of two texts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_valid(match: _Match, view: _View) -> bool:
    needle = match.needle
    if not needle.whole:
        return match.length >= RUN
    if match.first or match.last < len(needle.skeleton):
        return False
    if not needle.exact:
        return True
    begin = view.places[match.start] - needle.places[0]
    return begin >= 0 and view.text[begin : begin + len(needle.text)] == needle.text


def _continued(match: _Match, view: _View) -> Iterator[_Match]:
    """Yield further parts of a matched value, before or after other columns of a table."""
    needle, skeleton = match.needle, view.skeleton
    known, at = needle.skeleton, match
    while not needle.whole and len(set(piece := known[at.last : at.last + _MIN_PIECE])) >= _MIN_PIECE - 1:
        start = skeleton.find(piece, at.end, at.end + _MAX_DISTANCE)
        if start < 0:
            break
        size = _common_prefix(known[at.last :], skeleton[start : start + len(known)])
        at = _Match(needle, start, start + size, at.last, at.last + size)
        yield at
    at = match
    while not needle.whole and len(set(piece := known[max(at.first - _MIN_PIECE, 0) : at.first])) >= _MIN_PIECE - 1:
        end = skeleton.rfind(piece, max(at.start - _MAX_DISTANCE, 0), at.start) + len(piece)
        if end < len(piece):
            break
        size = _common_prefix(known[: at.first][::-1], skeleton[max(end - len(known), 0) : end][::-1])
        at = _Match(needle, end - size, end, at.first - size, at.first)
        yield at


def _parts(match: _Match, view: _View) -> list[Found]:
    """Return the replacements of a match: the label for its first part, nothing for the other parts."""
    needle, places = match.needle, match.needle.places
    first, last = view.places[match.start], view.places[match.end - 1]
    # Extend the match by characters at the value's ends that are not in the skeleton.
    at = places[match.first] - 1
    while at >= 0 and first and view.text[first - 1] == needle.text[at] not in _TOKEN_CHARACTERS:
        first, at = first - 1, at - 1
    at = places[match.last - 1] + 1
    while view.text[last + 1 : last + 2] == needle.text[at : at + 1] != b"":
        last, at = last + 1, at + 1
    borders = [first, *(at for at in range(first + 1, last + 1) if view.starts[at] != view.ends[at - 1]), last + 1]
    parts = [(view.starts[begin], view.ends[end - 1]) for begin, end in pairwise(borders)]
    labels = [needle.label, *[""] * (len(parts) - 1)]
    if view.level == _COLUMNS:
        labels = [label.ljust(end - start) for label, (start, end) in zip(labels, parts, strict=True)]
    return [Found(*part, label) for part, label in zip(parts, labels, strict=True)]


def _without_overlaps(matches: list[list[Found]]) -> list[Found]:
    """Return the parts in order and without overlap. Where matches overlap, the longer match stays whole."""
    accepted: list[Found] = []
    for parts in sorted(matches, key=lambda parts: -sum(part.end - part.start for part in parts)):
        for part in parts:
            # Bisected, because a text can have thousands of matches.
            first = bisect_right(accepted, part.start, key=attrgetter("end"))
            last = bisect_left(accepted, part.end, first, key=attrgetter("start"))
            overlapping, begin = accepted[first:last], part.start
            new = [] if overlapping else [part]
            for other in overlapping:
                if begin < other.start:
                    new.append(Found(begin, other.start, ""))
                begin = max(begin, other.end)
            if overlapping and begin < part.end:
                new.append(Found(begin, part.end, ""))
            accepted[first:last] = sorted([*overlapping, *new])
    return accepted


def _is_complete(run: bytes, after: bytes, joined: bytes) -> bool:
    """Whether a run is the end of every value that contains it, so that no following text belongs to such a value."""
    at = joined.find(run)
    while at >= 0:
        rest = joined[at + len(run) : at + len(run) + 1]
        dropped = len(joined) - len(joined[at + len(run) :].lstrip(b"!")) - at - len(run)
        if rest not in b"!\n" or (rest == b"!" and len(after) < dropped):
            return False
        at = joined.find(run, at + 1)
    return True


def _trailing(needle: _Needle) -> int:
    places = needle.places
    return len(needle.text) - places[-1] - 1 if places else 0
