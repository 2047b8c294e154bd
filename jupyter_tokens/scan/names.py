"""Finds secrets without a known format, by the name of their field, header, variable or column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .values import ESCAPED, Span, is_password, is_placeholder, is_random, is_reference, matches

__all__ = ["find_named", "is_named", "named_kind"]


class _Rule(NamedTuple):
    """What a value with a certain kind of name must look like.

    `shortest` is the minimum length. `uuid`: the value may be a UUID. `mixed`: the value must have lower-case
    letters, upper-case letters and digits.
    """

    shortest: int = 16
    uuid: bool = False
    mixed: bool = False


_PASSWORD, _SECRET, _TOKEN = _Rule(8), _Rule(), _Rule(20)
_API_KEY, _SOME_KEY = _Rule(uuid=True), _Rule(24, mixed=True)

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PUBLIC_WORDS = frozenset(("public", "publishable", "pub", "hash", "encrypted", "csrf", "xsrf"))
# Other meanings of "token": tokenizers, page tokens, idempotency tokens.
_OTHER_TOKENS = frozenset(
    (
        *("pad", "bos", "eos", "unk", "sep", "cls", "mask", "start", "end", "stop", "special", "reserved", "word"),
        *("next", "prev", "previous", "page", "nextpage", "continuation", "continue", "cursor", "resume", "sequence"),
        *("sync", "max", "min", "num", "new", "first", "last", "image", "audio", "video", "prompt", "input", "output"),
        *("idempotency", "client", "csrfmiddleware", "forgery", "verification", "request"),
        # Cryptocurrencies, whose tokens are addresses.
        *("usdc", "usdt", "weth", "eth", "sol", "dai", "bnb", "wbtc", "btc", "nft", "mint"),
    )
)
_OTHER_KEYS = frozenset(
    (
        *("primary", "foreign", "cache", "partition", "sort", "run", "kms", "object", "s3", "dict", "index", "row"),
        *("group", "join", "idempotency", "dedup", "routing", "registry", "map", "lookup", "license", "host", "etag"),
    )
)
_SECRET_KEYS = frozenset(
    (
        *("secret", "private", "access", "auth", "account", "subscription", "signing", "encryption", "master"),
        *("shared", "storage", "service", "kaggle", "wandb", "openai", "admin", "app", "application", "security"),
    )
)

_LONGEST_NAME = 64
_LOOK_BACK = 80
_BEFORE = re.compile(r"(?:(?:[Aa][Pp][Ii]|[Ss]ecret|SECRET|[Ss]ubscription) )?[A-Za-z][A-Za-z0-9_.-]*\Z")
# In '\nACCESS_TOKEN=' in JSON, the "n" is not part of the name.
_ESCAPES = re.compile(r"\\[nrt]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}|\x1b\[[0-9;]*m")
# Ends of names in lower case, each with a regular expression for what may follow. `key` must not be the whole name, and
# no letter may be before "sk".
_ENDS = (
    ("token", "s?"),
    ("secret", "s?"),
    ("pass", "(?:w(?:or)?d|phrase|(?<=_pass))"),
    ("pwd", ""),
    ("key", "(?:(?<=[a-z0-9_.-]key)|(?<=api key|ret key|ion key))s?"),
    ("sk", "(?<![a-z]sk)"),
)

# What may be between a name and its value: punctuation, quotes (also those of nested JSON and of HTML), terminal
# colours, tags, names of types, and the number of a row in a table's JSON.
_GAP = (
    r"(?P<gap>(?:[\s:=,>(\[\]\"'`\\：＝“”‘’「」『』]|-(?=>)|<-|&quot;|&\#(?:34|39|x22|x27);|%3a|%3d|%22|\x1b\[[0-9;]*m"
    r"|</?[a-z][^<>\x00]{0,120}>|[bru](?=\\?[\"'])|(?:secretstr|secretbytes|secret|str|bytes|repr)(?=\(|\s*[=\]])"
    r"|\{\s*(?:\\?[\"']|&quot;)?\d{1,6}(?=(?:\\?[\"']|&quot;)?\s*:)){1,20}+)"
)
_ASSIGNS = re.compile(r"[:=>：＝]|<-|%3[AaDd]")
# The end of the gap before a value that is in quotes, or follows a tag or a colour code.
_QUOTES = re.compile(r"(?:[\"'`>;m“‘「『]|%22)\Z")
_CLOSES = re.compile(r"[\"'`\\&<\x1b”’」』]|%22|\Z")
_NARROW = re.compile(rf"(?:[A-Za-z0-9._~+/=-]++|{ESCAPED})+")
_PASSWORD_ALONE = re.compile(rf"(?:[A-Za-z0-9._~+/=!@\#$^*?-]|{ESCAPED})*(?:[A-Za-z0-9_~+/=!@\#$^*-]|{ESCAPED})")
_IN_VALUE = r"(?:[^\s\"'`<>\\\x00\x1b()\[\]{}|&,;：“”‘’「」『』\u3002-\uffef]|&(?!\w{2,4};|\#))"
_SHORTEST, _BEGINNING, _LONGEST, _ESCAPE = 8, 128, 16384, len("%2520")
_WIDE = re.compile(rf"{_IN_VALUE}{{{_SHORTEST},{_LONGEST}}}+")
_REST_OF_PASSWORD = re.compile(r"[^\s\"'`<>\\\x00]{1,128}")
_OPENING_BRACKETS = ("(", "[", "{")
# A value may begin with a character that could be part of the gap: password=":a…".
_BEGINS_LIKE_A_GAP = re.compile(r"[=:,>(]\s*\\?[\"']([:=,>(]+)\Z")
_MORE = re.compile(
    r"\\{0,3}[\"']\s*,\s*(?:\\{0,3}[\"']?\d{1,6}\\{0,3}[\"']?\s*:\s*)?\\{0,3}[\"'](?P<value>[A-Za-z0-9._~+/=-]{16,})(?=\\{0,3}[\"'])"
)
# In a URL that is part of another URL, a percent-encoded "&" and the like end a value.
_ENDS_WITHIN = re.compile(r"%(?:25)?(?:0[ADad]|2[02567Cc]|3[BCEbce]|5[BDbd]|7[BDbd])")
_NAMES = tuple((end, re.compile(f"{end}{rest}(?![a-z0-9_])")) for end, rest in _ENDS)
_FIELD = re.compile(rf"{_GAP}(?={_IN_VALUE}{{{_SHORTEST}}})")
# A name and a value with only spaces between them: in a table printed by pandas, or in a command.
_ALONE = re.compile(r"[ \t]{2,}\Z")
_LINE_BEGINS = re.compile(r"(?:\A|[\n\x00]|\\n)[ \t]*\Z")
_LINE_ENDS = re.compile(r"[ \t]*(?:\Z|[\n\x00]|\\n)|[ \t]{2}")
_COMMAND = re.compile(r"(?:(?<![\w-])--?|%env |\bsetx? |\blogin \S{1,100} )\Z")

_DIGIT = re.compile(r"\d")
_CONSTANT = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)+")
_LONG_ALONE = 20
"""The minimum length of a quoted value without digits and with letters of only one case."""
_DIGITS_UNQUOTED, _LONG_UNQUOTED = 2, 30
_KEY_ID = re.compile(r"[A-Z0-9]{16,24}")

_AS_CAPITAL_I = {ord("İ"): "i"}
"""The only letter whose lower-case form has a different length."""


def named_kind(name: str) -> str | None:
    """Return the kind of a finding with the name `name`; None if the name suggests no secret, or is too long."""
    if len(name) > _LONGEST_NAME or _rule(name) is None:
        return None
    last = name.rpartition(".")[2]
    return f"value of {name if last.lower() == 'key' else last}"


def is_named(name: str, value: str, *, quoted: bool = True) -> bool:
    """Whether the name suggests a secret, and the value looks secret: not like a reference, placeholder or word.

    `quoted` says whether the value is in quotes. A value without quotes must look more random.
    """
    rule = _rule(name)
    if rule is None or len(value) < rule.shortest or is_placeholder(value) or is_reference(value, uuid=rule.uuid):
        return False
    if rule is _PASSWORD and quoted:
        return is_password(value)
    # The id of a key pair is not secret.
    if rule is _SECRET and name.lower().endswith("key") and _KEY_ID.fullmatch(value):
        return False
    # A reference that was not refused above is a UUID, and UUIDs count as random.
    return (rule.uuid and is_reference(value)) or (is_random(value) and _has_variety(rule, value, quoted=quoted))


def _has_variety(rule: _Rule, value: str, *, quoted: bool) -> bool:
    """Whether a value has the digits and letters that a secret of this kind nearly always has."""
    digits, cases = len(_DIGIT.findall(value[:_BEGINNING])), (value != value.lower()) + (value != value.upper())
    both = cases == 2  # noqa: PLR2004 (lower-case and upper-case letters)
    if (rule.mixed and not (digits and both)) or (rule is _TOKEN and not (digits and cases)):
        return False
    if quoted:
        return digits > 0 or both or len(value) >= _LONG_ALONE
    # An identifier sometimes has a digit; a random value nearly always has several.
    minimum = 1 if rule is _PASSWORD else _DIGITS_UNQUOTED
    return (digits >= minimum or len(value) >= _LONG_UNQUOTED) and not _CONSTANT.fullmatch(value)


def find_named(text: str) -> Iterator[Span]:
    """Find secrets after a name that suggests a secret, or below such a name in a table. The findings may overlap."""
    lowered = text.translate(_AS_CAPITAL_I).lower() if "İ" in text else text.lower()
    # How many characters may still be read in tables. Without a limit, a table of nothing but headers would be slow.
    left = [_MAX_TABLE_READ * len(lowered)]
    for end, pattern in _NAMES:
        done = 0
        for name in matches(end, pattern, lowered):
            field = _FIELD.match(lowered, name.end())
            if field and field.end() < done:
                # The value after this name is part of the value that was found last.
                continue
            spans = _field(text, field) if field else []
            if spans:
                done = spans[-1].end
                yield from spans
            elif _CELL.match(lowered, name.end()):
                yield from _below(text, lowered, name.end(), left)


@lru_cache(4096)
def _rule(name: str) -> _Rule | None:
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or not _PUBLIC_WORDS.isdisjoint(words):
        return None
    last, before = words[-1] if words[-1] == "pass" else words[-1].removesuffix("s"), words[-2] if words[1:] else ""
    if last.endswith("token"):
        return _token_rule(before, last.removesuffix("token"))
    if last.endswith("key"):
        return _key_rule(before if last == "key" else last.removesuffix("key"))
    if last.endswith(("password", "passwd", "pwd", "passphrase")) or (last == "pass" and before):
        return _PASSWORD
    return _SECRET if last.endswith("secret") or last == "sk" else None


def _token_rule(before: str, joined: str) -> _Rule | None:
    if before in _OTHER_TOKENS or joined in _OTHER_TOKENS:
        return None
    return _SECRET if before or joined else _TOKEN


def _key_rule(before: str) -> _Rule | None:
    if before.endswith("api"):
        return _API_KEY
    if not before or before in _OTHER_KEYS:
        return None
    return _SECRET if before in _SECRET_KEYS else _SOME_KEY


def _field(text: str, found: re.Match[str]) -> list[Span]:
    at, start = found.span("gap")
    wide = start
    prefix = _ESCAPES.sub(lambda escape: " " * len(escape[0]), text[max(0, at - _LOOK_BACK) : at])
    name = _BEFORE.search(prefix)
    kind = named_kind(name[0]) if name else None
    if name is None or kind is None:
        return []
    gap = text[at:start]
    if begins := _BEGINS_LIKE_A_GAP.search(gap):
        gap, start = gap[: begins.start(1)], start - len(begins[1])
    quoted = _QUOTES.search(gap) is not None
    password = _rule(name[0]) is _PASSWORD
    end = start
    # The quote in an encoded URL does not end a value that has other characters than a URL.
    if quoted and not gap.endswith("%22") and (whole := _WIDE.match(text, wide)):
        end = whole.end()
        if password and (rest := _REST_OF_PASSWORD.match(text, end)):
            end = rest.end()
    if end == start or not _CLOSES.match(text, end) or _ENDS_WITHIN.search(text, start, end):
        end = _narrow_end(_PASSWORD_ALONE if password else _NARROW, text, start, name[0])
    if end == start or text[end : end + 1] in _OPENING_BRACKETS:
        return []
    value = text[start:end]
    if not quoted and not _ASSIGNS.search(gap):
        before = text[max(0, at - _LOOK_BACK - len(name[0])) : at - len(name[0])]
        in_a_line = _ALONE.fullmatch(gap) and _LINE_BEGINS.search(before) and _LINE_ENDS.match(text, end)
        quoted = gap.isspace() and (_COMMAND.search(before) is not None or name[0].count(".") > 1)
        if not in_a_line and not quoted:
            return []
    if not is_named(name[0], value, quoted=quoted):
        return []
    spans = [Span(start, end, kind, 2)]
    if "{" in gap or "[" in gap:
        # The rest of a column: {"access_token": {"0": "…", "1": "…"}}, {"access_token": ["…", "…"]}.
        while (more := _MORE.match(text, spans[-1].end)) and is_named(name[0], more["value"]):
            spans.append(Span(*more.span("value"), kind, 2))
    return spans


def _narrow_end(pattern: re.Pattern[str], text: str, start: int, name: str) -> int:
    """Return the end of a value without quotes; `start` if there is no value, or if a long value is not a secret.

    A long value is only read to its end if it begins like a secret. In a text such as `secret=secret=secret=`, the
    value of each name is the whole rest of the text, and reading all these values would be slow.
    """
    found = pattern.match(text, start, start + _BEGINNING)
    if found and found.end() > start + _BEGINNING - _ESCAPE:
        found = pattern.match(text, start, start + _LONGEST) if is_named(name, found[0]) else None
    return found.end() if found else start


# What may follow a name in a cell of a table: in HTML, CSV or Markdown, or with aligned columns.
_CELL = re.compile(r"[\"']?(?:[,\t;|│┃┆\n\r]|\Z)|</t[hd]>| (?=[A-Za-z_ |│┃┆])")
_CELL_BEGINS = re.compile(r"(?:\A|[,\t;|│┃┆\n\x00])[\"']?\Z|[|│┃┆>] ?\Z|  \Z")
_SEPARATORS = (re.compile("[|│┃┆]"), re.compile("\t"), re.compile(","), re.compile(";"))
_TD = re.compile(r"<t[hd][^<>\x00]{0,1024}>", re.IGNORECASE)
_CELL_VALUE = re.compile(r"(?:\s|[\"']|<[^<>]*>)*(?P<value>[A-Za-z0-9._~+/=-]{16,})(?:\s|[\"']|<[^<>]*>)*")
_WORD = re.compile(r"\S+")
_LONGEST_ROW = 16384
_MAX_TABLE_READ = 3


def _below(text: str, lowered: str, end: int, left: list[int]) -> Iterator[Span]:
    """Find values in the cells below the name that ends at `end`."""
    name = _BEFORE.search(text, max(0, end - _LOOK_BACK), end)
    kind = named_kind(name[0]) if name else None
    if name and kind and _CELL_BEGINS.search(text, max(0, name.start() - 3), name.start()):
        rows = _html_rows if lowered.startswith("</t", end) else _line_rows
        for start, stop in rows(text, name.start(), end, left):
            value = _CELL_VALUE.fullmatch(text, start, stop)
            if value and is_named(name[0], value["value"]) and _DIGIT.search(value["value"]):
                yield Span(*value.span("value"), kind, 2)


def _html_rows(text: str, start: int, end: int, left: list[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end of each cell below a cell: the cell with the same number in each of the following rows."""
    row = text.rfind("<tr", max(0, start - _LONGEST_ROW), start)
    column = sum(1 for _ in _TD.finditer(text, row, start)) if row >= 0 else 0
    at = end
    while column and left[0] > 0:
        close = text.find("</tr", at, at + _LONGEST_ROW)
        left[0] -= _LONGEST_ROW if close < 0 else close - at
        if close < 0 or "</table" in text[at:close]:
            return
        cells = [cell.end() for cell in _TD.finditer(text, at, close)]
        if len(cells) >= column:
            yield cells[column - 1], text.find("</t", cells[column - 1], close + 3)
        at = close + 3


def _line_rows(text: str, start: int, end: int, left: list[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end of each cell below a cell. Cells are found by their separator, or else by their alignment."""
    first, last = _line(text, start)
    if last - first >= _LONGEST_ROW:
        return
    header = text[first:last]
    separator = next((each for each in _SEPARATORS if each.search(header)), None)
    count = len(separator.findall(header)) if separator else 0
    column = len(separator.findall(header, 0, start - first)) if separator else 0
    begins, ends, others = start - first, end - first, 0
    while last < len(text) and left[0] > 0:
        first, last = _line(text, last + 1)
        row = text[first:last]
        left[0] -= len(row) + 1
        if not row.strip() or "\0" in row or len(row) >= _LONGEST_ROW:
            return
        if separator:
            marks = [-1, *(mark.start() for mark in separator.finditer(row)), len(row)]
            if len(marks) == count + 2:
                yield first + marks[column] + 1, first + marks[column + 1]
            continue
        cells = [cell for cell in _WORD.finditer(row) if begins == cell.start() or ends == cell.end()]
        yield from ((first + cell.start(), first + cell.end()) for cell in cells)
        # One row without an aligned cell is allowed: pandas writes the name of the index into a separate row.
        others += not cells
        if others > 1:
            return


def _line(text: str, at: int) -> tuple[int, int]:
    """Return start and end of the line around a position, at most `_LONGEST_ROW` characters to each side."""
    first, last = max(0, at - _LONGEST_ROW), min(len(text), at + _LONGEST_ROW)
    begin, end = text.rfind("\n", first, at), text.find("\n", at, last)
    return first if begin < 0 else begin + 1, last if end < 0 else end
