"""Puts tokens where code looks for them (environment variable, Python variable, file), and removes them again.

When a token is removed, what was in the place before is restored, but only if the token is still there. Anything that
the notebook has put there since stays, and anything that the notebook has deleted stays deleted.
"""

from __future__ import annotations

import keyword
import logging
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ParameterError, TokenError
from ..protocol.messages import env_variables
from ..sdks import SDKS
from . import token_file

if TYPE_CHECKING:
    from ..protocol.messages import Env
    from ..sources.cache import Key
    from ..token import Token
    from .token_file import Format

__all__ = ["Injections", "Place", "Places", "env_place", "env_places", "file_place", "sdk_place", "var_place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token goes.

    Two places are equal if they have the same kind and name: the same file in another format is the same place.

    Attributes
    ----------
    kind : str
        "env", "var", "file", or "sdk" for the variables and files where an SDK looks for a token.
    name : str
        Name of the variable or the SDK, or the file's absolute path.
    form : str
        Format of the file: "raw", "json" or "header".
    part : str
        The token's field that goes into an environment variable; "" for a token with a single value.
    text : str or None
        Text to write instead of the token, such as the URL from which an SDK fetches it; None to write the token.
    """

    kind: str
    name: str
    form: Format = field(default="raw", compare=False)
    part: str = field(default="", compare=False)
    text: str | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        if self.kind == "env":
            return f"${self.name}" + (f" ({self.part})" if self.part else "")
        # Relative where possible: short, and a saved notebook does not show its user's folders.
        return _relative(Path(self.name)) if self.kind == "file" else self.name


def _relative(path: Path) -> str:
    try:
        cwd = Path.cwd()
    except OSError:
        # The current folder no longer exists.
        return str(path)
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def env_place(name: str, part: str = "") -> Place:
    """Return an environment variable as a place. Subprocesses and `!cmd` see the variable.

    Raises `ParameterError` for an invalid name.
    """
    if not (name.isascii() and name.isidentifier()):
        raise ParameterError(f"{name[:80]!r} is not a valid name for an environment variable.")
    return Place("env", name, part=part)


def env_places(env: Env) -> list[Place]:
    """Return a place for each variable in `env`. Raises `ParameterError` for an invalid name or a name used twice."""
    places = [env_place(name, part) for part, name in env_variables(env).items()]
    if len(set(places)) < len(places):
        raise ParameterError(
            "The same variable is named for two values of the token.", hint="Name a different variable for each value."
        )
    return places


def var_place(name: str) -> Place:
    """Return a Python variable of the notebook as a place for the `Token`. Raises `ParameterError` for a bad name."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ParameterError(f"{name[:80]!r} is not a valid name for a Python variable.")
    return Place("var", name)


def file_place(path: str, form: Format = "raw") -> Place:
    """Return a file (mode 0600) as a place. Raises `ParameterError` if the file cannot or must not be written."""
    name = token_file.absolute_path(path)
    token_file.check(name)
    return Place("file", name, form)


def sdk_place(tool: str) -> Place:
    """Return the variables and files of an unmodified SDK as a place. Raises `ParameterError` for an unknown SDK."""
    if tool not in SDKS:
        raise ParameterError(f"Unknown SDK {tool[:80]!r}. Known: {', '.join(SDKS)}.")
    return Place("sdk", tool)


_log = logging.getLogger(__name__)

# The kinds of places

_ABSENT = object()
"""Marks an empty place."""


class _Variables:
    """Reads and writes the notebook's variables. A token there is recognised by identity.

    The argument `marks` has the marks of the tokens that we put into the place earlier. `fill` and `restore` change
    nothing if they raise `TokenError`.
    """

    same: Callable[[Any, Any], bool] = staticmethod(operator.is_)
    """Whether two results of `read` are the same."""

    def __init__(self, variables: MutableMapping[str, Any]) -> None:
        self.variables = variables

    def read(self, name: str) -> Any:
        """Return what the place holds now, or `_ABSENT`. Raises `ParameterError` for a file that cannot be read."""
        return self.variables.get(name, _ABSENT)

    def check(self, place: Place, token: Token, marks: Sequence[Any]) -> None:
        """Raise `TokenError` if the place cannot take the token."""

    def mark(self, place: Place, token: Token) -> Any:
        """Return the mark by which a token in this place is recognised."""
        return token

    def holds(self, name: str, marks: Sequence[Any]) -> bool:
        """Whether one of the marks matches what the place holds now."""
        now = self.read(name)
        return any(self.same(now, mark) for mark in marks)

    def fill(self, place: Place, token: Token, marks: Sequence[Any]) -> None:
        """Put a token into the place."""
        self.variables[place.name] = self.mark(place, token)

    def restore(self, name: str, before: Any, marks: Sequence[Any]) -> None:
        """Put `before` back into the place."""
        if before is _ABSENT:
            self.variables.pop(name, None)
        else:
            self.variables[name] = before


class _Environment(_Variables):
    """The process's environment. A token there is recognised by its value."""

    same: Callable[[Any, Any], bool] = staticmethod(operator.eq)

    def check(self, place: Place, token: Token, marks: Sequence[Any]) -> None:
        problem = _problem_in_environment(place.name, self.mark(place, token), self.variables)
        if problem:
            raise ParameterError(
                f"The token cannot be put into {place}: {problem}.",
                hint="Write it to a file (--file PATH) or put it into a Python variable (--var NAME).",
                profile=token.profile,
            )

    def mark(self, place: Place, token: Token) -> Any:
        return token.reveal(place.part) if place.text is None else place.text

    def fill(self, place: Place, token: Token, marks: Sequence[Any]) -> None:
        self.check(place, token, marks)
        super().fill(place, token, marks)


def _problem_in_environment(name: str, value: str, environ: MutableMapping[str, str]) -> str:
    """Return why a variable must not get a value; "" if it may.

    The system refuses some values, and can start no more programs if a value or the whole environment is too long.
    """
    if "\0" in value:
        return "it holds a NUL character"
    try:
        size = _size(name, value)
    except UnicodeEncodeError:
        return f"it holds a character that {sys.getfilesystemencoding()} cannot encode"
    longest, total = _limits()
    if size > longest:
        return f"with the variable's name it is {size - 1:,} bytes long; the system's limit is {longest - 1:,} bytes"
    others = sum(_size(*item) for item in environ.items() if item[0] != name)
    if others + size > total:
        return f"all environment variables together would take {others + size:,} bytes; the limit is {total:,} bytes"
    return ""


def _size(name: str, value: str) -> int:
    """Return the size of a variable with "=" and the final NUL, in bytes (on Windows: in UTF-16 code units)."""
    if os.name == "nt":  # pragma: no cover (counts UTF-16 units)
        return len(f"{name}={value}".encode("utf-16-le", "surrogatepass")) // 2 + 1
    return len(os.fsencode(name)) + len(os.fsencode(value)) + 2


def _limits() -> tuple[int, int]:
    """Return the limits of one variable and of the whole environment, in the unit of `_size`.

    Above these limits, the system cannot start programs.
    """
    if os.name == "nt":  # pragma: no cover
        # _MAX_ENV of the C runtime; since Windows Vista the whole environment has no limit.
        return 32_767, sys.maxsize
    # execve(2): arguments and environment share ARG_MAX. An eighth of it is left for pointers and arguments.
    total = os.sysconf("SC_ARG_MAX") * 7 // 8
    if sys.platform != "linux":  # pragma: no cover
        return total, total
    # MAX_ARG_STRLEN is 32 pages. With an unlimited stack, ARG_MAX is 6 MiB, whatever sysconf says.
    return 32 * os.sysconf("SC_PAGE_SIZE"), min(total, 5 * 1024 * 1024)


class _Files:
    """Files by absolute path. A token there is recognised by the digest of the file's content."""

    same: Callable[[Any, Any], bool] = staticmethod(operator.eq)

    def read(self, name: str) -> Any:
        return token_file.read(name) or _ABSENT

    def check(self, place: Place, token: Token, marks: Sequence[Any]) -> None:
        _content(place, token)
        token_file.check(place.name, marks)

    def mark(self, place: Place, token: Token) -> Any:
        return token_file.digest(_content(place, token))

    def holds(self, name: str, marks: Sequence[Any]) -> bool:
        return token_file.holds(name, marks)

    def fill(self, place: Place, token: Token, marks: Sequence[Any]) -> None:
        token_file.write(place.name, _content(place, token), own_digests=marks)

    def restore(self, name: str, before: Any, marks: Sequence[Any]) -> None:
        token_file.restore(name, None if before is _ABSENT else before, own_digests=marks)


def _content(place: Place, token: Token) -> bytes:
    return token_file.content(token, place.form) if place.text is None else place.text.encode()


# Which token is in which place

_MAX_MARKS = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Injection:
    """A token in a place.

    `loan` is the loan that put the token there, or None if the token stays until it is forgotten. If the token has
    several values, `group` holds the places of all values: they are refreshed together or not at all.
    """

    key: Key
    token: Token
    place: Place
    loan: object = None
    group: tuple[Place, ...] = ()


def _make_injections(key: Key, token: Token, places: Iterable[Place], loan: object = None) -> list[_Injection]:
    places = list(places)
    parts = tuple(place for place in places if place.part)
    return [_Injection(key, token, place, loan, parts if place.part else ()) for place in places]


@dataclass(slots=True, eq=False)
class _Stack:
    """The tokens in one place. The first injection may be a token that stays. All others are loans.

    The place contains the token of the last injection. `before` is what the place held before the first injection.
    `marks` are the marks of the last few values that we put there, latest last. Several marks are kept, because code
    may restore a value that it read earlier, as `unittest.mock.patch.dict(os.environ)` does, and because an interrupt
    can come before a new value is written. `is_reported` is true once there is a notice for the user that the place is
    left alone.
    """

    place: Place
    before: Any = field(repr=False)
    injections: tuple[_Injection, ...] = ()
    marks: tuple[Any, ...] = field(default=(), repr=False)
    is_reported: bool = False


class Places(NamedTuple):
    """Where the tokens of a key were put.

    Attributes
    ----------
    filled : tuple of Place
        Places that still hold what we put there.
    changed : tuple of Place
        Places that hold something else, or nothing, by now.
    """

    filled: tuple[Place, ...]
    changed: tuple[Place, ...]


class Injections:
    """Puts tokens into places, and records which token is where. Thread-safe: refreshes arrive on other threads.

    Parameters
    ----------
    namespace : mutable mapping
        The notebook's variables.
    environ : mutable mapping of str to str
        The process's environment.
    """

    def __init__(self, namespace: MutableMapping[str, Any], environ: MutableMapping[str, str] = os.environ) -> None:
        # In the order in which places are filled: files first, because they are the most likely to fail.
        self._kinds: dict[str, _Variables | _Files] = {
            "file": _Files(),
            "env": _Environment(environ),
            "var": _Variables(namespace),
        }
        self._stacks: dict[Place, _Stack] = {}
        # The places of each key. May be out of date; `_stacks_with` corrects it.
        self._places_by_key: dict[Key, tuple[Place, ...]] = {}
        self._notices: dict[Place, str] = {}
        self._lock = threading.RLock()

    def put(self, key: Key, token: Token, places: Iterable[Place]) -> None:
        """Put a token into places, where `update` later replaces it by newer tokens of the same key.

        Raises
        ------
        TokenError
            One of the places cannot take the token. All places hold what they held before; if a file could not be
            restored, that is logged.
        """
        self._apply(_make_injections(key, token, places))

    def put_temporarily(self, key: Key, token: Token, places: Iterable[Place], loan: object) -> None:
        """Put a token into places until `end_loan(loan)`, on top of what is already there. Raises as `put` does."""
        self._apply(_make_injections(key, token, places, loan))

    def end_loan(self, loan: object) -> None:
        """Restore what the places held before a loan, except places that were changed since.

        May be called again, for example after an interrupt.

        Raises
        ------
        TokenError
            A file could not be restored. Everything else has been restored.
        """
        with self._lock:
            self._remove([*self._stacks.values()], lambda injection: injection.loan is loan)

    def remove(self, key: Key) -> list[Place]:
        """Take a key's tokens out of their places, and restore what was there before.

        Returns
        -------
        list of Place
            The places of these tokens, except places that were left alone.

        Raises
        ------
        TokenError
            A file could not be restored. Everything else has been restored.
        """
        with self._lock:
            return self._remove(self._stacks_with(key), lambda injection: injection.key == key)

    def update(self, key: Key, token: Token) -> list[TokenError]:
        """Put a key's newer token into each place that still holds the older token.

        Values that belong together are replaced together: if the notebook has changed one value, none is replaced.

        Returns
        -------
        list of TokenError
            An error for each place that could not be written.
        """
        problems: list[TokenError] = []
        with self._lock:
            stacks = self._stacks_with(key)
            unchanged = {stack.place for stack in stacks if self._is_ours(stack)}
            refused: set[Place] = set()
            for stack in stacks:
                stack.injections = tuple(
                    replace(each, token=token) if each.key == key else each for each in stack.injections
                )
                top = stack.injections[-1]
                if top.key == key and top.group and unchanged.issuperset(top.group):
                    try:
                        self._kinds[stack.place.kind].check(top.place, token, stack.marks)
                    except TokenError as error:
                        problems.append(error.copy())
                        refused.update(top.group)
            for stack in stacks:
                top = stack.injections[-1]
                if stack.place not in unchanged:
                    self._leave_alone(stack)
                elif top.key == key and not unchanged.issuperset(top.group):
                    self._leave_group_alone(stack)
                elif top.key == key and stack.place not in refused:
                    try:
                        self._write(stack, stack.injections)
                    except TokenError as error:
                        problems.append(error.copy())
        return problems

    def pop_notices(self) -> list[str]:
        """Return a sentence for each place that was left alone since the last call, with the reason."""
        with self._lock:
            notices = [*self._notices.values()]
            self._notices.clear()
        return notices

    def keys(self) -> list[Key]:
        """Return the keys that have at least one place, even if the notebook has changed what is there."""
        with self._lock:
            return [key for key in [*self._places_by_key] if self._stacks_with(key)]

    def has(self, key: Key) -> bool:
        """Whether `keys()` contains the key."""
        with self._lock:
            return bool(self._stacks_with(key))

    def places(self, key: Key) -> Places:
        """Return the places of a key's tokens."""
        filled: list[Place] = []
        changed: list[Place] = []
        with self._lock:
            for stack in self._stacks_with(key):
                (filled if self._is_ours(stack) else changed).append(stack.place)
        return Places(tuple(filled), tuple(changed))

    def discard_earlier(self, place: Place, is_ours: Callable[[Any], bool]) -> bool:
        """Drop the value that a place held before `put`, if `is_ours` accepts it, so that it is not restored later.

        If nothing was put into the place, remove the value that the place holds now, if `is_ours` accepts it. Return
        whether a value was dropped or removed.
        """
        with self._lock:
            stack, kind = self._stacks.get(place), self._kinds[place.kind]
            if not is_ours(kind.read(place.name) if stack is None else stack.before):
                return False
            if stack is None:
                kind.restore(place.name, _ABSENT, ())
            else:
                stack.before = _ABSENT
            return True

    def after_fork(self) -> None:
        """Replace the lock in a forked child, because another thread may have held it."""
        self._lock = threading.RLock()

    def _apply(self, injections: Iterable[_Injection]) -> None:
        with self._lock:
            injections = sorted(injections, key=lambda injection: [*self._kinds].index(injection.place.kind))
            for injection in injections:
                stack = self._stacks.get(injection.place)
                marks = () if stack is None else stack.marks
                self._kinds[injection.place.kind].check(injection.place, injection.token, marks)
            before: list[tuple[_Stack, tuple[_Injection, ...]]] = []
            try:
                for injection in injections:
                    stack = self._stack_for(injection.place)
                    before.append((stack, stack.injections))
                    self._push(stack, injection)
            except BaseException:
                # BaseException, because the places are restored after an interrupt too.
                for stack, earlier in reversed(before):
                    self._undo_push(stack, earlier)
                raise

    def _stack_for(self, place: Place) -> _Stack:
        stack = self._stacks.get(place)
        if stack is None or not self._is_ours(stack):
            # What the place holds now is not ours, so it will be restored later.
            stack = _Stack(place, self._kinds[place.kind].read(place.name))
        return stack

    def _push(self, stack: _Stack, injection: _Injection) -> None:
        # Recorded before the place is filled, so that it can be restored after an interrupt.
        place = injection.place
        self._stacks[place] = stack
        known = self._places_by_key.get(injection.key, ())
        self._places_by_key[injection.key] = known if place in known else (*known, place)
        self._notices.pop(place, None)
        if injection.loan is None:
            stack.injections = (injection, *(other for other in stack.injections if other.loan is not None))
        else:
            stack.injections = (*stack.injections, injection)
        if stack.injections[-1] is injection:
            self._write(stack, stack.injections)

    def _undo_push(self, stack: _Stack, earlier: tuple[_Injection, ...]) -> None:
        """Undo `_push`, so that the place has the injections `earlier` again. Log a place that cannot be restored."""
        kind, name = self._kinds[stack.place.kind], stack.place.name
        is_there = bool(earlier) and kind.holds(name, [kind.mark(earlier[-1].place, earlier[-1].token)])
        if is_there or not self._is_ours(stack):
            # `_push` has not filled the place, or the place is no longer ours.
            self._record(stack, earlier)
            return
        try:
            self._write(stack, earlier)
        except TokenError as error:
            # The token is still there, and stays listed so that it can be removed later.
            _log.warning("%s could not be restored: %s", stack.place, error.message)

    def _remove(self, stacks: Iterable[_Stack], matches: Callable[[_Injection], bool]) -> list[Place]:
        """Remove the injections that `matches` accepts. Return their places, except places that were left alone."""
        places: list[Place] = []
        problem: TokenError | None = None
        for stack in stacks:
            remaining = tuple(injection for injection in stack.injections if not matches(injection))
            if len(remaining) == len(stack.injections):
                continue
            if remaining and remaining[-1] is stack.injections[-1]:
                self._record(stack, remaining)
            elif not self._is_ours(stack):
                if not self._is_as_before(stack):
                    self._leave_alone(stack)
                self._record(stack, ())
                continue
            else:
                try:
                    # Recorded only after the place is restored, so that this can be repeated after an interrupt.
                    self._write(stack, remaining)
                except TokenError as error:
                    problem = error.copy()
                    self._record(stack, remaining)
            places.append(stack.place)
        if problem is not None:
            raise problem
        return places

    def _write(self, stack: _Stack, injections: tuple[_Injection, ...]) -> None:
        """Write the last of these injections to the place. If there are none, restore what the place held before."""
        kind, marks = self._kinds[stack.place.kind], stack.marks
        if injections:
            place, token = injections[-1].place, injections[-1].token
            stack.marks = (*marks, kind.mark(place, token))[-_MAX_MARKS:]
            try:
                kind.fill(place, token, marks)
            except TokenError:
                # Nothing was written. Drop the new mark, so that the mark of what is in the place is kept.
                stack.marks = marks
                raise
            stack.is_reported = False
        else:
            kind.restore(stack.place.name, stack.before, marks)
        self._record(stack, injections)

    def _record(self, stack: _Stack, injections: tuple[_Injection, ...]) -> None:
        stack.injections = injections
        if not injections:
            self._stacks.pop(stack.place, None)

    def _leave_alone(self, stack: _Stack) -> None:
        """Leave a changed place alone: for good if it was deleted, else until the notebook restores our value."""
        place, is_deleted = stack.place, self._current(stack) is _ABSENT
        if not stack.is_reported:
            by = "" if place.kind == "file" else " by the notebook"
            self._notices[place] = f"{place} was {'deleted' if is_deleted else 'changed'}{by}; left as it is."
            stack.is_reported = True
        if is_deleted:
            self._record(stack, ())

    def _leave_group_alone(self, stack: _Stack) -> None:
        """Leave a value as it is because the notebook has changed another value of the same token."""
        if not stack.is_reported:
            place = stack.place
            self._notices[place] = f"{place} is no longer kept fresh: another value of its token was changed."
            stack.is_reported = True

    def _is_ours(self, stack: _Stack) -> bool:
        return self._kinds[stack.place.kind].holds(stack.place.name, stack.marks)

    def _is_as_before(self, stack: _Stack) -> bool:
        return self._kinds[stack.place.kind].same(self._current(stack), stack.before)

    def _current(self, stack: _Stack) -> Any:
        try:
            return self._kinds[stack.place.kind].read(stack.place.name)
        except ParameterError:
            return None

    def _stacks_with(self, key: Key) -> list[_Stack]:
        stacks = [
            stack
            for place in self._places_by_key.get(key, ())
            if (stack := self._stacks.get(place)) is not None and any(each.key == key for each in stack.injections)
        ]
        if stacks:
            self._places_by_key[key] = tuple(stack.place for stack in stacks)
        else:
            self._places_by_key.pop(key, None)
        return stacks
