"""Tab completion of profiles, parameters, values and options. Sends no request to an API, and never blocks for long."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from ..errors import TokenError
from ..sdks import SDKS

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from ..protocol.messages import ProfileEntry
    from .session import TokenSession

__all__ = ["Completion", "candidates"]

_WAIT_SECONDS = 0.5
"""How long a completion waits for the profiles. They are read on another thread, because a server may hang."""
_LINE = re.compile(r"\s*%%?(gettoken|withtoken|deltoken|tokenlogin|tokenlogout)\s+(.*)", re.DOTALL)
_VALUED = {"--env", "--var", "--file", "--sdk", "--format"}
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "gettoken": ("--env", "--var", "--file", "--sdk", "--format", "--once", "--refresh"),
    "withtoken": ("--env", "--var", "--file", "--sdk", "--format"),
    "deltoken": (),
    "tokenlogin": ("--device",),
    "tokenlogout": (),
}
_WORDS: Mapping[str, Collection[str]] = {"--format": ("raw", "json", "header"), "--sdk": SDKS}


class Completion:
    """Completes the lines of the magics in one shell."""

    def __init__(self, shell: InteractiveShell, session: TokenSession) -> None:
        self._shell = shell
        self._session = session
        self._matcher = self._make()
        self._looking: threading.Thread | None = None

    def open(self) -> None:
        """Register with the shell's completer, if it has one."""
        if self._shell.Completer is not None:
            self._shell.Completer.custom_matchers.append(self._matcher)

    def close(self) -> None:
        """Unregister."""
        if self._shell.Completer is not None:
            with suppress(ValueError):
                self._shell.Completer.custom_matchers.remove(self._matcher)

    def _make(self) -> Callable[[CompletionContext], SimpleMatcherResult]:
        @context_matcher(identifier="jupyter_tokens")  # type: ignore[untyped-decorator]
        def matcher(context: CompletionContext) -> SimpleMatcherResult:
            found = _LINE.fullmatch(context.text_until_cursor)
            if found is None:
                return {"completions": []}
            before, word = _split(found[2])
            if before and before[-1] == "--file":
                # IPython completes paths.
                return {"completions": []}
            fragment = word.rpartition("=")[2]
            return {
                "completions": [
                    SimpleCompletion(text, type=kind)
                    for kind, text in candidates(found[1], before, word, self.entries())
                ],
                # IPython takes only the part after the last delimiter as the word at the cursor.
                "matched_fragment": fragment if context.token.endswith(fragment) else context.token,
                "suppress": True,
            }

        return matcher  # type: ignore[no-any-return]

    def entries(self) -> list[ProfileEntry]:
        """The profiles; the last known ones if reading them fails or takes too long."""
        if self._looking is None or not self._looking.is_alive():
            self._looking = threading.Thread(target=self._look, name="jupyter_tokens completion", daemon=True)
            self._looking.start()
        self._looking.join(_WAIT_SECONDS)
        return self._session.last_entries

    def _look(self) -> None:
        # A completion is no place for an error: %tokens shows it.
        with suppress(TokenError):
            self._session.entries()


def candidates(
    magic: str, before: Sequence[str], word: str, entries: Sequence[ProfileEntry]
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
    """
    last = before[-1] if before else ""
    if last in _WORDS:
        yield from _beginning(word, "value", _WORDS[last])
        return
    if last in _VALUED:
        return
    if word.startswith("-"):
        yield from _beginning(word, "option", (option for option in _OPTIONS[magic] if option not in before))
        return
    plain = [text for text, left in zip(before, ("", *before), strict=False) if left not in _VALUED and text[:1] != "-"]
    if not plain:
        yield from _beginning(word, "profile", (entry.name for entry in entries))
        return
    schema = next((entry.schema for entry in entries if entry.name == plain[0]), None)
    if schema is None or magic not in {"gettoken", "withtoken"}:
        return
    known: Mapping[str, Any] = schema.get("properties", {})
    name, equals, value = word.partition("=")
    if equals:
        yield from _beginning(value, "value", _values(known.get(name, {})))
    else:
        given = {text.partition("=")[0] for text in plain[1:]}
        yield from _beginning(word, "param", (f"{name}=" for name in known if name not in given))


def _values(schema: Mapping[str, Any]) -> Sequence[str]:
    return ("true", "false") if schema.get("type") == "boolean" else [str(value) for value in schema.get("enum", ())]


def _beginning(word: str, kind: str, texts: Any) -> Iterator[tuple[str, str]]:
    return ((kind, text) for text in texts if text.startswith(word))


def _split(text: str) -> tuple[list[str], str]:
    """Split a line into the words before the cursor's word, and that word."""
    words = text.split()
    return (words, "") if not words or text[-1].isspace() else (words[:-1], words[-1])
