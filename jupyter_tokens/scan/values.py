"""Finds known secrets in text, and distinguishes unknown secrets from placeholders, references, paths and words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from .._util.encodings import MIN_LENGTH, encoded_forms

__all__ = [
    "ESCAPED",
    "Known",
    "Span",
    "is_password",
    "is_placeholder",
    "is_random",
    "is_reference",
    "matches",
    "merged",
]

_GRAM = MIN_LENGTH // 2
_MANY = 4096
_PLAIN = re.compile(r"[^\w .-]")
ESCAPED = r"%(?:25)?(?!0[ADad]|2[02567Cc]|3[BCEbce]|5[BDbd]|7[BDbd])[0-9A-Fa-f]{2}"
"""Pattern of a percent-encoded character in a value, except characters that end a value, such as `&` and quotes."""

_MASKED = re.compile(r"x{4}|X{4}|[*•]{4}|\.{3}|…|(.)\1{5}|<[^<>]*>|\{[^{}]*\}|\$[({A-Za-z]|%[(s]")
# Short words count only as whole words: random values contain them by chance.
_WORDS = re.compile(
    r"(?i:your|example|placeholder|change_?me|replace|redacted|goes_?here|dummy|insert|sample|removed|hidden)"
    r"|<|(?<![A-Za-z0-9])(?i:my|fake|test|todo|enter|put|some|here|secret|password|token)(?![A-Za-z0-9])|您|你的|请|替换|填"
)
_IN_ORDER = ("123456789", "abcdefghij", "qwertyuiop", "9876543210", "a1b2c3d4", "1a2b3c4d", "abc123")
_LONG = 120
_TRIED = ("", "a", "abc", "foo", "bar", "hello", "hello world", "Hello World", "test", "password", "admin", "123456")
_PUBLIC = frozenset(
    {
        # The UUID that most examples use, and the nil UUID.
        "123e4567-e89b-12d3-a456-426614174000",
        "00000000-0000-0000-0000-000000000000",
        # Hashes of common test inputs.
        *(hashlib.new(name, word.encode(), usedforsecurity=False).hexdigest()
          for name in ("md5", "sha1", "sha256") for word in _TRIED),
    }
)  # fmt: skip
# Parts of jwt.io's first example, and of the secret key in AWS' documentation.
_PUBLISHED = ("eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4g", "wJalrXUtnFEMI/K7MDENG/")

_REFERENCE = re.compile(
    r"(?:keyring|env|file|command|vault|secret|op|store|https?|arn|s3|gs|urn|projects|azurekeyvault):|(?:\.{0,2}|~)/[a-z.]{2,20}/|0x"
    r"|projects/|[A-Za-z]:\\|sha\d+[-:]|pk[._]|IPY_MODEL_"
)
_FILE = re.compile(
    r"\.(?:json|txt|pem|key|csv|ya?ml|env|ini|cfg|toml|html?|py|ipynb|whl|tar|gz|zip|parquet|pkl|h5|pt|bin|md|xml|com"
    r"|org|net|png|jpe?g|log|db|sh|js)\Z"
)
_VERSION = re.compile(r"\d\.\d+\.\d|\d{4}-\d\d-\d\d")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_RUN = re.compile(r"[A-Za-z0-9]+")

# Pairs of letters that make up 86 % of the words in names of Python's and pandas' sources. A group stands for the pairs
# of its first letter and each of its other letters.
_PAIRS = frozenset(
    group[0] + second
    for group in (
        *("abcdgilmnprstuvy", "baeilorsu", "cacehiklorstu", "dadefilorsu", "eacdefgilmnprstvwxy", "faefilortu"),
        *("gaeirs", "haeio", "iabcdefglmnoprstvz", "ke", "ladeilostuy", "maeiops", "nacdefgiostuv"),
        *("oabcdfgilmnoprstuvw", "paeiloprstu", "qu", "racdegilmnoprstuy", "sacehilopstuy", "tacdefhiloprstuy"),
        *("uabeilmnprst", "vaei", "wai", "xt", "yps", "ze"),
    )
    for second in group[1:]
)
# Words and numbers, whatever the words are: kv-prod-client-secret-02, SYS_TOKEN_5541.
_IDENTIFIER = re.compile(
    r"(?:(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)\d{0,4}|\d+)(?:[-_.:/](?:(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)\d{0,4}|\d+))+"
)
_MAX_COMMON_PAIRS = 0.5
_CLASSES = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile(r"\d"), re.compile(r"[^A-Za-z0-9]"))
_ENOUGH_CLASSES = 3
_NOT_A_LETTER = re.compile("[^a-z]")
_COMMON_PASSWORDS = frozenset(
    (
        *("password", "passwd", "pass", "psswrd", "psswd", "admin", "root", "secret", "test", "guest", "changeme"),
        *("welcome", "qwerty", "postgres", "mysql", "user", "demo", "letmein", "default", "minio", "minioadmin", ""),
    )
)
"""The letters of very common passwords, without their digits and signs."""
_MIN_PAIRS = 5
_MIN_CHARACTERS = 6


class Span(NamedTuple):
    """A finding from `start` to `end` of a text. `doubt` is 0 for a known value, and higher for less certain kinds."""

    start: int
    end: int
    kind: str
    doubt: int

    @property
    def mark(self) -> str:
        """The label that redaction puts in place of the finding."""
        return f"[{self.kind}]"


def merged(spans: Iterable[Span]) -> list[Span]:
    """Sort spans, and merge overlapping spans into one span of the most certain kind."""
    result: list[Span] = []
    for span in sorted(spans):
        last = result[-1] if result else None
        if last is None or span.start >= last.end:
            result.append(span)
        else:
            most_certain = min(last, span, key=lambda each: each.doubt)
            result[-1] = most_certain._replace(start=last.start, end=max(last.end, span.end))
    return result


def matches(mark: str, pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern that begins with `mark`. Matches may overlap.

    Twice as fast as `finditer` if `mark` is rare.
    """
    at = text.find(mark)
    while at >= 0:
        found = pattern.match(text, at)
        if found:
            yield found
        at = text.find(mark, at + 1)


class Known:
    """Known values to find in texts. A search for thousands of values takes about as long as a search for one value.

    Parameters
    ----------
    kinds : Mapping
        The values to find, each with its kind. Values shorter than `encodings.MIN_LENGTH` are left out.

    Notes
    -----
    The search looks up a few characters at regular distances in the text, and compares only the values that contain
    these characters. A regular expression with thousands of alternatives would take minutes for a large notebook.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        # A label contains the kind, and is put into text that may be JSON or HTML. So special characters are replaced.
        named = {value: _PLAIN.sub("_", kind) for value, kind in kinds.items()}
        self._forms = {form: kind for value, kind in named.items() for form in encoded_forms(value)}
        shortest = min(map(len, self._forms), default=MIN_LENGTH)
        self._gram = max(_GRAM, min(MIN_LENGTH, shortest // 2))
        # A wide stride makes the search fast, but the table of places large.
        self._stride = min(shortest - self._gram + 1, 16 if len(self._forms) < _MANY else 4)
        self._places: dict[str, list[tuple[int, str]]] = {}
        for form in self._forms:
            for offset in range(self._stride):
                self._places.setdefault(form[offset : offset + self._gram], []).append((offset, form))

    def __repr__(self) -> str:
        return f"<Known {len(self._forms)} forms>"

    def spans(self, text: str) -> Iterator[Span]:
        """Find the known values in a text. The findings may overlap."""
        places, gram, stride = self._places, self._gram, self._stride
        if not places:
            return
        for at in [at for at in range(0, len(text) - gram + 1, stride) if text[at : at + gram] in places]:
            for offset, form in places[text[at : at + gram]]:
                start = at - offset
                if start >= 0 and text.startswith(form, start):
                    yield Span(start, start + len(form), self._forms[form], 0)


def is_placeholder(value: str) -> bool:
    """Whether a value is a placeholder, or a publicly known value."""
    start = value[:_LONG]
    if _MASKED.search(start) or _WORDS.search(start) or value.lower() in _PUBLIC:
        return True
    lowered = start.lower()
    return any(part in lowered for part in _IN_ORDER) or any(known in value for known in _PUBLISHED)


def is_reference(value: str, *, uuid: bool = False) -> bool:
    """Whether a value is a reference (`env:X`), path, address, version or UUID.

    With `uuid`, a UUID does not count, because it may be a secret.
    """
    if _REFERENCE.match(value) or _FILE.search(value[-_LONG:]) or _VERSION.search(value[:_LONG]):
        return True
    return not uuid and _UUID.fullmatch(value) is not None


def is_random(value: str) -> bool:
    """Whether a value looks random and not like words. This is judged by its pairs of characters."""
    if len(set(value[:_LONG])) < _MIN_CHARACTERS or _IDENTIFIER.fullmatch(value):
        return False
    common = counted = 0
    for run in _RUN.findall(value[:_LONG]):
        for first, second in pairwise(run):
            if first.isdigit() and second.isdigit():
                continue
            counted += 1
            if not (first.islower() and second.isupper()) and (first + second).lower() in _PAIRS:
                common += 1
    return counted >= _MIN_PAIRS and common < _MAX_COMMON_PAIRS * counted


def is_password(value: str) -> bool:
    """Whether a value may be a password.

    It looks random or has three classes of characters, and is neither a very common password nor a placeholder.
    """
    if _NOT_A_LETTER.sub("", value.lower()) in _COMMON_PASSWORDS:
        return False
    classes = sum(each.search(value) is not None for each in _CLASSES)
    return classes > 1 and (is_random(value) or classes >= _ENOUGH_CLASSES) and not is_placeholder(value)
