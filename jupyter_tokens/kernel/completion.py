"""Tab completion of profiles, parameters, values and options. Never blocks for long.

A request is sent to the API only after `NAME=`, for a parameter whose ids the API can list.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from ..clock import Clock, SystemClock
from ..errors import TokenError
from ..sdks import SDKS
from .token_file import FORMATS

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from ..protocol.messages import ProfileEntry
    from .session import TokenSession

__all__ = ["Completion", "candidates"]

_WAIT_SECONDS = 0.5
"""The longest wait for the profiles, and again for the ids. Other threads request both, because a server may hang."""
_LIST_SECONDS = 60.0
"""How long listed ids are reused, and how long after a failure no new request is sent."""
_LINE = re.compile(r"\s*%%?(gettoken|withtoken|deltoken|tokenlogin|tokenlogout)\s+(.*)", re.DOTALL)
_OPTIONS_WITH_VALUE = {"--env", "--var", "--file", "--sdk", "--format"}
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "gettoken": ("--env", "--var", "--file", "--sdk", "--format", "--once", "--refresh"),
    "withtoken": ("--env", "--var", "--file", "--sdk", "--format"),
    "deltoken": (),
    "tokenlogin": ("--device",),
    "tokenlogout": (),
}
_WORDS: Mapping[str, Collection[str]] = {"--format": FORMATS, "--sdk": SDKS}


ListIds = Callable[[str, str, Mapping[str, str]], Sequence[str]]
"""A function of a profile, one of its parameters, and the other parameters on the line. Returns the ids that the API
lists for the parameter."""


class Completion:
    """Completes the lines of the magics in one shell.

    Parameters
    ----------
    shell : InteractiveShell
        The shell.
    session : TokenSession
        Lists the profiles and the ids.
    clock : Clock, optional
        By default the system's clock.
    """

    def __init__(self, shell: InteractiveShell, session: TokenSession, clock: Clock | None = None) -> None:
        self._shell = shell
        self._session = session
        self._matcher = self._make_matcher()
        self._clock = clock or SystemClock()
        self._calls: dict[object, _Call] = {}

    def open(self) -> None:
        """Register with the shell's completer, if the shell has a completer."""
        if self._shell.Completer is not None:
            self._shell.Completer.custom_matchers.append(self._matcher)

    def close(self) -> None:
        """Unregister from the completer."""
        if self._shell.Completer is not None:
            with suppress(ValueError):
                self._shell.Completer.custom_matchers.remove(self._matcher)

    def _make_matcher(self) -> Callable[[CompletionContext], SimpleMatcherResult]:
        @context_matcher(identifier="jupyter_tokens")  # type: ignore[untyped-decorator]
        def matcher(context: CompletionContext) -> SimpleMatcherResult:
            found = _LINE.fullmatch(context.text_until_cursor)
            if found is None:
                return {"completions": []}
            before, word = _split(found[2])
            if before and before[-1] == "--file":
                # IPython itself completes paths.
                return {"completions": []}
            fragment = word.rpartition("=")[2]
            return {
                "completions": [
                    SimpleCompletion(text, type=kind)
                    for kind, text in candidates(found[1], before, word, self.entries(), self.ids)
                ],
                # IPython takes only the part after the last delimiter as the word at the cursor.
                "matched_fragment": fragment if context.token.endswith(fragment) else context.token,
                "suppress": True,
            }

        return matcher  # type: ignore[no-any-return]

    def entries(self) -> list[ProfileEntry]:
        """Return the profiles; if reading them fails or takes too long, the last known profiles."""
        self._call("entries", self._session.entries, reuse_seconds=0)
        return self._session.last_entries

    def ids(self, profile: str, param: str, given: Mapping[str, str]) -> Sequence[str]:
        """Return the ids that the profile's API lists.

        If the call fails or takes too long, return the last known ids. A later Tab shows the new ids.
        """
        work = partial(self._session.list_values, profile, param, given)
        listed = self._call((profile, param, frozenset(given.items())), work, reuse_seconds=_LIST_SECONDS)
        return [value.id for value in listed]

    def _call(self, key: object, work: Callable[[], Sequence[Any]], *, reuse_seconds: float) -> Sequence[Any]:
        last = self._calls.get(key)
        if last is None or self._clock.elapsed() >= last.until:
            last = _Call(work, reuse_seconds, self._clock, () if last is None else last.answer)
            last.start()
            self._calls[key] = last
        last.join(_WAIT_SECONDS)
        return last.answer


class _Call(threading.Thread):
    """Calls `work` once, on this thread. While `work` runs, and if it fails, `answer` is that of the previous call."""

    def __init__(
        self, work: Callable[[], Sequence[Any]], reuse_seconds: float, clock: Clock, last: Sequence[Any]
    ) -> None:
        super().__init__(name="jupyter_tokens completion", daemon=True)
        self._work, self._reuse_seconds, self._clock = work, reuse_seconds, clock
        self.answer = last
        self.until = inf

    def run(self) -> None:
        # A completion shows no error; `%tokens`, `jupyter tokens values` and the panel show it.
        try:
            with suppress(TokenError):
                self.answer = self._work()
        finally:
            self.until = self._clock.elapsed() + self._reuse_seconds


def candidates(
    magic: str,
    before: Sequence[str],
    word: str,
    entries: Sequence[ProfileEntry],
    ids: ListIds = lambda *_: (),
) -> Iterator[tuple[str, str]]:
    """Yield the completions of the word at the cursor, each with its kind.

    Parameters
    ----------
    magic : str
        Name of the magic, without `%`.
    before : sequence of str
        The words before the cursor's word.
    word : str
        The word at the cursor. In "name=value" only the value is completed.
    entries : sequence of ProfileEntry
        The profiles.
    ids : callable
        See `ListIds`. Called only if the cursor is after `NAME=`, for a parameter whose ids the API can list.
    """
    last = before[-1] if before else ""
    if last in _WORDS:
        yield from _starting_with(word, "value", _WORDS[last])
        return
    if last in _OPTIONS_WITH_VALUE:
        return
    if word.startswith("-"):
        yield from _starting_with(word, "option", (option for option in _OPTIONS[magic] if option not in before))
        return
    plain = [
        text
        for text, previous in zip(before, ("", *before), strict=False)
        if previous not in _OPTIONS_WITH_VALUE and text[:1] != "-"
    ]
    if not plain:
        yield from _starting_with(word, "profile", (entry.name for entry in entries))
        return
    entry = next((entry for entry in entries if entry.name == plain[0]), None)
    if entry is None or magic not in {"gettoken", "withtoken"}:
        return
    known: Mapping[str, Any] = entry.schema.get("properties", {})
    name, equals, value = word.partition("=")
    given = dict(text.partition("=")[::2] for text in plain[1:])
    if equals:
        schema = known.get(name, {})
        can_list = _is_listable(schema, {**entry.params, **given})
        yield from _starting_with(value, "value", ids(entry.name, name, given) if can_list else _values(schema))
    else:
        yield from _starting_with(word, "param", (f"{name}=" for name in known if name not in given))


def _is_listable(schema: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    needed = schema.get("x-listed-by")
    # The value of a Python variable, as in {job_id}, is only known when the line runs.
    return needed is not None and all(params.get(name) and not set("{$") & set(str(params[name])) for name in needed)


def _values(schema: Mapping[str, Any]) -> Sequence[str]:
    return ("true", "false") if schema.get("type") == "boolean" else [str(value) for value in schema.get("enum", ())]


def _starting_with(word: str, kind: str, texts: Any) -> Iterator[tuple[str, str]]:
    return ((kind, text) for text in texts if text.startswith(word))


def _split(text: str) -> tuple[list[str], str]:
    """Split a line into the words before the cursor's word, and that word."""
    words = text.split()
    return (words, "") if not words or text[-1].isspace() else (words[:-1], words[-1])
